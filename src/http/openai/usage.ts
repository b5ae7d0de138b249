import type { Usage } from "../../model/usage.ts";

function known(fields: Readonly<Record<string, number | undefined>>): Record<string, number> {
  return Object.fromEntries(Object.entries(fields).filter((entry): entry is [string, number] => entry[1] !== undefined));
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
  return {
    prompt_tokens: usage.promptTokens,
    completion_tokens: usage.completionTokens,
    total_tokens: usage.promptTokens + usage.completionTokens,
    ...(Object.keys(prompt).length > 0 ? { prompt_tokens_details: prompt } : {}),
    ...(Object.keys(completion).length > 0 ? { completion_tokens_details: completion } : {}),
  };
}
