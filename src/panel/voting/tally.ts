/**
 * Counts the votes of a panel and says when more votes can not, or will hardly, change the winner.
 * Majority over extracted answers: self-consistency, arXiv 2203.11171. When to stop sampling: adaptive consistency, arXiv 2305.11860.
 */

import { boundsOf, type Bounds, type Outstanding } from "./outstanding.ts";

/** One class of equal answers. */
export interface Standing {
  readonly key: string;
  /** Sum of the weights of its votes. */
  readonly weight: number;
  /** How many votes. */
  readonly count: number;
  /** The earliest declared order among its voters: whose text speaks for the class, and what breaks a tie. */
  readonly order: number;
}

export interface Tally {
  /**
   * Counts one vote. Only usable answers are votes: a candidate without a key is not added.
   * @param weight finite; 1 for an unweighted vote. Log-odds weights ln(p(K-1)/(1-p)) may be negative: such a voter speaks against its own answer.
   * @param order the voter's place among the declared members (or samples), from 0.
   */
  add(key: string, weight: number, order: number): void;
  /** The class with the most weight; among equals the one with the earliest voter. Undefined before the first vote. */
  leader(): Standing | undefined;
  /** The leader and all classes with as much weight, the one with the earliest voter first. */
  leaders(): readonly Standing[];
  /** All classes, best first: by weight, equals by their earliest voter. */
  standings(): readonly Standing[];
  /** The agreement: the leader's weight over the (absolute) weight of all valid votes, 0..1; 0 before the first vote. All weights zero: shares of counts. */
  share(): number;
  /** Where that share may end once the votes that are out have come, or some of them. */
  bounds(out: Outstanding): Bounds;
  /**
   * Whether no outcome of the outstanding votes can change the leader: weight(leader) - weight(runner-up) > outstanding.
   * - A class nobody voted for yet is a rival with weight 0, so while all agree the leader needs more than what is outstanding: more than half of all.
   * - A lead that equals the outstanding weight is not enough: the tie could fall to an earlier member.
   * - With nothing outstanding any vote decides, a tie too (by order).
   * @param outstanding the sum of the absolute weights of the votes that may still come: failed and unusable ones no longer count.
   */
  unassailable(outstanding: number): boolean;
  /**
   * Whether the leader is the mode with at least `confidence`, judged by `leadProbability` of the two largest counts.
   * Valid only for samples of one model (exchangeable, equal weights); a mixed panel asks `unassailable`.
   */
  beta(confidence?: number): boolean;
}

/** Weights closer than this share of the whole are equal: sums of floats depend on the order of arrival, a winner must not. */
const SAME = 1e-9;

/** Below this many bits of headroom a running sum is scaled down: counts in the thousands do not overflow. */
const SCALE_BITS = 500;

/**
 * The probability that a class with `a` votes is truly more likely than one with `b`, from a uniform prior over the two:
 *
 *     P = 1 - I_0.5(a+1, b+1),   I_0.5(a+1, b+1) = 2^-n * sum_{i=0}^{b} C(n, i),   n = a + b + 1
 *
 * (for integers the regularised incomplete beta function is a binomial tail). 4-0 gives 0.969, 6-1 gives 0.965, 1-1 gives 0.5.
 */
export function leadProbability(a: number, b: number): number {
  const n = a + b + 1;
  let term = 1;
  let sum = 1;
  let bits = n;
  for (let i = 0; i < b; i += 1) {
    term *= (n - i) / (i + 1);
    sum += term;
    if (sum > 2 ** SCALE_BITS) {
      term /= 2 ** SCALE_BITS;
      sum /= 2 ** SCALE_BITS;
      bits -= SCALE_BITS;
    }
  }
  return 1 - sum * 2 ** -bits;
}

/** The class that goes before the other when their weights are equal: never random, never the longest. */
function earlier(a: Standing, b: Standing): Standing {
  if (a.order !== b.order) return a.order < b.order ? a : b;
  return a.key < b.key ? a : b;
}

/** Takes the best class out of `rest`. */
function takeBest(rest: Set<Standing>, tolerance: number): Standing | undefined {
  let most = Number.NEGATIVE_INFINITY;
  for (const standing of rest) most = Math.max(most, standing.weight);
  let best: Standing | undefined;
  for (const standing of rest) {
    if (standing.weight < most - tolerance) continue;
    best = best === undefined ? standing : earlier(best, standing);
  }
  if (best !== undefined) rest.delete(best);
  return best;
}

/** Starts an empty tally. Its results depend on the votes, not on the order in which they arrive. */
export function createTally(): Tally {
  const classes = new Map<string, Standing>();
  let total = 0;

  const add = (key: string, weight: number, order: number): void => {
    const old = classes.get(key);
    total += Math.abs(weight);
    classes.set(key, {
      key,
      weight: (old?.weight ?? 0) + weight,
      count: (old?.count ?? 0) + 1,
      order: Math.min(old?.order ?? order, order),
    });
  };

  const firstTwo = (): readonly [Standing | undefined, Standing | undefined] => {
    const rest = new Set(classes.values());
    return [takeBest(rest, total * SAME), takeBest(rest, total * SAME)];
  };

  const leader = (): Standing | undefined => takeBest(new Set(classes.values()), total * SAME);

  return {
    add,
    leader,
    leaders() {
      const most = leader()?.weight ?? 0;
      return [...classes.values()].filter(({ weight }) => Math.abs(weight - most) <= total * SAME).sort((a, b) => a.order - b.order);
    },
    standings() {
      const rest = new Set(classes.values());
      const sorted: Standing[] = [];
      for (let best = takeBest(rest, total * SAME); best !== undefined; best = takeBest(rest, total * SAME)) sorted.push(best);
      return sorted;
    },
    share() {
      const first = leader();
      if (first === undefined) return 0;
      if (total > 0) return Math.min(1, Math.max(0, first.weight / total));
      let votes = 0;
      for (const standing of classes.values()) votes += standing.count;
      return first.count / votes;
    },
    bounds: (out) => boundsOf(leader()?.weight ?? 0, total, out),
    unassailable(outstanding) {
      const [first, second] = firstTwo();
      if (first === undefined) return false;
      if (outstanding <= 0) return true;
      const rival = Math.max(0, second?.weight ?? 0);
      return first.weight - rival > outstanding + total * SAME;
    },
    beta(confidence = 0.95) {
      const first = leader();
      if (first === undefined) return false;
      let second = 0;
      for (const standing of classes.values()) if (standing.key !== first.key) second = Math.max(second, standing.count);
      return leadProbability(first.count, second) >= confidence;
    },
  };
}
