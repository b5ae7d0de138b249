import { dereference, validate, type Schema, type SchemaDraft } from "@cfworker/json-schema";
import { GatewayError } from "../model/errors.ts";
import { scanJsonObject } from "../model/json-scan.ts";
import type { ChatRequest } from "../model/request.ts";
import { runFor } from "./interrupt.ts";

/** Says why a text does not satisfy the request's `response_format`; undefined when it does. Never throws. */
export type Validator = (text: string) => string | undefined;

/** How long one text may be checked, and how often that may be overrun in one request: all of it blocks the process. */
const CHECK_MS = 100;
const OVERRUNS = 2;

/** Deeper answers could not be written again. */
const DEEPEST = 200;

const REASON_LENGTH = 300;

/** Keywords that can make a small schema slow: backtracking, references that fan out, comparison of all with all. */
const SLOW = /"(?:pattern|patternProperties|format|\$ref|\$recursiveRef|uniqueItems)"/;

interface Compiled {
  readonly schema: Schema | boolean;
  readonly draft: SchemaDraft;
  readonly lookup: Record<string, Schema | boolean>;
  readonly slow: boolean;
}

function unusable(why: string, cause?: unknown): GatewayError {
  return new GatewayError("invalid_request", `response_format: the JSON schema can not be used: ${why}`, {
    param: "response_format",
    cause,
  });
}

/** The draft that a schema names; 2020-12 when it names none. */
function draftOf(schema: Schema): SchemaDraft {
  const named = typeof schema.$schema === "string" ? schema.$schema : "";
  if (named.includes("draft-04")) return "4";
  if (/draft-0[67]/.test(named)) return "7";
  return named.includes("2019-09") ? "2019-09" : "2020-12";
}

/** What the validator would only find out in the middle of an answer. */
function checkParts(lookup: Compiled["lookup"]): void {
  for (const part of Object.values(lookup)) {
    if (typeof part === "boolean") continue;
    const { __absolute_ref__: target, pattern, patternProperties } = part;
    if (target !== undefined && lookup[target] === undefined) throw unusable(`nothing stands at ${String(part.$ref)}.`);
    for (const source of [pattern, ...Object.keys(patternProperties ?? {})]) if (source !== undefined) void new RegExp(source, "u");
  }
}

function compile(given: Schema | boolean): Compiled {
  // The validator marks the schemas that it reads; the request must not change.
  const schema = structuredClone(given);
  const draft = typeof schema === "boolean" ? "2020-12" : draftOf(schema);
  try {
    const lookup = dereference(schema);
    checkParts(lookup);
    return { schema, draft, lookup, slow: SLOW.test(JSON.stringify(schema)) };
  } catch (thrown) {
    if (thrown instanceof GatewayError) throw thrown;
    throw unusable(thrown instanceof SyntaxError ? "it has a pattern that is no regular expression." : "it is malformed.", thrown);
  }
}

/** The most specific error: the validator lists parents before their parts. */
function reasonOf({ schema, draft, lookup }: Compiled, value: unknown): string | undefined {
  const { valid, errors } = validate(value, schema, draft, lookup);
  if (valid) return undefined;
  const last = errors.at(-1);
  return last ? `${last.instanceLocation}: ${last.error}`.slice(0, REASON_LENGTH).toWellFormed() : "the schema is not satisfied";
}

type Parsed = { readonly ok: true; readonly value: unknown } | { readonly ok: false };

function parse(text: string): Parsed {
  try {
    return { ok: true, value: JSON.parse(text) };
  } catch {
    return { ok: false };
  }
}

function checkerOf(compiled: Compiled): (value: unknown) => string | undefined {
  let overruns = 0;
  return (value) => {
    if (overruns >= OVERRUNS) return "checking against the schema takes too long";
    try {
      if (!compiled.slow) return reasonOf(compiled, value);
      const run = runFor(CHECK_MS, () => reasonOf(compiled, value));
      if (run.done) return run.value;
      overruns += 1;
      return `checking against the schema takes longer than ${CHECK_MS} ms`;
    } catch {
      // A schema that refers to itself without end: known only once an answer leads there.
      return "the schema can not be applied to this answer";
    }
  };
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function checkerFor(format: NonNullable<ChatRequest["body"]["response_format"]>): ((value: unknown) => string | undefined) | undefined {
  if (format.type === "json_object") return (value) => (isObject(value) ? undefined : "it is not a JSON object");
  if (format.type !== "json_schema") return undefined;
  const schema = format.json_schema?.["schema"];
  if (schema === undefined || schema === null) return () => undefined;
  if (typeof schema !== "boolean" && !isObject(schema)) throw unusable("it is neither an object nor a boolean.");
  return checkerOf(compile(schema));
}

/**
 * What checks answers against the request's `response_format`; undefined when any text will do. Compiled once per request. A schema of the
 * client's may be hostile: what can be slow is checked under a time limit, and an answer that overruns it is invalid. Throws
 * `invalid_request` for a schema that can not be used.
 */
export function validatorOf(request: ChatRequest): Validator | undefined {
  const format = request.body.response_format;
  const check = isObject(format) ? checkerFor(format) : undefined;
  if (!check) return undefined;
  return (text) => {
    const parsed = parse(text);
    if (!parsed.ok) return "it is not JSON";
    if (scanJsonObject(text).depth > DEEPEST) return `it nests deeper than ${DEEPEST} levels`;
    return check(parsed.value);
  };
}
