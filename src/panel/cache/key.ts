import { hash } from "node:crypto";
import type { Call } from "../../model/call.ts";
import type { Heeds } from "../../model/heeds.ts";
import type { ChatRequest } from "../../model/request.ts";

/**
 * Fields that do not change what is answered: how it is delivered, on whose behalf, and the name under which this node was found. Everything
 * else is part of the key, unknown fields too; of `metadata`, what is heeded below.
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

/** The keys of `metadata` that are heeded, where the request has them. */
function* heededMetadata(keys: Heeded["metadata"], request: ChatRequest): Generator<string> {
  const { metadata } = request.body;
  if (typeof metadata !== "object" || metadata === null) return;
  if (keys === "all") yield `metadata:${written(request, "metadata", metadata)}`;
  else for (const [key, value] of Object.entries(metadata)) if (keys.includes(key)) yield `metadata ${canonical([key, value])}`;
}

/** The headers that are heeded, where the request has them. */
function* heededHeaders(names: Heeded["headers"], { header }: Pick<Call, "header">): Generator<string> {
  for (const name of names) {
    const value = header?.(name);
    if (value !== undefined) yield `header ${JSON.stringify([name, value])}`;
  }
}

/** What a node heeds below it, but for the key that asks: that is what partitions are for. */
type Heeded = Pick<Required<Heeds>, "headers" | "metadata">;

/** One key for all requests that must get the same answer from a node; `node` tells nodes apart. */
export function cacheKey({ node, heeds }: { readonly node: string; readonly heeds: Heeded }, request: ChatRequest, call: Call): string {
  const fields = Object.entries(request.body)
    .filter(([field, value]) => !IGNORED.has(field) && !isDefault(field, value))
    .toSorted(([a], [b]) => (a < b ? -1 : 1));
  const lines = fields.map(([field, value]) => `${JSON.stringify(field)}:${written(request, field, value)}`);
  const beside = [...heededMetadata(heeds.metadata, request), ...heededHeaders(heeds.headers, call)].sort();
  // What the body says in other words says less; on whose behalf is no question here either.
  const { metadata: _, ...native } = request.foreign?.native ?? {};
  if (Object.keys(native).length > 0) beside.push(`native ${canonical(native)}`);
  // What was counted only as far as one reader needs tells another too little.
  if (call.marks?.length) beside.push(`marks ${canonical(call.marks)}`);
  return hash("sha256", [JSON.stringify(node), ...lines, ...beside].join("\n"));
}
