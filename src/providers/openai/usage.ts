import type { Usage } from "../../model/usage.ts";

type Json = Readonly<Record<string, unknown>>;

/** A count in a loosely typed answer; undefined for what is not a number of tokens. */
function count(value: unknown): number | undefined {
  return typeof value === "number" && Number.isFinite(value) && value >= 0 ? value : undefined;
}

function record(value: unknown): Json {
  return typeof value === "object" && value !== null ? (value as Json) : {};
}

/** Reads a wire `usage` with the several names that servers give to cached and reasoning tokens; undefined when it says nothing. */
export function readUsage(wire: unknown): Usage | undefined {
  const usage = record(wire);
  const promptTokens = count(usage["prompt_tokens"]);
  const completionTokens = count(usage["completion_tokens"]);
  if (promptTokens === undefined && completionTokens === undefined) return undefined;
  const prompt = record(usage["prompt_tokens_details"]);
  const completion = record(usage["completion_tokens_details"]);
  const optional = {
    cachedTokens: count(prompt["cached_tokens"]) ?? count(usage["prompt_cache_hit_tokens"]),
    cacheWriteTokens: count(prompt["cache_write_tokens"]) ?? count(prompt["created_cache_tokens"]),
    promptAudioTokens: count(prompt["audio_tokens"]),
    reasoningTokens: count(completion["reasoning_tokens"]),
    completionAudioTokens: count(completion["audio_tokens"]),
    acceptedPredictionTokens: count(completion["accepted_prediction_tokens"]),
    rejectedPredictionTokens: count(completion["rejected_prediction_tokens"]),
  };
  const known = Object.fromEntries(Object.entries(optional).filter(([, value]) => value !== undefined));
  return { promptTokens: promptTokens ?? 0, completionTokens: completionTokens ?? 0, ...known };
}
