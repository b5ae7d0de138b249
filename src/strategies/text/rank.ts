import * as z from "zod";
import type { Call } from "../../model/call.ts";
import { GatewayError } from "../../model/errors.ts";
import type { ModelEvent } from "../../model/events.ts";
import type { Plan, Planned } from "../../model/plan.ts";
import type { ChatRequest } from "../../model/request.ts";
import { assemble, type Assembly } from "../../panel/assemble.ts";
import { byJudge, byMedoid, byPairs, byPeers, byReward, choose, type Way } from "../../panel/judging/choose.ts";
import { flush } from "../../panel/flush.ts";
import { planQuestions, toJudge, type Jury, type Putting } from "../../panel/judging/judge.ts";
import { panel } from "../../panel/panel.ts";
import { openPatience } from "../../panel/patience.ts";
import { repairOnce, schemaUnsatisfied, type RepairPrompt } from "../../panel/repair.ts";
import { validatorOf } from "../../panel/schema.ts";
import { everyone, type Role, type Seating } from "../../panel/seats.ts";
import { defineStrategy, node, OptionError, type BuildSite, type Node } from "../define.ts";
import * as shared from "../members.ts";
import { buildTools, withTools } from "../tool-turns.ts";

/** What a reader sees of each candidate. */
const CANDIDATE_TOKENS = 4_000;

const options = z.strictObject({
  members: shared.members,
  by: z
    .enum(["judge", "pairwise", "reward", "medoid", "peers"])
    .describe(
      "Who picks: a judge that sees all; a judge that compares every two in both orders; a reward model; nobody, the answer most like the others; the members, each ranking the others.",
    ),
  judge: shared.role.optional().describe("For `by: judge` and `by: pairwise`. Best one that is no member: it skips its own answer."),
  judgeReserves: z.array(shared.role).default([]).describe("Asked when the judge fails, in order."),
  reward: node.optional().describe("For `by: reward`: a model that scores documents."),
  maxCandidateTokens: z
    .int()
    .min(16)
    .optional()
    .describe(`What a reader is shown of each candidate at most, ${CANDIDATE_TOKENS} unless said; an estimate. Not for \`by: medoid\`.`),
  quorum: shared.quorum,
  onShort: shared.onShort,
  refusals: shared.refusals,
  tools: shared.tools,
});

type Options = z.output<typeof options>;

/** A ranking as it was built. */
interface Rank {
  readonly assembly: Assembly;
  readonly by: Options["by"];
  readonly way: Way;
  /** Who repairs when no answer is valid. */
  readonly first: Role;
  readonly repairPrompt: RepairPrompt;
}

const isJudged = ({ by }: Options) => by === "judge" || by === "pairwise";

/** Two answers are enough to pick from; three where each is ranked by those who wrote the others. */
function quorumOf({ by, members, quorum }: Options): Assembly["quorum"] {
  const seats = shared.countSeats(members);
  const enough = by === "peers" ? 3 : 2;
  return shared.quorumOf(quorum, seats, Math.min(enough, seats));
}

/** The judges in order; none where nobody judges. */
function judgesOf({ judge, judgeReserves }: Options): readonly shared.RoleOptions[] {
  return judge === undefined ? [] : [judge, ...judgeReserves];
}

function check(own: Options): void {
  const { by, judge, judgeReserves, maxCandidateTokens, members, reward } = own;
  if (isJudged(own) && judge === undefined) throw new OptionError("judge", `\`by: ${by}\` needs one`);
  if (!isJudged(own) && judge !== undefined) throw new OptionError("judge", "goes with `by: judge` or `by: pairwise`");
  if (judge === undefined && judgeReserves.length > 0) throw new OptionError("judgeReserves", "goes with `judge`");
  if (by === "reward" && reward === undefined) throw new OptionError("reward", "`by: reward` needs one");
  if (by !== "reward" && reward !== undefined) throw new OptionError("reward", "goes with `by: reward`");
  if (by === "medoid" && maxCandidateTokens !== undefined) {
    throw new OptionError("maxCandidateTokens", "has no effect by medoid, where nobody reads the candidates; leave it out");
  }
  if (by === "peers" && shared.countSeats(members) < 3)
    throw new OptionError("members", "`by: peers` needs three: of two nobody has answers to compare");
  quorumOf(own);
}

