/** The first step of a fuse: a ranker that lets the best candidates through. */
import type { Plan, Planned } from "../../model/plan.ts";
import { planQuestions, toJudge } from "../../panel/judging/judge.ts";
import type { Seating } from "../../panel/seats.ts";
import type { Ranking } from "../../panel/judging/top.ts";
import { OptionError, type BuildSite, type Node } from "../define.ts";
import * as shared from "../members.ts";

/** Candidates that a ranker lets through when the config does not say. */
export const TOP_K = 3;

interface RankingOptions {
  readonly members: readonly shared.MemberOptions[];
  readonly ranker?: shared.RoleOptions | undefined;
  readonly topK?: number | undefined;
}

/** How many go on to the writer; undefined when nobody ranks. */
function topKOf({ members, ranker, topK }: RankingOptions): number | undefined {
  if (ranker === undefined) {
    if (topK !== undefined) throw new OptionError("topK", "needs a `ranker`");
    return undefined;
  }
  const seats = shared.countSeats(members);
  const kept = topK ?? Math.min(TOP_K, seats - 1);
  if (kept < 1) throw new OptionError("ranker", "has nothing to rank: there is 1 seat");
  if (kept >= seats) throw new OptionError("topK", `lets all of ${seats} seats through, so there is nothing to rank`);
  return kept;
}

/** The ranker, built; undefined when nobody ranks. */
export function buildRanking(
  options: RankingOptions & { readonly maxCandidateTokens: number },
  seating: Seating,
  site: BuildSite,
): Ranking | undefined {
  const { maxCandidateTokens: maxTokens, ranker } = options;
  const topK = topKOf(options);
  if (ranker === undefined || topK === undefined) return undefined;
  const judge = toJudge(shared.buildRole(ranker, "ranker", site), shared.nodeOf(ranker), seating, (message) =>
    site.warn("ranker", message),
  );
  return { jury: [judge], topK, maxTokens, prompt: shared.promptOf(site, "rank-pair", ["candidates"], ["nonce", "form"]) };
}

/** The comparisons of all pairs, a retry of each at worst. At best those that it may judge of the `fewest` candidates. */
export function planRanking(
  options: RankingOptions,
  fewest: number,
  child: (node: Node) => Planned,
): { readonly cost: Pick<Plan, "calls" | "depth">; readonly ranker: Planned } | undefined {
  const topK = topKOf(options);
  const { members, ranker } = options;
  if (ranker === undefined || topK === undefined) return undefined;
  const seats = shared.countSeats(members);
  const own = shared.countSeats(members.filter((given) => shared.nodeOf(given) === shared.nodeOf(ranker)));
  const judged = fewest > topK ? Math.max(0, fewest - own) : 0;
  const planned = child(shared.nodeOf(ranker));
  const best = planQuestions(planned, judged * Math.max(0, judged - 1)).calls[0];
  const { calls, depth } = planQuestions(planned, seats * (seats - 1));
  return { cost: { calls: [best, calls[1]], depth }, ranker: planned };
}
