import * as z from "zod";
import type { Call } from "../../model/call.ts";
import { GatewayError } from "../../model/errors.ts";
import type { ModelEvent } from "../../model/events.ts";
import type { ChatRequest } from "../../model/request.ts";
import { extractAnswer, resolveAuto, type AnswerRule } from "../../panel/answers.ts";
import { assemble, type Assembled, type Assembly } from "../../panel/assemble.ts";
import { stopRule } from "../../panel/ballots.ts";
import { lastUserText } from "../../panel/conversation.ts";
import { elect, type Outcome } from "../../panel/election.ts";
import { flush, ownCompletion } from "../../panel/flush.ts";
import { panel } from "../../panel/panel.ts";
import { isPattern } from "../../panel/pattern.ts";
import { repairOnce, schemaUnsatisfied, type RepairPrompt } from "../../panel/repair.ts";
import { validatorOf } from "../../panel/schema.ts";
import type { Role } from "../../panel/seats.ts";
import { defineStrategy, node, OptionError } from "../define.ts";
import * as shared from "../members.ts";

/** Samples of `model` when the config does not say. */
const SAMPLES = 5;

const options = z.strictObject({
  members: shared.members.optional(),
  model: node.optional().describe("One model that answers `samples` times, instead of `members`."),
  samples: z.number().int().min(1).max(64).optional().describe(`How often it answers, ${SAMPLES} unless said.`),
  answer: z
    .enum(["exact", "choice", "number", "json", "regex", "auto"])
    .default("auto")
    .describe("What of an answer is compared. auto: the option, JSON, number or short text that it states."),
  pattern: z
    .string()
    .min(1)
    .refine(isPattern, { error: "expected a regular expression" })
    .optional()
    .describe("For `answer: regex`: its first group, or the whole match; the last match counts."),
  json: z
    .enum(["whole", "fields"])
    .default("whole")
    .describe("Whether JSON answers are compared whole or settled field by field, which waits for all."),
  stop: z
    .enum(["unassailable", "beta", "none"])
    .default("unassailable")
    .describe("When the rest is not waited for: the leader can not be caught; it is the mode with 95 % (samples of one model); never."),
  abstainBelow: z.number().min(0).max(1).optional().describe("Say `abstainText` instead of an answer with less agreement than this."),
  abstainText: z.string().min(1).default("I am not sure about the answer."),
  quorum: shared.quorum,
  onShort: shared.onShort,
  refusals: shared.refusals,
  tools: shared.tools,
});

type Options = z.output<typeof options>;

/** The seats: `members`, or `samples` of one `model`. */
function membersOf({ members, model, samples }: Options): readonly shared.MemberOptions[] {
  if (model !== undefined) {
    if (members !== undefined) throw new OptionError("model", "stands beside `members`; a vote has one or the other");
    return [{ model, weight: 1, samples: samples ?? SAMPLES }];
  }
  if (members === undefined) throw new OptionError("members", "a vote needs `members`, or `model` with `samples`");
  if (samples !== undefined) throw new OptionError("samples", "goes with `model`; members have `samples` of their own");
  return members;
}

/** More than half must have answered. */
function majority(seats: number): number {
  return Math.floor(seats / 2) + 1;
}

function checked(options: Options): { readonly list: readonly shared.MemberOptions[]; readonly quorum: Assembly["quorum"] } {
  const list = membersOf(options);
  const { answer, pattern, stop } = options;
  if (answer === "regex" && pattern === undefined) throw new OptionError("pattern", "`answer: regex` needs one");
  if (answer !== "regex" && pattern !== undefined) throw new OptionError("pattern", "goes with `answer: regex`");
  if (stop === "beta" && !shared.isOneModel([...list, ...options.quorum.reserves])) {
    throw new OptionError("stop", "`beta` is only valid for samples of one model; use `unassailable`");
  }
  const seats = shared.countSeats(list);
  return { list, quorum: shared.quorumOf(options.quorum, seats, majority(seats)) };
}

function isJsonFormat({ body }: ChatRequest): boolean {
  return body.response_format?.type === "json_schema" || body.response_format?.type === "json_object";
}

/** A vote as it was built. */
interface Vote {
  readonly options: Options;
  readonly assembly: Assembly;
  readonly first: Role;
  readonly repairPrompt: RepairPrompt;
}

function ruleFor({ answer, pattern }: Options, request: ChatRequest): AnswerRule {
  if (answer === "auto" && isJsonFormat(request)) return { kind: "json" };
  return resolveAuto({ kind: answer, ...(pattern === undefined ? {} : { pattern }) }, lastUserText(request.body.messages));
}

/** Field by field every vote counts, so nothing is decided early then. */
function merges({ json }: Options, { kind }: AnswerRule): boolean {
  return json === "fields" && kind === "json";
}

/** Kinds that find an answer or do not; the others take the text itself, and prose goes to the medoid. */
function isStrict({ kind }: AnswerRule): boolean {
  return kind !== "auto" && kind !== "exact";
}