function buildJury(own: Options, seating: Seating, site: BuildSite): Jury {
  return judgesOf(own).map((given, index) => {
    const at = index === 0 ? "judge" : `judgeReserves[${index - 1}]`;
    const role = { ...shared.buildRole(given, at, site), label: index === 0 ? "judge" : `judge ${index + 1}` };
    return toJudge(role, shared.nodeOf(given), seating, (message) => site.warn(at, message));
  });
}

function buildWay(own: Options, seating: Seating, site: BuildSite): Way {
  const { by, maxCandidateTokens: maxTokens = CANDIDATE_TOKENS } = own;
  const putting = (name: string): Putting => ({
    prompt: shared.promptOf(site, name, ["candidates"], ["nonce", "form"]),
    maxTokens,
  });
  const ways: Readonly<Record<Options["by"], () => Way>> = {
    judge: () => byJudge(buildJury(own, seating, site), putting("rank")),
    pairwise: () => byPairs(buildJury(own, seating, site), putting("rank-pair")),
    peers: () => byPeers(new Map([...seating.places, ...seating.reserves].map((place) => [place.label, place])), putting("rank-peers")),
    reward: () => byReward(site.reranker(own.reward ?? "", "reward"), maxTokens),
    medoid: () => byMedoid,
  };
  return ways[by]();
}

async function* answer(rank: Rank, request: ChatRequest, call: Call): AsyncGenerator<ModelEvent> {
  const { assembly, first, repairPrompt } = rank;
  using patience = openPatience(call, assembly.quorum.deadlineMs);
  const { signal } = patience;
  const validator = validatorOf(request);
  const { candidates, early, invalid } = await assemble(assembly, request, call, { validator });
  if (early !== undefined) call.span.decision = { early };
  const winner = await choose(rank, candidates, { request, call, signal });
  if (winner !== undefined) {
    yield* flush(winner.completion, call);
    return;
  }
  if (validator === undefined || invalid === undefined) throw new GatewayError("internal", `${assembly.name} has no answers to rank.`);
  const repaired = await repairOnce({ writer: first, prompt: repairPrompt, validator, signal }, invalid, request, call);
  call.span.decision = { by: "repair", repaired: repaired !== undefined };
  if (repaired === undefined) throw schemaUnsatisfied(assembly.name, invalid);
  yield* flush(repaired, call);
}

/** What choosing costs once the answers are there, at worst: nothing when they are all the same. */
function planChoice(
  own: Options,
  child: (node: Node) => Planned,
): { readonly calls: number; readonly depth: number; readonly edges: Plan["edges"] } {
  const { by, members, quorum, reward } = own;
  const seats = shared.countSeats(members);
  if (by === "medoid") return { calls: 0, depth: 0, edges: [] };
  if (by === "reward") {
    const scorer = child(reward ?? "");
    return { calls: scorer.plan.calls[1], depth: scorer.plan.depth, edges: [{ role: "reward", child: scorer }] };
  }
  if (by === "peers") {
    const all = [...members, ...quorum.reserves].flatMap((given) =>
      Array.from({ length: shared.countSeats([given]) }, () => planQuestions(child(shared.nodeOf(given)))),
    );
    const dearest = all.map(({ calls }) => calls[1]).sort((a, b) => b - a);
    return {
      calls: dearest.slice(0, seats).reduce((sum, calls) => sum + calls, 0),
      depth: Math.max(...all.map(({ depth }) => depth)),
      edges: [],
    };
  }
  const judges = judgesOf(own).map((given) => child(shared.nodeOf(given)));
  const plans = judges.map((judge) => planQuestions(judge, by === "pairwise" ? seats * (seats - 1) : 1));
  return {
    calls: plans.reduce((sum, { calls }) => sum + calls[1], 0),
    depth: plans.reduce((sum, { depth }) => sum + depth, 0),
    edges: judges.map((judge, index) => ({ role: index === 0 ? "judge" : `judge ${index + 1}`, child: judge })),
  };
}

