import type { Call } from "./call.ts";

/** What a leaf may offer besides chat. One interface a capability; a leaf has those that its dialect, table or config declares. */

export interface Embedder {
  readonly name: string;
  /** One vector per text, in order. */
  embed(texts: readonly string[], call: Call): Promise<readonly Float32Array[]>;
}

export interface Reranker {
  readonly name: string;
  /** How well each document answers the query, in order; higher is better. Scores of one call compare with each other and with nothing else. */
  rerank(query: string, documents: readonly string[], call: Call): Promise<readonly number[]>;
}

/**
 * An endpoint beside chat that a leaf passes through, as a Model: its request is the client's body of that endpoint, with no messages in it. Of
 * `completions` the answer is batches or a completion; of the others one `finish`, whose completion has no choices, the server's `bytes` and what
 * they say as `extra.answer`.
 */
export type Passage = "completions" | "embeddings" | "moderations" | "rerank";

export interface TokenStep {
  readonly token: string;
  /** Natural logarithm. */
  readonly logprob: number;
  readonly top: readonly { readonly token: string; readonly logprob: number }[];
}

export interface Decoder {
  readonly name: string;
  /** Drafts up to `tokens` tokens after the given assistant prefix, with their top-k log-probabilities. */
  draft(prefix: string, options: { readonly tokens: number; readonly topK: number }, call: Call): Promise<readonly TokenStep[]>;
}

export interface Scorer {
  readonly name: string;
  /** Log-probability (natural) of `text` after the request's messages, token by token. */
  score(text: string, call: Call): Promise<readonly { readonly token: string; readonly logprob: number }[]>;
}

export interface Adapters {
  readonly name: string;
  /** Names of the adapters that the server has loaded. */
  list(call: Call): Promise<readonly string[]>;
}
