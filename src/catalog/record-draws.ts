import type { Call } from "../model/call.ts";
import { deriveSeed, drawsFrom } from "../panel/seed.ts";

/** Draws of one request that can be drawn again: each node has its own below its parent's, so that what runs beside it does not matter. */
export interface Draws {
  (): number;
  readonly seed: number;
  /** The draws of a child. Children of one label are told apart by the order in which they begin. */
  below(label: string): Draws;
}

export function openDraws(seed: number): Draws {
  const begun = new Map<string, number>();
  const below = (label: string): Draws => {
    const before = begun.get(label) ?? 0;
    begun.set(label, before + 1);
    return openDraws(deriveSeed(seed, label, before));
  };
  return Object.assign(drawsFrom(seed), { seed, below });
}

export function isDraws(random: () => number): random is Draws {
  return "below" in random;
}

/** The call of a node with draws of its own. */
export function withOwnDraws(call: Call): Call {
  return isDraws(call.random) ? { ...call, random: call.random.below(call.span.label) } : call;
}
