import type { Usage } from "../../model/usage.ts";

/** The details that are told; undefined where none is. */
function known(fields: Readonly<Record<string, number | undefined>>): Record<string, number> | undefined {
  let told: Record<string, number> | undefined;
  for (const name in fields) {
    const tokens = fields[name];
    if (tokens !== undefined) (told ??= {})[name] = tokens;
  }
  return told;
}

/** Usage as the OpenAI API writes it. */
export function wireUsage(usage: Usage): Record<string, unknown> {
  const prompt = known({
    cached_tokens: usage.cachedTokens,
    cache_write_tokens: usage.cacheWriteTokens,
    audio_tokens: usage.promptAudioTokens,
  });
  const completion = known({
    reasoning_tokens: usage.reasoningTokens,
    audio_tokens: usage.completionAudioTokens,
    accepted_prediction_tokens: usage.acceptedPredictionTokens,
    rejected_prediction_tokens: usage.rejectedPredictionTokens,
  });
  const wire: Record<string, unknown> = {
    prompt_tokens: usage.promptTokens,
    completion_tokens: usage.completionTokens,
    total_tokens: usage.promptTokens + usage.completionTokens,
  };
  if (prompt) wire["prompt_tokens_details"] = prompt;
  if (completion) wire["completion_tokens_details"] = completion;
  return wire;
}
