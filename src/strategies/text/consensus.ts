import * as z from "zod";
import type { Call } from "../../model/call.ts";
import { GatewayError } from "../../model/errors.ts";
import type { ModelEvent } from "../../model/events.ts";
import type { ChatRequest } from "../../model/request.ts";
import { agreementOf, ruleOf } from "../../panel/voting/agreement.ts";
import { assemble } from "../../panel/assemble.ts";
import { bestByScore } from "../../panel/judging/best-by-score.ts";
import { closeWith } from "../../panel/closing.ts";
import { flush } from "../../panel/flush.ts";
import { gradeEach, type Graded, type Grading } from "../../panel/judging/grading.ts";
import { panel } from "../../panel/panel.ts";
import { everyone } from "../../panel/seats.ts";
import { openPatience } from "../../panel/patience.ts";
import { noteShown, seated, type Course, type Seated } from "../../panel/rounds.ts";
import { validatorOf } from "../../panel/schema.ts";
import { show } from "../../panel/showing.ts";
import { trustOf } from "../../panel/voting/trust.ts";
import { withTurn } from "../../panel/turn.ts";
import { unjudged } from "../../panel/judging/unjudged.ts";
import { readWeights } from "../../panel/voting/weights.ts";
import { repairInstead, type Events, type Stead, type Writing } from "../../panel/writer.ts";
import { defineStrategy, OptionError, type BuildSite } from "../define.ts";
import * as shared from "../members.ts";
import { buildCloser, buildTalk, planAsked, planTalk, talking, talkQuorum, type Closer, type Talk } from "../talk.ts";
import { buildTools } from "../tool-turns.ts";

const options = z.strictObject({
  ...talking,
  reviewers: z
    .int()
    .min(1)
    .max(63)
    .default(2)
    .describe("How many of the other members grade each answer; a member has as many answers to grade."),
  weights: z
    .string()
    .min(1)
    .optional()
    .describe("A file of weights learned from history, instead of the members' own; relative to the config file."),
  close: z.enum(["none", "writer"]).default("none").describe("Whether the best answer goes out as it is, or a writer makes one of all."),
  writer: shared.role.optional().describe("For `close: writer`: who writes the answer from the graded ones."),
});

type Options = z.output<typeof options>;

function checked(options: Options): Talk["assembly"]["quorum"] {
  const { close, members, reviewers, writer } = options;
  if (close === "writer" && writer === undefined) throw new OptionError("writer", "`close: writer` needs one");
  if (close === "none" && writer !== undefined) throw new OptionError("writer", "goes with `close: writer`");
  const quorum = talkQuorum(options, 2, "nobody grades its own answer");
  const others = shared.countSeats(members) - 1;
  // The default is for any panel; a number that was written is meant.
  if (reviewers > 2 && reviewers > others)
    throw new OptionError("reviewers", `an answer has ${others} others to grade it, not ${reviewers}`);
  return quorum;
}

/** A consensus as it was built. */
interface Consensus {
  readonly talk: Talk;
  readonly grading: Grading;
  readonly closer: Closer | undefined;
}

/** A consensus under way. */
interface Session extends Course {
  readonly consensus: Consensus;
  readonly request: ChatRequest;
}

/** The grades that there are; where all say the same, or one is alone, nobody is asked. */
async function graded(session: Session, answers: readonly Seated[]): Promise<Graded | undefined> {
  const { consensus, request, call, patience } = session;
  const { closer, grading } = consensus;
  if (answers.length < 2 || agreementOf(answers, ruleOf({ answer: "auto" }, request)).unanimous) return undefined;
  return gradeEach(answers, grading, { request, call, signal: patience.signal }, closer === undefined ? 0 : 1);
}

