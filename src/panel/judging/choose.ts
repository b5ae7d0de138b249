/** Ways to choose one of several answers. */
import type { Reranker } from "../../model/leaves.ts";
import type { Weighed } from "../assemble.ts";
import { bestByScore } from "./best-by-score.ts";
import { bestOf, judgeable, NOTHING, type Jury, type Putting, type Sitting } from "./judge.ts";
import { medoid } from "../voting/medoid.ts";
import { comparisons, pairwise } from "./pairwise.ts";
import { reviewPeers } from "./peers.ts";
import { reward } from "./reward.ts";
import { hasRoom } from "../room.ts";
import type { Role } from "../seats.ts";
import { unjudged } from "./unjudged.ts";

/** What a way made of the candidates. */
export interface Choice {
  /** Undefined when there was no verdict. */
  readonly winner: Weighed | undefined;
  /** How it came about, for the record: plain JSON. */
  readonly told: Readonly<Record<string, unknown>>;
  /** What did not go as configured: replaced judges, missing verdicts. */
  readonly failed: readonly string[];
}

/** Chooses among two or more candidates. Throws only when the call was aborted. */
export type Way = (candidates: readonly Weighed[], sitting: Sitting) => Promise<Choice>;

const labelsOf = (candidates: readonly Weighed[]) => candidates.map(({ label }) => label);

/** Scores by the labels of their seats. */
function byLabel(candidates: readonly Weighed[], scores: readonly (number | undefined)[]): Readonly<Record<string, number>> {
  return Object.fromEntries(
    candidates.flatMap(({ label }, index) => {
      const score = scores[index];
      return score === undefined ? [] : [[label, score] as const];
    }),
  );
}

/** The best by score, with the equals that it was chosen from. */
function scored(
  candidates: readonly Weighed[],
  scores: readonly (number | undefined)[],
  told: Choice["told"],
  failed: readonly string[],
): Choice {
  const best = bestByScore(candidates, scores);
  const tie = best && best.tied.length > 0 ? { tie: labelsOf(best.tied) } : {};
  return { winner: best?.winner, told: { ...told, ...tie }, failed };
}

/** One judge sees all and picks one. */
export function byJudge(jury: Jury, putting: Putting): Way {
  return async (candidates, sitting) => {
    const picked = await bestOf(jury, candidates, putting, sitting);
    if (!picked.ok) return { winner: undefined, told: {}, failed: picked.failed };
    const { winner, judge, letters, failed } = picked;
    const shown = judgeable(candidates, judge);
    const skipped = candidates.filter((candidate) => !shown.includes(candidate));
    return {
      winner,
      told: { candidates: letters, ...(skipped.length > 0 ? { skipped: labelsOf(skipped) } : {}) },
      failed: failed.length > 0 ? [...failed, `${judge.label} decided`] : [],
    };
  };
}

/** No way begins what the budget can not pay to the end: half of the verdicts would cost money and decide nothing. */
const denied: Choice = { winner: undefined, told: {}, failed: ["budget_denied"] };

/** A judge compares every two in both orders. */
export function byPairs(jury: Jury, putting: Putting): Way {
  return async (candidates, sitting) => {
    if (!hasRoom(sitting.call, comparisons(candidates, jury))) return denied;
    const { asked, failed, flips, missing, shares, wins } = await pairwise(jury, candidates, putting, sitting);
    if (asked === missing) return { winner: undefined, told: {}, failed: asked === 0 ? [NOTHING] : failed };
    const told = {
      wins: Object.fromEntries(wins.map(({ item, wins }) => [item.label, wins])),
      ...(flips > 0 ? { flips } : {}),
      ...(missing > 0 ? { missing } : {}),
    };
    const lacking = missing > 0 ? [`${missing} of ${asked} comparisons without a verdict`] : [];
    return scored(candidates, shares, told, [...failed, ...lacking]);
  };
}

/** A reward model scores each. */
export function byReward(scorer: Reranker, maxTokens: number): Way {
  return async (candidates, sitting) => {
    const reply = await reward(scorer, candidates, maxTokens, sitting);
    if (!reply.ok) return { winner: undefined, told: {}, failed: [reply.why] };
    return scored(candidates, reply.value, { scores: byLabel(candidates, reply.value) }, []);
  };
}

/** The one most like all others. Asks nobody. */
export const byMedoid: Way = (candidates) => {
  return Promise.resolve({ winner: candidates[medoid(candidates.map(({ text }) => text))], told: {}, failed: [] });
};

/** Each author ranks the others. With two there is nothing that anybody could compare. */
export function byPeers(authors: ReadonlyMap<string, Role>, putting: Putting): Way {
  return async (candidates, sitting) => {
    const peers = candidates.flatMap((candidate) => {
      const author = authors.get(candidate.label);
      return author ? [{ label: candidate.label, text: candidate.text, author }] : [];
    });
    if (peers.length < 3) return { winner: undefined, told: {}, failed: ["fewer than three answers"] };
    if (!hasRoom(sitting.call, peers.length)) return denied;
    const { scores, places, missing } = await reviewPeers(peers, putting, sitting);
    const reasons = Object.entries(missing).map(([reviewer, why]) => `${reviewer} ${why}`);
    return scored(candidates, scores, { scores: byLabel(candidates, scores), places }, reasons);
  };
}

/**
 * Chooses in the given way, and without a verdict by the deterministic rule of `unjudged`. Tells who won and why, and what was degraded. A single
 * candidate, or several that say the same to the letter, needs nobody to choose.
 */
export async function choose(
  { by, way }: { readonly by: string; readonly way: Way },
  candidates: readonly Weighed[],
  sitting: Sitting,
): Promise<Weighed | undefined> {
  const { call, request } = sitting;
  const [first] = candidates;
  const decide = (winner: Weighed | undefined, told: Choice["told"]) => {
    if (winner) call.span.decision = { ...call.span.decision, ...told, winner: winner.label };
    return winner;
  };
  if (first === undefined || candidates.every(({ text }) => text.trim() === first.text.trim())) {
    return decide(first, { by: candidates.length === 1 ? "only answer" : "same answer" });
  }
  const { winner, told, failed } = await way(candidates, sitting);
  const why = [...new Set(failed)].join(", ");
  if (winner) {
    if (why !== "") call.trace.degraded.push(`${by}: ${why}`);
    return decide(winner, { by, ...told });
  }
  const settled = unjudged(candidates, request);
  const what = settled?.by === "vote" ? "the answer that most give" : "the medoid candidate";
  call.trace.degraded.push(`${by}: ${why === "" ? "no verdict" : why}, ${what} was taken`);
  return decide(settled?.winner, { by: settled?.by, replaced: why, ...told });
}
