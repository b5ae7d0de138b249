import { GatewayError } from "../../../model/errors.ts";

export type Json = Readonly<Record<string, unknown>>;

export function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Refuses a request for a field whose value is wrong. */
export function invalid(param: string, message: string): never {
  throw new GatewayError("invalid_request", `Invalid '${param}': ${message}.`, { param });
}

/** Refuses a request for something that this API has and a chat can not say. */
export function unsupported(param: string, message: string): never {
  throw new GatewayError("unsupported_parameter", `Unsupported '${param}': ${message}.`, { param });
}

/** A name that the client wrote, short enough for a message. */
export function quoted(value: unknown): string {
  const text = typeof value === "string" ? value : JSON.stringify(value);
  return `'${text.slice(0, 100)}'`;
}

/** Digits that a double can not hold, or an exponent; in a string it only costs time. */
const longNumber = /[\d.]{16}|\d[eE]/;

interface RawJson {
  rawJSON(text: string): unknown;
}

/** A number that a double can not hold as its own digits. */
function keepDigits(_key: string, value: unknown, context?: { readonly source?: string }): unknown {
  const source = context?.source;
  if (typeof value !== "number" || source === undefined || String(value) === source) return value;
  return (JSON as unknown as RawJson).rawJSON(source);
}

/**
 * Parses JSON so that writing it again changes no number: one that a double can not hold becomes an object that JSON.stringify writes as its
 * digits. What is read of such a value has to be read from an ordinary parse. Do not give it more levels than the door allows: it recurses.
 */
export function parseExact(text: string): unknown {
  return longNumber.test(text) ? (JSON.parse(text, keepDigits) as unknown) : (JSON.parse(text) as unknown);
}