/** The best by grades. Without any: the answer that most give, else the medoid. Tells what came about and what is missing. */
function settle(session: Session, answers: readonly Seated[], grades: Graded | undefined): Stead {
  const { call, request } = session;
  const best = grades && bestByScore(answers, grades.qualities);
  const why = grades?.missing.join(", ") ?? "";
  if (grades && best) {
    const quality = Object.fromEntries(answers.map(({ label }, index) => [label, grades.qualities[index] ?? null]));
    const tie = best.tied.length > 0 ? { tie: best.tied.map(({ label }) => label) } : {};
    call.span.decision = { ...call.span.decision, by: "grades", quality, ...grades.told, ...tie };
    if (why !== "") call.trace.degraded.push(`grades: ${why}`);
    return { candidate: best.winner, what: "best by grades" };
  }
  const found = unjudged(answers, request);
  if (found === undefined) throw new GatewayError("internal", "There is no answer to take.");
  const what = found.by === "vote" ? "answer that most give" : "medoid candidate";
  if (grades) call.trace.degraded.push(`grades: ${why}, the ${what} was taken`);
  call.span.decision = { ...call.span.decision, by: grades ? found.by : answers.length > 1 ? "agreement" : "only answer" };
  return { candidate: found.winner, what };
}

/** What the writer is told of the grades. */
function gradesText(
  letters: readonly { readonly label: string; readonly item: Seated }[],
  answers: readonly Seated[],
  grades: Graded | undefined,
): string {
  if (grades === undefined) return "They were not graded: there is only one, or all say the same.";
  const lines = letters.map(({ label, item }) => {
    const quality = grades.qualities[answers.indexOf(item)];
    return `- answer ${label}: ${quality === undefined ? "not graded" : quality.toFixed(2)}`;
  });
  return `Their grades, weighed by how reliable the reviewers are:\n\n${lines.join("\n")}`;
}

async function close(session: Session, answers: readonly Seated[], grades: Graded | undefined): Promise<Events> {
  const { consensus, request, call, patience, validator } = session;
  const { closer, grading, talk } = consensus;
  const stead = settle(session, answers, grades);
  if (closer === undefined) {
    call.span.decision = { ...call.span.decision, winner: stead.candidate.label };
    return flush(stead.candidate.completion, call);
  }
  const writing: Writing = { writer: closer.role, repairPrompt: talk.repairPrompt, candidates: answers, validator, patience, call, stead };
  return closeWith({
    writing,
    isOwn: ({ label }) => answers.find((answer) => answer.label === label)?.place.name === closer.name,
    ask() {
      const shown = show(answers, { maxTokens: grading.maxTokens }, request, call);
      noteShown(call, "writer", shown);
      const { nonce, candidates, letters } = shown;
      return withTurn(request, closer.prompt({ nonce, candidates, grades: gradesText(letters, answers, grades) }));
    },
  });
}

async function* answer(consensus: Consensus, request: ChatRequest, call: Call): AsyncGenerator<ModelEvent> {
  const { closer, talk } = consensus;
  const { assembly, first, repairPrompt } = talk;
  using patience = openPatience(call, assembly.quorum.deadlineMs);
  const validator = validatorOf(request);
  const session: Session = { consensus, request, assembly, call, patience, validator };
  const assembled = await assemble(assembly, request, call, { validator });
  const answers = seated(assembly.seating, assembled.candidates);
  if (answers.length === 0) {
    const writing: Writing = { writer: closer?.role ?? first, repairPrompt, candidates: [], validator, patience, call };
    yield* await repairInstead(writing, { ...assembled, name: assembly.name }, request);
    return;
  }
  yield* await close(session, answers, await graded(session, answers));
}

/** What each member's grades count beforehand. */
function buildTrust({ members, quorum, weights }: Options, talk: Talk, site: BuildSite): Grading["trust"] {
  const { places, reserves } = talk.assembly.seating;
  const names = [...places, ...reserves].map(({ name }) => name);
  if (weights === undefined) {
    const own = new Map([...places, ...reserves].map(({ name, weight }) => [name, weight]));
    const bad = [...members, ...quorum.reserves].findIndex(
      (given) => typeof given === "object" && "weight" in given && !(Number(given.weight) > 0),
    );
    if (bad >= 0)
      throw new OptionError(bad < members.length ? `members[${bad}].weight` : "quorum.reserves", "a reviewer counts more than 0");
    return (name) => own.get(name) ?? 1;
  }
  const weighed = members.findIndex((given) => typeof given === "object" && "weight" in given && given.weight !== 1);
  if (weighed >= 0) throw new OptionError(`members[${weighed}].weight`, "stands beside `weights`; a consensus has one or the other");
  const read = readWeights(site.file(weights, "weights"), names);
  if (!read.ok) throw new OptionError("weights", read.fault);
  return (name) => trustOf(read.weights.get(name) ?? 0);
}

