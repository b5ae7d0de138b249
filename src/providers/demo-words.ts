import type { Call } from "../model/call.ts";
import { sleep } from "../model/clock.ts";
import { GatewayError, throwIfAborted, toGatewayError } from "../model/errors.ts";
import type { Embedder, Reranker } from "../model/leaves.ts";
import type { Batched } from "./define.ts";
import type { Pace } from "./demo-leaf.ts";
import { hash } from "./demo-random.ts";

const MOST = 256;
const DIMENSIONS = 256;
/** What a word's letters weigh beside the word itself: forms of one word are near each other. */
const LETTERS = 0.3;

function wordsOf(text: string): readonly string[] {
  return text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [];
}

/** A hashed bag of words and of their letters in threes, of length 1: texts that share words are near each other, and nothing is known of meaning. */
function vectorOf(text: string): Float32Array {
  const vector = new Float32Array(DIMENSIONS);
  const add = (part: string, weight: number) => {
    const h = hash(part);
    const place = h % DIMENSIONS;
    vector[place] = (vector[place] ?? 0) + (h < 2 ** 31 ? weight : -weight);
  };
  for (const word of wordsOf(text)) {
    // Short words are in every text.
    add(word, Math.min(1, word.length / 4));
    const padded = `<${word}>`;
    for (let at = 0; at + 3 <= padded.length; at += 1) add(padded.slice(at, at + 3), LETTERS);
  }
  const length = Math.hypot(...vector);
  return length === 0 ? vector : vector.map((value) => value / length);
}

/** The share of the query's words that a document has; of two with the same share the one with fewer others is ahead. */
function overlap(query: ReadonlySet<string>, document: string): number {
  const words = new Set(wordsOf(document));
  const shared = [...query].filter((word) => words.has(word)).length;
  if (shared === 0) return 0;
  return shared / query.size - (0.01 * (words.size - shared)) / words.size;
}

/** Takes as long as the first token of an answer, and tells what it read. */
async function ask(name: string, { firstTokenMs }: Pace, texts: readonly string[], call: Call): Promise<void> {
  const { clock, signal, span, timeouts } = call;
  try {
    throwIfAborted(signal);
    span.sent = true;
    const bound = Math.min(timeouts.firstTokenMs ?? Infinity, timeouts.totalMs ?? Infinity);
    await sleep(clock, Math.min(firstTokenMs, bound), signal);
    if (bound < firstTokenMs) throw new GatewayError("upstream_timeout", `${name} took too long.`, { upstream: name });
    span.usage = { promptTokens: texts.reduce((sum, text) => sum + wordsOf(text).length, 0), completionTokens: 0 };
    span.estimated = false;
  } catch (thrown) {
    throw toGatewayError(thrown, signal);
  }
}

export function demoEmbedder(name: string, pace: Pace): Batched<Embedder> {
  return {
    name,
    most: MOST,
    async embed(texts, call) {
      await ask(name, pace, texts, call);
      return texts.map(vectorOf);
    },
  };
}

export function demoReranker(name: string, pace: Pace): Batched<Reranker> {
  return {
    name,
    most: MOST,
    async rerank(query, documents, call) {
      await ask(name, pace, [query, ...documents], call);
      const asked = new Set(wordsOf(query));
      return documents.map((document) => overlap(asked, document));
    },
  };
}
