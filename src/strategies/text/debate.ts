import * as z from "zod";
import type { Call } from "../../model/call.ts";
import { GatewayError } from "../../model/errors.ts";
import type { ModelEvent } from "../../model/events.ts";
import type { ChatRequest } from "../../model/request.ts";
import { agreementOf, comparison, comparisonFault, ruleOf } from "../../panel/voting/agreement.ts";
import { withoutThoughts } from "../../panel/answers/plain.ts";
import type { AnswerRule } from "../../panel/answers/answers.ts";
import { assemble } from "../../panel/assemble.ts";
import { ballotOf } from "../../panel/voting/ballots.ts";
import { closeWith } from "../../panel/closing.ts";
import { elect } from "../../panel/voting/election.ts";
import { flush } from "../../panel/flush.ts";
import { panel } from "../../panel/panel.ts";
import { everyone } from "../../panel/seats.ts";
import { openPatience } from "../../panel/patience.ts";
import { noteShown, seated, withReply, type Course, type Seated } from "../../panel/rounds.ts";
import { validatorOf } from "../../panel/schema.ts";
import { show } from "../../panel/showing.ts";
import { talkOn, type Standing, type Talked } from "../../panel/standing.ts";
import { neighbours } from "../../panel/topology.ts";
import { withTurn } from "../../panel/turn.ts";
import { noteUncompared } from "../../panel/voting/uncompared.ts";
import { repairInstead, type Events, type Writing } from "../../panel/writer.ts";
import { defineStrategy, OptionError, type BuildSite } from "../define.ts";
import * as shared from "../members.ts";
import { buildCloser, buildTalk, planRounds, planTalk, talking, talkQuorum, type Closer, type Talk } from "../talk.ts";
import { buildTools } from "../tool-turns.ts";

const options = z.strictObject({
  ...talking,
  rounds: z.int().min(1).max(8).default(2).describe("How often each answers, the first time included."),
  topology: z
    .enum(["chain", "ring", "star", "complete", "tree"])
    .default("complete")
    .describe("Who reads whom, in the order of the seats; the first is the head of the chain, the centre, the root."),
  show: z
    .enum(["each", "distinct"])
    .default("each")
    .describe("What a member reads: each answer of its neighbours, or of those that say the same only one, so that no majority shows."),
  stop: z.enum(["agreement", "none"]).default("agreement").describe("Whether the talk ends as soon as all say the same."),
  close: z.enum(["vote", "writer"]).default("vote").describe("How the last answers become one."),
  writer: shared.role.optional().describe("For `close: writer`: who writes the answer from the last ones."),
  ...comparison,
});

type Options = z.output<typeof options>;

function checked(options: Options): Talk["assembly"]["quorum"] {
  const { close, writer } = options;
  const fault = comparisonFault(options);
  if (fault !== undefined) throw new OptionError("pattern", fault);
  if (close === "writer" && writer === undefined) throw new OptionError("writer", "`close: writer` needs one");
  if (close === "vote" && writer !== undefined) throw new OptionError("writer", "goes with `close: writer`");
  return talkQuorum(options, 2, "nobody debates alone");
}

/** A debate as it was built. */
interface Debate {
  readonly options: Options;
  readonly talk: Talk;
  readonly prompt: shared.Fill;
  readonly closer: Closer | undefined;
}

/** A debate under way. */
interface Session extends Course {
  readonly debate: Debate;
  readonly request: ChatRequest;
  readonly rule: AnswerRule;
}

/** Of answers that say the same only the first. What can not be compared is like nothing else. */
function distinct(answers: readonly Seated[], rule: AnswerRule): readonly Seated[] {
  const seen = new Set<string>();
  return answers.filter((answer) => {
    const key = ballotOf(answer, rule)?.key;
    if (key === undefined) return true;
    const fresh = !seen.has(key);
    seen.add(key);
    return fresh;
  });
}

/** What each is asked with the last answers of its neighbours. Who stands is linked anew, so that a loss leaves nobody cut off. */
function toAsk({ debate, request, rule, call }: Session, standing: Standing, number: number): (answer: Seated) => ChatRequest {
  const { options, prompt } = debate;
  const linked = neighbours(options.topology, standing.length);
  return (answer) => {
    const near = linked[standing.indexOf(answer)]?.flatMap((other) => standing[other] ?? []) ?? [];
    const read = options.show === "distinct" ? distinct(near, rule) : near;
    const reader = `${answer.place.label}, round ${number}`;
    const shown = show(read, { maxTokens: options.maxCandidateTokens, purpose: `order of ${reader}` }, request, call);
    noteShown(call, reader, shown);
    return withReply(request, withoutThoughts(answer.text).trim(), prompt({ nonce: shown.nonce, candidates: shown.candidates }));
  };
}

/** Notes how it went; a writer's answer has no winner. */
function note({ call }: Session, { rounds, ended }: Talked): void {
  call.span.decision = { ...call.span.decision, rounds, ended };
}

