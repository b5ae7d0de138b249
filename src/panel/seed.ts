import type { Call } from "../model/call.ts";
import type { ChatRequest } from "../model/request.ts";

const UINT31 = 2 ** 31;

/** FNV-1a over UTF-16 units, then the finaliser of MurmurHash3, so that neighbouring seeds do not give neighbouring results. */
function hash(text: string): number {
  let h = 0x811c9dc5;
  for (let i = 0; i < text.length; i += 1) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

/**
 * The seed of one leg, 0 to 2^31-1: stable over processes and versions, the same wherever a member stands in the tree, different for each
 * member and sample.
 */
export function deriveSeed(seed: number, label: string, sample: number): number {
  return hash(`${seed}\n${label}\n${sample}`) >>> 1;
}

/** The seed that the client gave. */
export function seedOf(request: ChatRequest): number | undefined {
  const { seed } = request.body;
  return typeof seed === "number" ? seed : undefined;
}

/** A seed for a request that came without one. */
export function freshSeed(call: Call): number {
  return Math.floor(call.random() * UINT31);
}

/** Draws in [0, 1) that repeat with their seed (mulberry32). */
export function drawsFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Draws that repeat when the client gave a seed; else the call's own. `purpose` keeps uses apart. */
export function drawsOf(request: ChatRequest, call: Call, purpose: string): () => number {
  const seed = seedOf(request);
  return seed === undefined ? call.random : drawsFrom(deriveSeed(seed, purpose, 0));
}
