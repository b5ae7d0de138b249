import type { Usage } from "../../model/usage.ts";
import type { Json } from "../openai/responses/json.ts";

const nothing: Usage = { promptTokens: 0, completionTokens: 0 };

/** A number of tokens as clients with types read it: some servers' sums do not add up. */
function count(tokens: number): number {
  return Math.max(0, Math.round(tokens));
}

/** Usage as this API writes it: it counts the cached parts of a prompt beside the rest, and has a number for each. */
export function messageUsage(usage: Usage = nothing): Json {
  const { promptTokens, completionTokens, cachedTokens = 0, cacheWriteTokens = 0, reasoningTokens } = usage;
  return {
    input_tokens: count(promptTokens - cachedTokens - cacheWriteTokens),
    cache_creation_input_tokens: count(cacheWriteTokens),
    cache_read_input_tokens: count(cachedTokens),
    output_tokens: count(completionTokens),
    output_tokens_details: reasoningTokens === undefined ? null : { thinking_tokens: count(reasoningTokens) },
    server_tool_use: null,
  };
}
