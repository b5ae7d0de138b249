import * as z from "zod";
import type { Call } from "../../model/call.ts";
import type { Completion } from "../../model/completion.ts";
import { GatewayError } from "../../model/errors.ts";
import type { ModelEvent } from "../../model/events.ts";
import type { ChatRequest } from "../../model/request.ts";
import { agreementOf, comparison, comparisonFault, ruleOf } from "../../panel/voting/agreement.ts";
import { withoutThoughts } from "../../panel/answers/plain.ts";
import type { AnswerRule } from "../../panel/answers/answers.ts";
import { assemble, type Assembled } from "../../panel/assemble.ts";
import { elect } from "../../panel/voting/election.ts";
import { flush, ownCompletion } from "../../panel/flush.ts";
import { showGroups } from "../../panel/voting/groups.ts";
import { panel } from "../../panel/panel.ts";
import { openPatience } from "../../panel/patience.ts";
import { recalibrated } from "../../panel/voting/recalibrate.ts";
import { noteShown, seated, withReply, type Course, type Seated } from "../../panel/rounds.ts";
import { validatorOf, type Validator } from "../../panel/schema.ts";
import { everyone, withSettings } from "../../panel/seats.ts";
import { talkOn, type Standing, type Talked } from "../../panel/standing.ts";
import { tellingOf, type Telling } from "../../panel/voting/telling.ts";
import { noteUncompared } from "../../panel/voting/uncompared.ts";
import { isRefusal, saidBy } from "../../panel/usable.ts";
import { repairInstead, type Events } from "../../panel/writer.ts";
import { defineStrategy, OptionError, type BuildSite } from "../define.ts";
import * as shared from "../members.ts";
import { buildTalk, planRounds, planTalk, talking, talkQuorum, type Talk } from "../talk.ts";
import { buildTools } from "../tool-turns.ts";

const options = z.strictObject({
  ...talking,
  rounds: z.int().min(0).max(8).default(3).describe("Rounds of discussion at most, after the first answers; none once all say the same."),
  ...comparison,
});

type Options = z.output<typeof options>;

function checked(options: Options): Talk["assembly"]["quorum"] {
  const fault = comparisonFault(options);
  if (fault !== undefined) throw new OptionError("pattern", fault);
  return talkQuorum(options, 2, "a round table is for several");
}

/** A round table as it was built. */
interface Table {
  readonly options: Options;
  readonly talk: Talk;
  readonly first: shared.Fill;
  readonly later: shared.Fill;
}

/** A round table under way. `validator` reads answers with their confidence. */
interface Session extends Course {
  readonly table: Table;
  readonly request: ChatRequest;
  readonly rule: AnswerRule;
  readonly telling: Telling;
}

/** The validator of answers that tell their confidence. */
function leniently(validator: Validator | undefined, { read }: Telling): Validator | undefined {
  return validator && ((text) => validator(read(text).text));
}

function confidenceOf({ completion }: Seated, { read }: Telling): number | undefined {
  return read(saidBy(completion)).confidence;
}

/** An answer without its confidence, at the weight that this gives it. Who tells none counts as one who is not sure. */
function heard(answer: Seated, { read }: Telling): Seated | undefined {
  const { text, confidence } = read(answer.text);
  if (withoutThoughts(text).trim() === "") return undefined;
  return { ...answer, text, weight: answer.weight * recalibrated(confidence ?? 0) };
}

function toAsk(session: Session, standing: Standing, number: number): (answer: Seated) => ChatRequest {
  const { table, telling, rule, call, request } = session;
  const maxTokens = table.options.maxCandidateTokens;
  const tells = (answer: Seated) => {
    const confidence = confidenceOf(answer, telling);
    return confidence === undefined ? "no confidence told" : `confidence ${confidence.toFixed(2)}`;
  };
  return (reader) => {
    const shown = showGroups(standing, { reader, number, rule, maxTokens, tells }, request, call);
    noteShown(call, `${reader.place.label}, round ${number}`, shown);
    const content = table.later({ nonce: shown.nonce, candidates: shown.candidates, form: telling.form });
    return withReply(telling.request, withoutThoughts(saidBy(reader.completion)).trim(), content);
  };
}

/** The winner's answer as the client gets it: without the confidence that only we asked for. */
function withoutConfidence(completion: Completion, { read }: Telling): Completion {
  if (isRefusal(completion)) return completion;
  const own = ownCompletion(read(saidBy(completion)).text);
  const finishReason = completion.choices[0]?.finishReason ?? "stop";
  return { ...own, choices: own.choices.map((choice) => ({ ...choice, finishReason })) };
}

function close(session: Session, { standing, rounds, ended }: Talked): Events {
  const { call, rule, table, telling, validator } = session;
  const outcome = elect(standing, { rule, json: "whole", validator });
  if (outcome === undefined) throw new GatewayError("internal", `${table.talk.assembly.name} has no answers to count.`);
  const { votes, agreement, by, winner, completion } = outcome;
  const confidences = Object.fromEntries(standing.map((answer) => [answer.label, confidenceOf(answer, telling) ?? null]));
  call.span.decision = { ...call.span.decision, rounds, ended, votes, confidences, agreement, by, winner };
  noteUncompared(table.talk.assembly, outcome, standing, call);
  return flush(withoutConfidence(completion, telling), call, { agreement });
}

