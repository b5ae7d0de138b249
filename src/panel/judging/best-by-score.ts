import { argmax, centralities } from "../voting/medoid.ts";
import type { Showable } from "../showing.ts";

/** Scores closer than this are equal: sums of halves and thirds depend on their order. */
const SAME = 1e-9;

/**
 * The best by score; candidates without one can not win. Between equals the one that is most like all candidates, then the earliest.
 * Undefined when none has a score.
 */
export function bestByScore<T extends Pick<Showable, "text">>(
  items: readonly T[],
  scores: readonly (number | undefined)[],
): { readonly winner: T; readonly tied: readonly T[] } | undefined {
  const known = scores.filter((score) => score !== undefined);
  const most = Math.max(...known);
  const isBest = (index: number) => (scores[index] ?? Number.NEGATIVE_INFINITY) >= most - SAME;
  const tied = known.length > 0 ? items.filter((_, index) => isBest(index)) : [];
  const [first, ...others] = tied;
  if (first === undefined) return undefined;
  if (others.length === 0) return { winner: first, tied: [] };
  const central = centralities(items.map(({ text }) => text));
  const winner = items[argmax(central.map((value, index) => (isBest(index) ? value : Number.NEGATIVE_INFINITY)))];
  return { winner: winner ?? first, tied };
}
