/**
 * Token counts of one leg or their sum. `cachedTokens` and `cacheWriteTokens` are parts of `promptTokens`, `reasoningTokens` a part of
 * `completionTokens`, as in the OpenAI API. Absent means that nobody said, not zero.
 */
export interface Usage {
  readonly promptTokens: number;
  readonly completionTokens: number;
  readonly cachedTokens?: number;
  readonly cacheWriteTokens?: number;
  readonly promptAudioTokens?: number;
  readonly reasoningTokens?: number;
  readonly completionAudioTokens?: number;
  readonly acceptedPredictionTokens?: number;
  readonly rejectedPredictionTokens?: number;
}

const details = [
  "cachedTokens",
  "cacheWriteTokens",
  "promptAudioTokens",
  "reasoningTokens",
  "completionAudioTokens",
  "acceptedPredictionTokens",
  "rejectedPredictionTokens",
] as const;

/** Adds two usages field by field; a detail that neither has stays absent. */
export function addUsage(a: Usage, b: Usage): Usage {
  const sum: { -readonly [K in keyof Usage]: Usage[K] } = {
    promptTokens: a.promptTokens + b.promptTokens,
    completionTokens: a.completionTokens + b.completionTokens,
  };
  for (const detail of details) {
    if (a[detail] !== undefined || b[detail] !== undefined) sum[detail] = (a[detail] ?? 0) + (b[detail] ?? 0);
  }
  return sum;
}
