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

const field = z.strictObject({
  expose: oneOf("none", "summary", "full"),
  budget: z.strictObject({ usd, calls: count, tokens: count, ms: count }, "expected an object").optional(),
  deadlineMs: count,
  cache: oneOf("no-store", "no-cache"),
});

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

/** Reads the narrowing of a request; the body's field goes before a header. Throws `invalid_request` that names the key. */
export function readNarrowing(value: unknown, headers: IncomingHttpHeaders): Narrowing {
  if ((value === undefined || value === null) && headerNames.every((name) => headers[name] === undefined)) return nothing;
  if (value !== undefined && value !== null && typeof value !== "object") {
    throw new GatewayError("invalid_request", "Invalid 'chorale': expected an object.", { param: "chorale" });
  }
  const parsed = field.safeParse({ ...fromHeaders(headers), ...value });
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    const unknown = issue?.code === "unrecognized_keys" ? issue.keys[0] : undefined;
    const param = ["chorale", ...(issue?.path ?? []), ...(unknown === undefined ? [] : [unknown])].join(".");
    const known = unknown === undefined ? "" : "; known keys are expose, budget {usd, calls, tokens, ms}, deadlineMs and cache";
    throw new GatewayError(
      "invalid_request",
      `Invalid '${param}': ${unknown === undefined ? (issue?.message ?? "not valid") : `unknown key${known}`}.`,
      { param },
    );
  }
  const { expose, budget, deadlineMs, cache } = parsed.data;
  const bounds = [deadlineMs, budget?.ms].filter((ms) => ms !== undefined);
  return {
    expose: expose ?? "none",
    ...(budget ? { budget: { usd: budget.usd, calls: budget.calls, tokens: budget.tokens } } : {}),
    ...(bounds.length > 0 ? { deadlineMs: Math.min(...bounds) } : {}),
    caching: cache,
  };
}