/**
 * All members answer, and the best answer is returned untouched.
 *
 * - `judge`: one judge sees all and names the best (best of n): n + 1 calls.
 * - `pairwise`: a judge compares every two, each pair in both orders; a verdict that changes with the order is a tie; most wins. n + n(n-1) calls,
 *   so for few members. LLM-Blender's PairRanker (arXiv 2306.02561) with a chat model.
 * - `reward`: a reward model or reranker scores all: n + 1 calls.
 * - `medoid`: the answer most like all others, by character 3-grams: n calls.
 * - `peers`: each member puts the others' answers in order, never its own; the highest mean place wins: 2n calls.
 *
 * Depth 2, 1 for `medoid`. A reply without a verdict costs one call more, and `judgeReserves` theirs; the plan counts both. Nothing streams.
 * Pays where answers can not be compared by machine and one of them, whole, is good enough; `fuse` can also correct. A judge much weaker than
 * the members picks little better than chance, and members of one strength are worth more than many.
 *
 * - Candidates are shown under letters, in random order, fenced. A judge skips the answers of its own model.
 * - Without a verdict: the next judge, then the answer that most give where two give the same, else the medoid; marked as degraded.
 * - Equals go to the one most like all others, then to the earlier seat.
 */
export const rank = defineStrategy({
  kind: "rank",
  level: "text",
  summary: "Asks several models and returns the best answer, picked by a judge, a reward model, or the members.",
  options,
  build(own, site) {
    check(own);
    const { by, members, onShort, quorum, refusals, tools } = own;
    const seating = shared.buildSeating(members, quorum.reserves, site);
    const [first] = seating.places;
    if (first === undefined) throw new OptionError("members", "a ranking needs at least one");
    const built: Rank = {
      assembly: { name: site.name, seating, quorum: quorumOf(own), onShort, refusals },
      by,
      way: buildWay(own, seating, site),
      first,
      repairPrompt: shared.promptOf(site, "repair", ["reason"]),
    };
    const inner = { name: site.name, stream: (request: ChatRequest, call: Call) => answer(built, request, call) };
    return panel(inner, {
      tools: buildTools(tools, first.model, site, built.assembly),
      ownText: () => true,
      needs: everyone(built.assembly.seating),
    });
  },
  plan(own, child) {
    check(own);
    const { members, quorum, tools } = own;
    const seats = shared.planSeats({ members, reserves: quorum.reserves, cuts: shared.mayCut(quorum) }, child);
    const choice = planChoice(own, child);
    const plan: Plan = {
      calls: [seats.calls[0], seats.calls[1] + choice.calls],
      depth: seats.depth + choice.depth,
      tail: "none",
      reads: true,
      edges: [...seats.edges, ...choice.edges],
    };
    return withTools(plan, tools, child, { owner: shared.nodeOf(members[0] ?? ""), members, reserves: quorum.reserves });
  },
  examples: [
    { kind: "rank", members: ["a", "b"], by: "judge", judge: "c" },
    {
      kind: "rank",
      members: ["a", "b", "c"],
      by: "pairwise",
      judge: { model: "a", temperature: 0 },
      judgeReserves: ["b"],
      quorum: { min: 2, graceMs: 4_000 },
    },
    { kind: "rank", members: [{ model: "a", samples: 3, temperature: 0.8 }], by: "medoid", onShort: "fail", tools: { policy: "vote" } },
    { kind: "rank", members: ["a", "b", "c"], by: "peers", tools: { policy: "refuse" } },
    { kind: "rank", members: ["a", "b"], by: "reward", reward: "c" },
    {
      kind: "rank",
      members: [{ kind: "vote", members: ["a", "b", "c"] }, "b", { kind: "rank", members: ["a", "b"], by: "medoid" }],
      by: "judge",
      judge: { kind: "fallback", members: ["c", "a"] },
    },
  ],
});