/** The last answers become one. */
async function close(session: Session, talked: Talked): Promise<Events> {
  const { debate, request, call, patience, validator, rule } = session;
  const { closer, options, talk } = debate;
  const { standing } = talked;
  note(session, talked);
  const outcome = elect(standing, { rule, json: "whole", validator });
  if (outcome === undefined) throw new GatewayError("internal", `${talk.assembly.name} has no answers to count.`);
  const { votes, agreement, by, winner, completion } = outcome;
  call.span.decision = { ...call.span.decision, votes, agreement };
  if (closer === undefined) {
    call.span.decision = { ...call.span.decision, by, winner };
    noteUncompared(talk.assembly, outcome, standing, call);
    return flush(completion, call, { agreement });
  }
  const elected = by === "medoid" ? undefined : standing.find(({ label }) => label === winner);
  const writing: Writing = {
    writer: closer.role,
    repairPrompt: talk.repairPrompt,
    candidates: standing,
    validator,
    patience,
    call,
    stead: elected && { candidate: elected, what: "winner of the vote" },
  };
  return closeWith({
    writing,
    isOwn: ({ label }) => standing.find((answer) => answer.label === label)?.place.name === closer.name,
    ask() {
      const shown = show(standing, { maxTokens: options.maxCandidateTokens }, request, call);
      noteShown(call, "writer", shown);
      return withTurn(request, closer.prompt({ nonce: shown.nonce, candidates: shown.candidates }));
    },
  });
}

async function* answer(debate: Debate, request: ChatRequest, call: Call): AsyncGenerator<ModelEvent> {
  const { closer, options, talk } = debate;
  const { assembly, first, repairPrompt } = talk;
  using patience = openPatience(call, assembly.quorum.deadlineMs);
  const validator = validatorOf(request);
  const rule = ruleOf(options, request);
  const session: Session = { debate, request, rule, assembly, call, patience, validator };
  const assembled = await assemble(assembly, request, call, { validator });
  const standing = seated(assembly.seating, assembled.candidates);
  if (standing.length === 0) {
    const writing: Writing = { writer: closer?.role ?? first, repairPrompt, candidates: [], validator, patience, call };
    yield* await repairInstead(writing, { ...assembled, name: assembly.name }, request);
    return;
  }
  const talked = await talkOn(session, standing, {
    most: options.rounds,
    stops: options.stop === "agreement",
    agreement: (answers) => agreementOf(answers, rule),
    toAsk: (answers, number) => toAsk(session, answers, number),
    read: (heard) => heard,
    after: closer === undefined ? 0 : 1,
  });
  yield* await close(session, talked);
}

function buildDebate(options: Options, site: BuildSite): Debate {
  const { close, writer } = options;
  return {
    options,
    talk: buildTalk(options, site, checked(options)),
    prompt: shared.promptOf(site, "debate", ["candidates"], ["nonce"]),
    closer:
      close === "vote" || writer === undefined
        ? undefined
        : buildCloser(writer, shared.promptOf(site, "debate-writer", ["candidates"], ["nonce"]), site),
  };
}

/**
 * All members answer, then read each other's answers and answer again, `rounds` times in all; the last answers are put to a vote, or a writer
 * makes one of them. Each sees the conversation, its own last answer and those of its neighbours, anonymous and in random order, and nothing
 * of earlier rounds.
 *
 * Cost: n calls a round, one round deep each, and one more with `close: writer`; with `stop: agreement` (the default) no further round is held
 * once all say the same. Nothing streams but the writer. Take it where members are of different families and about as strong: a vote alone
 * explains most of the gain (arXiv 2508.17536), and a wrong majority pulls a right minority over; `show: distinct` hides who are more.
 *
 * - A member lost in the first round is out; one that fails later keeps its last answer. A round without a quorum, without budget or after the
 *   deadline is not held, and the answers of the one before are closed over, marked as degraded.
 * - `close: vote` settles prose by its medoid, marked as degraded; `close: writer` is the one for prose.
 *
 * arXiv 2305.14325; topologies: 2410.15686.
 */
export const debate = defineStrategy({
  kind: "debate",
  level: "text",
  summary: "Several models answer, read each other and answer again; a vote or a writer closes.",
  options,
  build(options, site) {
    const built = buildDebate(options, site);
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
    const { rounds, stop, writer } = options;
    const cost = planRounds(options, { most: rounds, mayStop: stop === "agreement" }, child);
    return planTalk(options, cost, writer === undefined ? undefined : { role: "writer", given: writer }, child);
  },
  examples: [
    { kind: "debate", members: ["a", "b", "c"] },
    { kind: "debate", members: ["a", "b"], rounds: 3, stop: "none", close: "writer", writer: "c" },
    { kind: "debate", members: [{ model: "a", samples: 3, temperature: 0.8 }, "b"], topology: "star", show: "distinct", rounds: 3 },
    {
      kind: "debate",
      members: ["a", "b"],
      topology: "chain",
      answer: "number",
      onShort: "fail",
      quorum: { min: 2, graceMs: 2_000, deadlineMs: 9_000, reserves: ["c"] },
    },
    {
      kind: "debate",
      members: [
        { kind: "vote", members: ["a", "b", "c"] },
        { kind: "fuse", members: ["a", "b"], writer: "c" },
      ],
      topology: "ring",
      close: "writer",
      writer: { model: "a", temperature: 0 },
    },
  ],
});