function buildConsensus(options: Options, site: BuildSite): Consensus {
  const { close, maxCandidateTokens, reviewers, writer } = options;
  const talk = buildTalk(options, site, checked(options));
  return {
    talk,
    grading: {
      prompt: shared.promptOf(site, "consensus-grade", ["candidates"], ["nonce", "form"]),
      maxTokens: maxCandidateTokens,
      perAnswer: reviewers,
      trust: buildTrust(options, talk, site),
    },
    closer:
      close === "none" || writer === undefined
        ? undefined
        : buildCloser(writer, shared.promptOf(site, "consensus-writer", ["candidates"], ["nonce", "grades"]), site),
  };
}

/**
 * All members answer, each answer is graded by `reviewers` of the others, and the grades become one judgement: how good an answer is and how
 * reliable a reviewer is are estimated together, each from the other, so that one who grades against all others counts little. The best answer
 * goes out untouched, or a writer makes one of all.
 *
 * Cost: n answers and n times `reviewers` grades, a call each; depth 2, and one more of each with a writer, whose tokens stream; nothing else
 * does. A grade that can not be read costs one call more. Where all say the same nobody is asked to grade. Pays for open questions without a
 * judge that is stronger than the members. Three reviewers or more tell a liar from the honest; of two who differ on an answer the one is believed
 * who agrees with others elsewhere, which is little to go by. Reviewers that share an error confirm it, and a harsh one lifts its own answer.
 *
 * - `weights` is a table of what members were worth before, as a vote reads it: a reviewer's trust is its odds of being right, 0.1 to 10. Without
 *   one it is the member's `weight`.
 * - Nobody grades its own answer or sees whose it is. Missing grades are marked as degraded; without any the answer that most give is taken, else
 *   the medoid.
 *
 * arXiv 2512.05066, 2510.03930.
 */
export const consensus = defineStrategy({
  kind: "consensus",
  level: "text",
  summary: "Several models answer and grade each other; the best by all grades answers, or a writer merges them.",
  options,
  build(options, site) {
    const built = buildConsensus(options, site);
    const owner = built.closer?.role.model ?? built.talk.first.model;
    const inner = { name: site.name, stream: (request: ChatRequest, call: Call) => answer(built, request, call) };
    return panel(inner, {
      tools: buildTools(options.tools, owner, site, built.talk.assembly),
      ownText: () => true,
      needs: everyone(built.talk.assembly.seating),
    });
  },
  plan(options, child) {
    checked(options);
    const { members, reviewers, writer } = options;
    const each = Math.min(reviewers, shared.countSeats(members) - 1);
    const cost = planAsked(options, { each, maySkip: true }, child);
    return planTalk(options, cost, writer === undefined ? undefined : { role: "writer", given: writer }, child);
  },
  examples: [
    { kind: "consensus", members: ["a", "b", "c"] },
    { kind: "consensus", members: ["a", { model: "b", weight: 2 }], close: "writer", writer: "c" },
    { kind: "consensus", members: [{ model: "a", samples: 3, temperature: 0.9 }, "b"], reviewers: 3, onShort: "fail" },
    {
      kind: "consensus",
      members: ["a", "b"],
      quorum: { min: 1, graceMs: 2_000, deadlineMs: 9_000, reserves: ["c"] },
      tools: { owner: "c" },
    },
    {
      kind: "consensus",
      members: [{ kind: "vote", members: ["a", "b", "c"] }, "b", "c"],
      reviewers: 1,
      close: "writer",
      writer: { model: { kind: "fuse", members: ["a", "b"], writer: "c" } },
    },
  ],
});
