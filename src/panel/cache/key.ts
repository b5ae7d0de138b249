import { hash } from "node:crypto";
import type { ChatRequest } from "../../model/request.ts";

/**
 * Fields that do not change what is answered: how it is delivered, on whose behalf, and the name under which this node was found. Everything
 * else is part of the key, unknown fields too.
 */
const IGNORED: ReadonlySet<string> = new Set([
  "model",
  "stream",
  "stream_options",
  "user",
  "safety_identifier",
  "metadata",
  "prompt_cache_key",
  "prompt_cache_retention",
  "chorale",
]);

/** Values that mean the same as an absent field. */
function isDefault(field: string, value: unknown): boolean {
  return value === undefined || value === null || (field === "n" && value === 1) || (field === "logprobs" && value === false);
}

/** Whether a double may stand for another number than the one that was written. */
function losesDigits(value: unknown): boolean {
  if (typeof value === "number") return Number.isInteger(value) && !Number.isSafeInteger(value);
  return typeof value === "object" && value !== null && Object.values(value).some(losesDigits);
}

/** JSON with the keys of every object in order, so that equal values are equal texts. */
function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const members = Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return `{${members.map(([key, member]) => `${JSON.stringify(key)}:${canonical(member)}`).join(",")}}`;
}

/** The text of one field. Digits beyond 2^53 exist only in the client's own bytes, so there those count as they are. */
function written({ source, edits }: ChatRequest, field: string, value: unknown): string {
  const span = Object.hasOwn(edits, field) ? undefined : source.scan.spans.get(field);
  return span && losesDigits(value) ? source.text.slice(span[1], span[2]) : canonical(value);
}

/** One key for all requests that must get the same answer from a node; `node` tells nodes apart. */
export function cacheKey(node: string, request: ChatRequest): string {
  const fields = Object.entries(request.body)
    .filter(([field, value]) => !IGNORED.has(field) && !isDefault(field, value))
    .toSorted(([a], [b]) => (a < b ? -1 : 1));
  const lines = fields.map(([field, value]) => `${JSON.stringify(field)}:${written(request, field, value)}`);
  return hash("sha256", [JSON.stringify(node), ...lines].join("\n"));
}
