import { GatewayError } from "../../model/errors.ts";

export type Json = Readonly<Record<string, unknown>>;

export function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Null is absent, for every field that may be left out. */
export function isGiven(value: unknown): boolean {
  return value !== undefined && value !== null;
}

export function fail(param: string, message: string): never {
  throw new GatewayError("invalid_request", `Invalid '${param}': ${message}.`, { param });
}

/** Refuses what is neither a string nor absent. */
export function optionalText(value: unknown, param: string): void {
  if (isGiven(value) && typeof value !== "string") fail(param, "expected a string");
}

/** What is wrong with a value that is not some text. */
export function whyNoText(value: unknown): string {
  if (!isGiven(value)) return "it is required";
  return value === "" ? "it is empty" : "expected a string";
}

/** Refuses what is no string. */
export function requireText(value: unknown, param: string): void {
  if (typeof value !== "string") fail(param, isGiven(value) ? "expected a string" : "it is required");
}
