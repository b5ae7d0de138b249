import type { IncomingHttpHeaders } from "node:http";
import * as z from "zod";
import { GatewayError } from "../../model/errors.ts";

/** What a request may ask of the gateway itself, in the body's `chorale` field or in `x-chorale-*` headers. It can narrow, never widen. */
export interface Narrowing {
  readonly expose: "none" | "summary" | "full";
  readonly budget?: { readonly usd?: number | undefined; readonly calls?: number | undefined; readonly tokens?: number | undefined };
  readonly deadlineMs?: number;
  /** What caches may not do: keep or give an answer, or only give a kept one. */
  readonly caching?: "no-store" | "no-cache" | undefined;
}

const oneOf = <const W extends readonly [string, ...string[]]>(...words: W) =>
  z.enum(words, `expected one of ${words.join(", ")}`).optional();
const amount = "expected a number of at least 0";
const usd = z.number(amount).nonnegative(amount).optional();
const whole = "expected an integer of at least 1";
const count = z.int(whole).positive(whole).optional();

const anObject = "expected an object";
const field = z.strictObject(
  {
    expose: oneOf("none", "summary", "full"),
    budget: z.strictObject({ usd, calls: count, tokens: count, ms: count }, anObject).optional(),
    deadlineMs: count,
    cache: oneOf("no-store", "no-cache"),
  },
  anObject,
);

const headerNames = ["x-chorale-expose", "x-chorale-budget-usd", "x-chorale-deadline-ms"] as const;
const nothing: Narrowing = { expose: "none" };

function fromHeaders(headers: IncomingHttpHeaders): Record<string, unknown> {
  const [expose, usd, deadline] = headerNames.map((name) => headers[name]);
  return {
    ...(expose === undefined ? {} : { expose }),
    ...(usd === undefined ? {} : { budget: { usd: Number(usd) } }),
    ...(deadline === undefined ? {} : { deadlineMs: Number(deadline) }),
  };
}

/** From narrow to wide. */
const exposures = ["none", "summary", "full"] as const;

function parsed(value: unknown): z.output<typeof field> {
  const read = field.safeParse(value);
  if (read.success) return read.data;
  const [issue] = read.error.issues;
  const unknown = issue?.code === "unrecognized_keys" ? issue.keys[0] : undefined;
  const param = ["chorale", ...(issue?.path ?? []), ...(unknown === undefined ? [] : [unknown])].join(".");
  const known = unknown === undefined ? "" : "; known keys are expose, budget {usd, calls, tokens, ms}, deadlineMs and cache";
  throw new GatewayError(
    "invalid_request",
    `Invalid '${param}': ${unknown === undefined ? (issue?.message ?? "not valid") : `unknown key${known}`}.`,
    { param },
  );
}

function least(...bounds: readonly (number | undefined)[]): number | undefined {
  const known = bounds.filter((bound) => bound !== undefined);
  return known.length > 0 ? Math.min(...known) : undefined;
}

/**
 * Reads the narrowing of a request. Where its body and a header, which a proxy may have set, bound the same, the narrower holds. Throws
 * `invalid_request` that names the key.
 */
export function readNarrowing(value: unknown, headers: IncomingHttpHeaders): Narrowing {
  if ((value === undefined || value === null) && headerNames.every((name) => headers[name] === undefined)) return nothing;
  const own = parsed(value ?? {});
  const told = parsed(fromHeaders(headers));
  const deadlineMs = least(own.deadlineMs, own.budget?.ms, told.deadlineMs);
  const usd = least(own.budget?.usd, told.budget?.usd);
  return {
    expose: exposures.find((expose) => expose === own.expose || expose === told.expose) ?? "none",
    ...(own.budget || told.budget ? { budget: { usd, calls: own.budget?.calls, tokens: own.budget?.tokens } } : {}),
    ...(deadlineMs === undefined ? {} : { deadlineMs }),
    caching: own.cache,
  };
}
