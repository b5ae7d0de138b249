import { tokenCount as count, type Usage } from "../../model/usage.ts";

type Json = Readonly<Record<string, unknown>>;

function record(value: unknown): Json {
  return typeof value === "object" && value !== null ? (value as Json) : {};
}

/**
 * Adds to a wire `usage` what servers tell under names of their own, or leave to be summed; true when something was missing. What they tell
 * stays.
 */
export function canonicalUsage(usage: Record<string, unknown>): boolean {
  const details = record(usage["prompt_tokens_details"]);
  const hit = details["cached_tokens"] === undefined ? count(usage["prompt_cache_hit_tokens"]) : undefined;
  const written = details["cache_write_tokens"] === undefined ? count(details["created_cache_tokens"]) : undefined;
  const total =
    usage["total_tokens"] === undefined ? (count(usage["prompt_tokens"]) ?? 0) + (count(usage["completion_tokens"]) ?? 0) : undefined;
  if (hit !== undefined || written !== undefined) {
    usage["prompt_tokens_details"] = {
      ...details,
      ...(hit === undefined ? {} : { cached_tokens: hit }),
      ...(written === undefined ? {} : { cache_write_tokens: written }),
    };
  }
  if (total !== undefined) usage["total_tokens"] = total;
  return hit !== undefined || written !== undefined || total !== undefined;
}

/** Reads a wire `usage` with the several names that servers give to cached and reasoning tokens; undefined when it says nothing. */
export function readUsage(wire: unknown): Usage | undefined {
  const usage = record(wire);
  const promptTokens = count(usage["prompt_tokens"]);
  const completionTokens = count(usage["completion_tokens"]);
  if (promptTokens === undefined && completionTokens === undefined) return undefined;
  const read: { -readonly [K in keyof Usage]: Usage[K] } = { promptTokens: promptTokens ?? 0, completionTokens: completionTokens ?? 0 };
  const prompt = record(usage["prompt_tokens_details"]);
  const completion = record(usage["completion_tokens_details"]);
  const set = (detail: Exclude<keyof Usage, "promptTokens" | "completionTokens">, tokens: number | undefined) => {
    if (tokens !== undefined) read[detail] = tokens;
  };
  set("cachedTokens", count(prompt["cached_tokens"]) ?? count(usage["prompt_cache_hit_tokens"]));
  set("cacheWriteTokens", count(prompt["cache_write_tokens"]) ?? count(prompt["created_cache_tokens"]));
  set("promptAudioTokens", count(prompt["audio_tokens"]));
  set("reasoningTokens", count(completion["reasoning_tokens"]));
  set("completionAudioTokens", count(completion["audio_tokens"]));
  set("acceptedPredictionTokens", count(completion["accepted_prediction_tokens"]));
  set("rejectedPredictionTokens", count(completion["rejected_prediction_tokens"]));
  return read;
}
