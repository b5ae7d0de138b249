import type { Usage } from "../../model/usage.ts";
import type { Json } from "../openai/responses/json.ts";

const nothing: Usage = { promptTokens: 0, completionTokens: 0 };

/** Usage as this API writes it: it counts the cached parts of a prompt beside the rest, and has a number for each. */
export function messageUsage(usage: Usage = nothing): Json {
  const { promptTokens, completionTokens, cachedTokens = 0, cacheWriteTokens = 0, reasoningTokens } = usage;
  return {
    input_tokens: Math.max(0, promptTokens - cachedTokens - cacheWriteTokens),
    cache_creation_input_tokens: cacheWriteTokens,
    cache_read_input_tokens: cachedTokens,
    output_tokens: completionTokens,
    output_tokens_details: reasoningTokens === undefined ? null : { thinking_tokens: reasoningTokens },
    server_tool_use: null,
  };
}
