import { tokenCount as count, type Usage } from "../../model/usage.ts";
import { isRecord, type Json } from "../translate/json.ts";

/** Later counts over earlier ones: those of a stream are cumulative, and what a later event does not know stays. */
export function mergedUsage(before: Json, later: unknown): Json {
  if (!isRecord(later)) return before;
  return { ...before, ...Object.fromEntries(Object.entries(later).filter(([, value]) => value !== null)) };
}

/** The API counts the cached parts of a prompt beside the rest; here they are parts of the whole. Undefined when nothing was counted. */
export function readUsage(wire: unknown): Usage | undefined {
  const usage = isRecord(wire) ? wire : {};
  const input = count(usage["input_tokens"]);
  const output = count(usage["output_tokens"]);
  if (input === undefined && output === undefined) return undefined;
  const read = count(usage["cache_read_input_tokens"]);
  const written = count(usage["cache_creation_input_tokens"]);
  const details = usage["output_tokens_details"];
  const thinking = isRecord(details) ? count(details["thinking_tokens"]) : undefined;
  return {
    promptTokens: (input ?? 0) + (read ?? 0) + (written ?? 0),
    completionTokens: output ?? 0,
    ...(read === undefined ? {} : { cachedTokens: read }),
    ...(written === undefined ? {} : { cacheWriteTokens: written }),
    ...(thinking === undefined ? {} : { reasoningTokens: thinking }),
  };
}
