import * as z from "zod";
import type { Call } from "../../model/call.ts";
import type { ModelEvent } from "../../model/events.ts";
import type { ChatRequest } from "../../model/request.ts";
import { assemble } from "../../panel/assemble.ts";
import { bestByScore } from "../../panel/judging/best-by-score.ts";
import { closeWith } from "../../panel/closing.ts";
import type { Putting } from "../../panel/judging/judge.ts";
import { panel } from "../../panel/panel.ts";
import { everyone } from "../../panel/seats.ts";
import { openPatience } from "../../panel/patience.ts";
import { reviewPeers, type PeerReview } from "../../panel/judging/peers.ts";
import { noteShown, seated, type Course, type Seated } from "../../panel/rounds.ts";
import { validatorOf } from "../../panel/schema.ts";
import { show, type Shown } from "../../panel/showing.ts";
import { withTurn } from "../../panel/turn.ts";
import { unjudged } from "../../panel/judging/unjudged.ts";
import { repairInstead, type Stead, type Writing } from "../../panel/writer.ts";
import { defineStrategy, type BuildSite } from "../define.ts";
import * as shared from "../members.ts";
import { buildCloser, buildTalk, planAsked, planTalk, talking, talkQuorum, type Closer, type Talk } from "../talk.ts";
import { buildTools } from "../tool-turns.ts";

const options = z.strictObject({
  ...talking,
  chair: shared.role.describe("Who writes the answer from those of the members and their ranking."),
});

type Options = z.output<typeof options>;

function checked(options: Options): Talk["assembly"]["quorum"] {
  return talkQuorum(options, 3, "each member ranks the answers of the others");
}

/** A council as it was built. */
interface Council {
  readonly talk: Talk;
  readonly ranking: Putting;
  readonly chair: Closer;
}

/** A council under way. */
interface Session extends Course {
  readonly council: Council;
  readonly request: ChatRequest;
}

/** Why nobody is asked to rank. */
function obstacle({ call, patience }: Session, answers: readonly Seated[]): string | undefined {
  if (patience.signal.aborted) return "deadline";
  if (answers.length < 3) return "fewer than three answers";
  return call.budget.allows({ usd: 0, tokens: 0 }, answers.length + 1) ? undefined : "budget_denied";
}

/** The scores of the answers, in their order; undefined, and marked, when there are none. Reviews that are missing are marked too. */
async function rank(session: Session, answers: readonly Seated[]): Promise<PeerReview["scores"] | undefined> {
  const { council, request, call, patience } = session;
  const why = obstacle(session, answers);
  if (why !== undefined) {
    call.trace.degraded.push(`ranking: ${why}`);
    return undefined;
  }
  const peers = answers.map(({ label, text, place }) => ({ label, text, author: place }));
  const { scores, places, missing } = await reviewPeers(peers, council.ranking, { request, call, signal: patience.signal });
  const reasons = Object.entries(missing).map(([reviewer, reason]) => `${reviewer} ${reason}`);
  if (reasons.length > 0) call.trace.degraded.push(`ranking: ${reasons.join(", ")}`);
  const told = Object.fromEntries(answers.map(({ label }, index) => [label, scores[index] ?? null]));
  call.span.decision = { ...call.span.decision, scores: told, places };
  return scores.some((score) => score !== undefined) ? scores : undefined;
}

/** Who answers in place of the chair: the first of the ranking, else the answer that most give, else the medoid. */
function steadOf(answers: readonly Seated[], scores: PeerReview["scores"] | undefined, request: ChatRequest): Stead | undefined {
  const best = scores && bestByScore(answers, scores);
  if (best) return { candidate: best.winner, what: "first of the ranking" };
  const found = unjudged(answers, request);
  return found && { candidate: found.winner, what: found.by === "vote" ? "answer that most give" : "medoid candidate" };
}

/** What the chair is told of the ranking. */
function rankingText({ letters }: Shown<Seated>, answers: readonly Seated[], scores: PeerReview["scores"] | undefined): string {
  if (scores === undefined) return "They were not ranked.";
  const told = letters.map(({ label, item }) => ({ label, score: scores[answers.indexOf(item)] }));
  const lines = told
    .sort((a, b) => (b.score ?? -1) - (a.score ?? -1))
    .map(({ label, score }) => `- answer ${label}: ${score === undefined ? "not ranked" : score.toFixed(2)}`);
  return `What the ranking gave them, best first; 1 is first with everybody, 0 is last:\n\n${lines.join("\n")}`;
}