/** Nobody gave a valid answer: one is repaired in the client's own format, which a single answer can have. */
function repair(
  { table, request, call, patience, telling }: Session,
  { invalid }: Assembled,
  validator: Validator | undefined,
): Promise<Events> {
  const { assembly, first, repairPrompt } = table.talk;
  const bare = invalid && { ...invalid, text: telling.read(invalid.text).text };
  const writing = { writer: first, repairPrompt, candidates: [], validator, patience, call };
  return repairInstead(writing, { ...(bare && { invalid: bare }), name: assembly.name }, request);
}

async function* answer(table: Table, request: ChatRequest, call: Call): AsyncGenerator<ModelEvent> {
  const { options, talk } = table;
  const { assembly } = talk;
  using patience = openPatience(call, assembly.quorum.deadlineMs);
  const strict = validatorOf(request);
  const telling = tellingOf(request);
  const validator = leniently(strict, telling);
  const rule = ruleOf(options, request);
  const session: Session = { table, request, telling, rule, assembly, call, patience, validator };
  const assembled = await assemble(assembly, withSettings(telling.request, { system: table.first({ form: telling.form }) }), call, {
    validator,
    unusable: (text) => (withoutThoughts(telling.read(text).text).trim() === "" ? "it has a confidence and no answer" : undefined),
  });
  const first = seated(assembly.seating, assembled.candidates).flatMap((candidate) => heard(candidate, telling) ?? []);
  if (first.length === 0) {
    yield* await repair(session, assembled, strict);
    return;
  }
  const talked = await talkOn(session, first, {
    most: options.rounds + 1,
    stops: true,
    agreement: (answers) => agreementOf(answers, rule),
    toAsk: (answers, number) => toAsk(session, answers, number),
    read: (answer) => heard(answer, telling),
    after: 0,
  });
  yield* close(session, talked);
}

function buildTable(options: Options, site: BuildSite): Table {
  return {
    options,
    talk: buildTalk(options, site, checked(options)),
    first: shared.promptOf(site, "reconcile-ask", ["form"]),
    later: shared.promptOf(site, "reconcile", ["candidates", "form"], ["nonce"]),
  };
}

/**
 * A round table (ReConcile): all members answer with a confidence; while they differ, each is shown the answers grouped by what they say, with
 * counts, explanations and confidences, and answers again; in the end the votes are weighed by confidence. Models are too sure of themselves,
 * so a confidence counts by the paper's steps: 1 for 1, 0.8 from 0.9, 0.5 from 0.8, 0.3 above 0.6, else 0.1, which is also for who tells none.
 *
 * Cost: n calls when the first answers agree, n more for each of at most `rounds` rounds of discussion, each one deep. Nothing streams: the
 * winner's answer goes out in one go, without its confidence, so it has no log-probabilities. Pays where members of different
 * families answer questions that have an answer; models of one family share their errors and their confidence.
 *
 * - Where the client asks for JSON, members are asked for an object round it that has the confidence, under the client's schema made wider where
 *   it has no references, and the answer within is checked.
 * - A member lost in the first round is out; one that fails later keeps its last answer. A round without a quorum, without budget or after the
 *   deadline is not held; the answers before it are counted, marked as degraded. Prose is settled by its medoid, marked too.
 *
 * arXiv 2309.13007, without its samples of explanations that convinced: those need graded data of the operator's.
 */
export const reconcile = defineStrategy({
  kind: "reconcile",
  level: "text",
  summary: "Several models discuss with confidences until they agree; a vote weighed by confidence decides.",
  options,
  build(options, site) {
    const table = buildTable(options, site);
    const inner = { name: site.name, stream: (request: ChatRequest, call: Call) => answer(table, request, call) };
    return panel(inner, {
      tools: buildTools(options.tools, table.talk.first.model, site, table.talk.assembly),
      ownText: () => false,
      needs: everyone(table.talk.assembly.seating),
    });
  },
  plan(options, child) {
    checked(options);
    return planTalk(options, planRounds(options, { most: options.rounds + 1, mayStop: true }, child), undefined, child);
  },
  examples: [
    { kind: "reconcile", members: ["a", "b", "c"] },
    { kind: "reconcile", members: ["a", { model: "b", weight: 2, temperature: 0.3 }], rounds: 1, answer: "number" },
    { kind: "reconcile", members: [{ model: "a", samples: 2 }, "b"], rounds: 0, onShort: "fail" },
    { kind: "reconcile", members: ["a", "b"], quorum: { min: 1, graceMs: 2_000, deadlineMs: 9_000, reserves: ["c"] } },
    { kind: "reconcile", members: [{ kind: "fallback", members: ["a", "b"] }, { kind: "fuse", members: ["a", "b"], writer: "c" }, "c"] },
  ],
});
