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

/** More than any one answer has: what tells more is broken, and would lock a key or spend its budget. */
const MOST_TOKENS = 1e9;

/** A count in a loosely typed answer; undefined for what is not a number of tokens. */
export function tokenCount(value: unknown): number | undefined {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) <= MOST_TOKENS ? (value as number) : undefined;
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