async function* answer(council: Council, request: ChatRequest, call: Call): AsyncGenerator<ModelEvent> {
  const { chair, ranking, talk } = council;
  const { assembly, repairPrompt } = talk;
  using patience = openPatience(call, assembly.quorum.deadlineMs);
  const validator = validatorOf(request);
  const session: Session = { council, request, assembly, call, patience, validator };
  const assembled = await assemble(assembly, request, call, { validator });
  const answers = seated(assembly.seating, assembled.candidates);
  const writing: Writing = { writer: chair.role, repairPrompt, candidates: answers, validator, patience, call };
  if (answers.length === 0) {
    yield* await repairInstead(writing, { ...assembled, name: assembly.name }, request);
    return;
  }
  const scores = await rank(session, answers);
  yield* await closeWith({
    writing: { ...writing, stead: steadOf(answers, scores, request) },
    isOwn: ({ label }) => answers.find((one) => one.label === label)?.place.name === chair.name,
    ask() {
      const shown = show(answers, { maxTokens: ranking.maxTokens }, request, call);
      noteShown(call, "chair", shown);
      const { nonce, candidates } = shown;
      return withTurn(request, chair.prompt({ nonce, candidates, ranking: rankingText(shown, answers, scores) }));
    },
  });
}

function buildCouncil(options: Options, site: BuildSite): Council {
  return {
    talk: buildTalk(options, site, checked(options)),
    ranking: {
      prompt: shared.promptOf(site, "council-rank", ["candidates"], ["nonce", "form"]),
      maxTokens: options.maxCandidateTokens,
    },
    chair: buildCloser(options.chair, shared.promptOf(site, "council", ["candidates"], ["nonce", "ranking"]), site, "chair"),
  };
}

/**
 * All members answer, each then ranks the answers of the others without knowing whose they are, and a chair writes the answer having read all
 * of them and what the ranking gave each. The chair's tokens stream.
 *
 * Cost: 2n + 1 calls, depth 3; a ranking that can not be read costs one call more. Pays for open questions where the members are strong and of
 * different families, and three waits are no matter; `fuse` is the same without the ranking at half the price, and the control to beat.
 *
 * - Three members at least: nobody ranks its own answer, and one answer is no ranking. A place counts, no grade, so that a harsh reviewer does not
 *   lift itself; what a reviewer leaves out shares the places that are left.
 * - Reviews that fail are marked as degraded; without any, or with fewer than three answers, the chair reads the answers alone.
 * - The chair that fails, or a deadline that passes before its first token: the first of the ranking, else the answer that most give, else the
 *   medoid; marked as degraded.
 */
export const council = defineStrategy({
  kind: "council",
  level: "text",
  summary: "Several models answer and rank each other's answers; a chair writes the final one.",
  options,
  build(options, site) {
    const built = buildCouncil(options, site);
    const inner = { name: site.name, stream: (request: ChatRequest, call: Call) => answer(built, request, call) };
    return panel(inner, {
      tools: buildTools(options.tools, built.chair.role.model, site, built.talk.assembly),
      ownText: () => true,
      needs: everyone(built.talk.assembly.seating),
    });
  },
  plan(options, child) {
    checked(options);
    return planTalk(options, planAsked(options, { each: 1, maySkip: false }, child), { role: "chair", given: options.chair }, child);
  },
  examples: [
    { kind: "council", members: ["a", "b", "c"], chair: "a" },
    {
      kind: "council",
      members: [{ model: "a", samples: 2 }, "b"],
      chair: { model: "c", temperature: 0.2, system: "You chair a council." },
    },
    {
      kind: "council",
      members: ["a", "b", "b"],
      chair: "c",
      onShort: "fail",
      quorum: { min: 3, reserves: ["c"] },
      tools: { policy: "refuse" },
    },
    {
      kind: "council",
      members: ["a", "b", "c"],
      chair: "b",
      maxCandidateTokens: 500,
      quorum: { min: 2, graceMs: 2_000, deadlineMs: 9_000 },
    },
    {
      kind: "council",
      members: [{ kind: "vote", members: ["a", "b", "c"] }, "b", "c"],
      chair: { kind: "fuse", members: ["a", "b"], writer: "c" },
    },
  ],
});
