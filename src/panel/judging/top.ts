import type { Call } from "../../model/call.ts";
import type { Weighed } from "../assemble.ts";
import type { Jury, Putting, Sitting } from "./judge.ts";
import { centralities } from "../voting/medoid.ts";
import { pairwise } from "./pairwise.ts";
import { hasRoom } from "../room.ts";

/** Scores closer than this are equal: sums of halves depend on their order. */
const SAME = 1e-9;

/** The candidates from the best score down; equals by how much they are like all the others, then in their own order. */
function ranked(candidates: readonly Weighed[], scores: readonly number[]): readonly Weighed[] {
  const central = centralities(candidates.map(({ text }) => text));
  const below = (values: readonly number[], a: number, b: number) => {
    const gap = (values[b] ?? 0) - (values[a] ?? 0);
    return Math.abs(gap) <= SAME ? 0 : gap;
  };
  return candidates
    .map((candidate, index) => ({ candidate, index }))
    .sort((a, b) => below(scores, a.index, b.index) || below(central, a.index, b.index) || a.index - b.index)
    .map(({ candidate }) => candidate);
}

/** Who ranks, and how many are kept. */
export interface Ranking extends Putting {
  readonly jury: Jury;
  readonly topK: number;
}

/** Candidates, best first, and whether a judge had a say in it. */
export interface Top {
  readonly best: readonly Weighed[];
  readonly judged: boolean;
}

function settle(candidates: readonly Weighed[], why: string, call: Call): Top {
  call.trace.degraded.push(`ranker: ${why}, the candidates most like the others were taken`);
  return { best: ranked(candidates, []), judged: false };
}

async function rank(candidates: readonly Weighed[], ranking: Ranking, sitting: Sitting, after: number): Promise<Top> {
  const { call, signal } = sitting;
  const questions = candidates.length * (candidates.length - 1);
  if (!hasRoom(call, questions + after)) return settle(candidates, "budget_denied", call);
  const { asked, failed, flips, missing, shares, wins } = await pairwise(ranking.jury, candidates, ranking, sitting);
  if (asked === missing) {
    return signal?.aborted
      ? { best: candidates, judged: false }
      : settle(candidates, failed.join(", ") || "nothing that it may judge", call);
  }
  if (missing > 0) call.trace.degraded.push(`ranker: ${missing} of ${asked} comparisons without a verdict (${failed.join(", ")})`);
  call.span.decision = {
    ...call.span.decision,
    wins: Object.fromEntries(wins.flatMap(({ item, wins }, index) => (shares[index] === undefined ? [] : [[item.label, wins]]))),
    ...(flips > 0 ? { flips } : {}),
  };
  // What nobody may judge is as good as a tie with everybody.
  const scores = shares.map((share) => share ?? 0.5);
  return { best: ranked(candidates, scores), judged: true };
}

/**
 * The best `topK` candidates, best first: all pairs are compared, in both orders, and wins are counted. Asks nobody where there are no more. With
 * no verdict at all, or no room in the budget for the comparisons and `after` further calls, the ones most like the others are kept: a
 * recorded degradation.
 */
export async function top(candidates: readonly Weighed[], ranking: Ranking, sitting: Sitting, after: number): Promise<Top> {
  if (candidates.length <= ranking.topK) return { best: candidates, judged: false };
  const { best, judged } = await rank(candidates, ranking, sitting, after);
  return { best: best.slice(0, ranking.topK), judged };
}
