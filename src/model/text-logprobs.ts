import type { TokenLogprob } from "./events.ts";

/** Log-probabilities as text completions have them: columns, and maps by token. */
export interface TextLogprobs {
  readonly tokens: readonly string[];
  readonly token_logprobs: readonly number[];
  /** With the token itself, so that there is one more than was asked for where it is not among the best. */
  readonly top_logprobs: readonly Readonly<Record<string, number>>[];
  /** Where each token begins, in characters of the text. */
  readonly text_offset: readonly number[];
}

function mapOf({ token, logprob, top_logprobs: top = [] }: TokenLogprob): Readonly<Record<string, number>> {
  const best = new Map<string, number>();
  // Tokens that are parts of one character may read the same.
  for (const other of [...top, { token, logprob }]) best.set(other.token, Math.max(other.logprob, best.get(other.token) ?? -Infinity));
  return Object.fromEntries(best);
}

/** Columns of the tokens of one choice; `from` is where the first of them begins. */
export function textLogprobs(tokens: readonly TokenLogprob[], from = 0): TextLogprobs {
  let at = from;
  const offsets = tokens.map(({ token }) => {
    const offset = at;
    at += Array.from(token).length;
    return offset;
  });
  return {
    tokens: tokens.map(({ token }) => token),
    token_logprobs: tokens.map(({ logprob }) => logprob),
    top_logprobs: tokens.map(mapOf),
    text_offset: offsets,
  };
}

/** How much text these tokens are, in characters. */
export function textLength(tokens: readonly TokenLogprob[]): number {
  return tokens.reduce((sum, { token }) => sum + Array.from(token).length, 0);
}