/** Notes what was decided, and that it was decided by less than the config asks for. */
function record({ assembly, options }: Vote, outcome: Outcome, assembled: Assembled, call: Call): void {
  const { winner, votes, agreement, counted, by } = outcome;
  const { early, candidates } = assembled;
  const { min } = assembly.quorum;
  call.span.decision = { votes, agreement, by, ...(winner === undefined ? {} : { winner }), ...(early === undefined ? {} : { early }) };
  if (counted >= min || (counted > 0 && candidates.length < min)) return;
  const what = counted === 0 ? "no answers could be compared, the medoid was taken" : `${counted} of ${min} answers could be compared`;
  if (options.onShort === "fail") throw new GatewayError("unusable_answer", `${assembly.name}: ${what}.`);
  call.trace.degraded.push(`vote: ${what}`);
}

/** In place of an answer that too few agree on. Prose would break a schema, so there it is an error. */
function* abstain({ assembly, options }: Vote, agreement: number, request: ChatRequest, call: Call): Generator<ModelEvent> {
  call.span.decision = { ...call.span.decision, abstained: true };
  if (isJsonFormat(request)) {
    throw new GatewayError("unusable_answer", `${assembly.name}: the members agree too little (${agreement.toFixed(2)}).`);
  }
  yield* flush(ownCompletion(options.abstainText), call, { agreement });
}

async function* hold(vote: Vote, request: ChatRequest, call: Call): AsyncGenerator<ModelEvent> {
  const { options, assembly } = vote;
  const validator = validatorOf(request);
  const rule = ruleFor(options, request);
  const assembled = await assemble(assembly, request, call, {
    validator,
    ...(isStrict(rule) && { unusable: (text) => (extractAnswer(text, rule) ? undefined : "it has no answer to count") }),
    ...(options.stop !== "none" &&
      !merges(options, rule) && { stop: stopRule({ by: options.stop, agreement: options.abstainBelow ?? 0 }, rule, assembly.seating) }),
  });
  const { candidates, invalid } = assembled;
  const outcome = elect(candidates, { rule, json: options.json, validator });
  if (outcome !== undefined) {
    record(vote, outcome, assembled, call);
    const { agreement, completion } = outcome;
    if (options.abstainBelow !== undefined && agreement < options.abstainBelow) yield* abstain(vote, agreement, request, call);
    else yield* flush(completion, call, { agreement });
    return;
  }
  if (validator === undefined || invalid === undefined) throw new GatewayError("internal", `${assembly.name} has no answers to settle.`);
  call.span.decision = { by: "repair" };
  const repaired = await repairOnce({ writer: vote.first, prompt: vote.repairPrompt, validator }, invalid, request, call);
  if (repaired === undefined) throw schemaUnsatisfied(assembly.name, invalid);
  yield* flush(repaired, call);
}

/**
 * Majority vote over extracted answers, and self-consistency when the seats are samples of one model. Returns the whole text of the earliest
 * member of the winning class, untouched. The kind to take first for questions with a checkable answer: over seven benchmarks voting
 * explains most of what debate gains (arXiv 2508.17536).
 *
 * Cost: one call a seat, at once, so depth 1; those that no longer matter are cut. One more, a repair, which the plan does not count, where no answer
 * satisfies a schema.
 * Nothing streams: the winner goes out in one go. Prose that no two members word alike is settled by its medoid, marked as degraded.
 *
 * arXiv 2203.11171; stopping by Beta: 2305.11860.
 */
export const vote = defineStrategy({
  kind: "vote",
  level: "text",
  summary: "Asks several models, or one several times, and returns the answer that most agree on.",
  options,
  build(options, site) {
    const { list, quorum } = checked(options);
    const { name } = site;
    const at = options.model === undefined ? undefined : () => "model";
    const seating = shared.buildSeating(list, options.quorum.reserves, site, at);
    const [first] = seating.places;
    if (first === undefined) throw new OptionError("members", "a vote needs at least one");
    const repairPrompt = shared.promptOf(site, "repair", ["reason"]);
    const { onShort, refusals } = options;
    const built: Vote = { options, assembly: { name, seating, quorum, onShort, refusals }, first, repairPrompt };
    const inner = { name, stream: (request: ChatRequest, call: Call) => hold(built, request, call) };
    return panel(inner, {
      tools: shared.buildTools(options.tools, first.model, site),
      ownText: (request) => !merges(options, ruleFor(options, request)),
    });
  },
  plan(options, child) {
    const { list } = checked(options);
    const owner = shared.nodeOf(list[0] ?? "");
    const cuts = options.stop !== "none" || shared.mayCut(options.quorum);
    const seats = shared.planSeats({ members: list, reserves: options.quorum.reserves, cuts }, child);
    const plan = { ...seats, tail: "none", reads: true, agreement: true, tools: shared.toolsTitle(options.tools, owner, child) };
    return shared.withOwner(plan, options.tools, child);
  },
  examples: [
    { kind: "vote", members: ["a", "b", "c"] },
    { kind: "vote", model: "a", samples: 3, stop: "beta" },
    { kind: "vote", members: [{ model: "a", weight: 2, samples: 2, temperature: 0.7 }, "b"], answer: "exact", abstainBelow: 0.5 },
    {
      kind: "vote",
      members: ["a", "b"],
      answer: "regex",
      pattern: "(\\w+)\\W*$",
      stop: "none",
      quorum: { min: 1, graceMs: 2_000, reserves: ["c"] },
    },
    { kind: "vote", members: ["a", "b", "c"], json: "fields", onShort: "fail", tools: { policy: "refuse" } },
    { kind: "vote", members: [{ kind: "fuse", members: ["a", "b"], writer: "c" }, { kind: "vote", members: ["a", "b", "c"] }, "c"] },
  ],
});
