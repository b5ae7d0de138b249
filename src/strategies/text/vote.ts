import * as z from "zod";
import type { Call } from "../../model/call.ts";
import { GatewayError } from "../../model/errors.ts";
import type { ModelEvent } from "../../model/events.ts";
import type { Plan } from "../../model/plan.ts";
import type { ChatRequest } from "../../model/request.ts";
import { abstain } from "../../panel/doubt/abstention.ts";
import { comparisonFault, ruleOf } from "../../panel/voting/agreement.ts";
import { extractAnswer, type AnswerRule } from "../../panel/answers/answers.ts";
import { assemble, type Assembled, type Assembly } from "../../panel/assemble.ts";
import { stopRule } from "../../panel/voting/ballots.ts";
import { elect, type ElectionRules, type Outcome } from "../../panel/voting/election.ts";
import { agreed, flush } from "../../panel/flush.ts";
import { asksJson } from "../../panel/json-format.ts";
import type { Sitting } from "../../panel/judging/judge.ts";
import { compareMeanings } from "../../panel/voting/meaning.ts";
import type { Outstanding, Stopping } from "../../panel/voting/outstanding.ts";
import { panel } from "../../panel/panel.ts";
import { openPatience } from "../../panel/patience.ts";
import { isPattern } from "../../panel/pattern.ts";
import { repairOnce, schemaUnsatisfied, type RepairPrompt } from "../../panel/repair.ts";
import { validatorOf } from "../../panel/schema.ts";
import { everyone, type Place, type Role, type Seating } from "../../panel/seats.ts";
import { settleTie } from "../../panel/voting/tie.ts";
import { readWeights } from "../../panel/voting/weights.ts";
import { defineStrategy, node, OptionError, type BuildSite } from "../define.ts";
import * as shared from "../members.ts";
import { buildSettling, checkSettling, planSettling, settling, type Settling } from "../settling.ts";
import { buildTools, withTools } from "../tool-turns.ts";

/** Samples of `model` when the config does not say. */
const SAMPLES = 5;
/** What a client reads where the members agree too little and the config does not say. */
const ABSTENTION = "I am not sure about the answer.";

const options = z.strictObject({
  members: shared.members.optional(),
  model: node.optional().describe("One model that answers `samples` times, instead of `members`."),
  samples: z.number().int().min(1).max(64).optional().describe(`How often it answers, ${SAMPLES} unless said.`),
  answer: z
    .enum(["exact", "choice", "number", "json", "regex", "semantic", "auto"])
    .default("auto")
    .describe(
      "What of an answer is compared. auto: the option, JSON, number or short text that it states. semantic: its meaning, where wordings differ, by `embedder` or `judge`.",
    ),
  pattern: z
    .string()
    .min(1)
    .refine(isPattern, { error: "expected a regular expression" })
    .optional()
    .describe("For `answer: regex`: its first group, or the whole match; the last match counts."),
  json: z
    .enum(["whole", "fields"])
    .default("whole")
    .describe(
      "Whether JSON answers are compared whole or settled field by field, which waits for all. For `answer: auto`, `json` or `semantic`.",
    ),
  stop: z
    .enum(["unassailable", "beta", "none"])
    .default("unassailable")
    .describe("When the rest is not waited for: the leader can not be caught; it is the mode with 95 % (samples of one model); never."),
  ...settling,
  weights: z
    .string()
    .min(1)
    .optional()
    .describe("A file of weights learned from history, instead of the members' own; relative to the config file."),
  abstainBelow: z.number().min(0).max(1).optional().describe("Say `abstainText` instead of an answer with less agreement than this."),
  abstainText: z.string().min(1).optional().describe(`For \`abstainBelow\`: "${ABSTENTION}" unless said.`),
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
  const { stop } = options;
  const fault = comparisonFault(options);
  if (fault !== undefined) throw new OptionError("pattern", fault);
  checkSettling(options, shared.countSeats(list));
  checkUsed(options);
  if (options.answer === "semantic" && stop === "beta")
    throw new OptionError("stop", "`beta` counts equal wordings; with `answer: semantic` use `unassailable`");
  if (options.weights !== undefined) checkUnweighed(list);
  if (stop === "beta" && !shared.isOneModel([...list, ...options.quorum.reserves])) {
    throw new OptionError("stop", "`beta` is only valid for samples of one model; use `unassailable`");
  }
  const seats = shared.countSeats(list);
  return { list, quorum: shared.quorumOf(options.quorum, seats, majority(seats)) };
}

/** What would be read by nobody. */
function checkUsed({ abstainBelow, abstainText, answer, json }: Options): void {
  if (abstainText !== undefined && abstainBelow === undefined) throw new OptionError("abstainText", "goes with `abstainBelow`");
  if (json === "whole" || answer === "auto" || answer === "json" || answer === "semantic") return;
  throw new OptionError("json", `\`fields\` is for JSON answers; with \`answer: ${answer}\` leave it out, or use \`answer: json\``);
}

/** Two sources of weights would contradict each other. */
function checkUnweighed(list: readonly shared.MemberOptions[]): void {
  for (const [index, given] of list.entries()) {
    if (typeof given === "string" || "kind" in given || given.weight === 1) continue;
    throw new OptionError(`members[${index}].weight`, "stands beside `weights`; a vote has one or the other");
  }
}

/** A vote as it was built. */
interface Vote {
  readonly options: Options;
  readonly assembly: Assembly;
  readonly first: Role;
  readonly repairPrompt: RepairPrompt;
  readonly settling: Settling;
}

/** Structured answers have no wording: they are compared by value. */
function ruleFor(options: Options, request: ChatRequest): AnswerRule {
  return options.answer === "semantic" && asksJson(request) ? { kind: "json" } : ruleOf(options, request);
}

/** Field by field every vote counts, so nothing is decided early then. */
function merges({ json }: Options, { kind }: AnswerRule): boolean {
  return json === "fields" && kind === "json";
}

/** Kinds that find an answer or do not; the others take the text itself, and prose goes to the medoid. */
function isStrict({ kind }: AnswerRule): boolean {
  return kind !== "auto" && kind !== "exact" && kind !== "semantic";
}

/** Notes what was decided, and that it was decided by less than the config asks for. */
function record({ assembly, options }: Vote, outcome: Outcome, assembled: Assembled, call: Call): void {
  const { winner, votes, agreement, atMost, counted, by } = outcome;
  const { early, candidates } = assembled;
  const { min } = assembly.quorum;
  call.span.decision = {
    ...call.span.decision,
    votes,
    agreement,
    ...(atMost === undefined ? {} : { atMost }),
    by,
    ...(winner === undefined ? {} : { winner }),
    ...(early === undefined ? {} : { early }),
  };
  if (counted >= min || (counted > 0 && candidates.length < min)) return;
  const what = counted === 0 ? "no answers could be compared, the medoid was taken" : `${counted} of ${min} answers could be compared`;
  if (options.onShort === "fail") throw new GatewayError("unusable_answer", `${assembly.name}: ${what}.`);
  call.trace.degraded.push(`vote: ${what}`);
}

/** When the votes that are out need not be waited for; undefined where all count. */
function stopOf({ options, assembly }: Vote, rule: AnswerRule, { marks = [] }: Call): Stopping<Outstanding> | undefined {
  const { stop: by, abstainBelow } = options;
  if (by === "none" || merges(options, rule)) return undefined;
  const all = abstainBelow === undefined ? marks : [...marks, abstainBelow];
  return stopRule({ by, marks: all, merges: rule.kind === "semantic" }, rule, assembly.seating);
}

/** What the candidates come to; undefined when there is none. */
async function count(vote: Vote, rules: ElectionRules, { candidates }: Assembled, sitting: Sitting): Promise<Outcome | undefined> {
  const { rule } = rules;
  const { compare, tie } = vote.settling;
  const meanings = compare ? await compareMeanings(candidates, rule, compare, sitting) : { rule, told: {} };
  const outcome = elect(candidates, { ...rules, ...meanings });
  if (outcome === undefined) return undefined;
  const settled = await settleTie(tie, outcome, candidates, sitting);
  sitting.call.span.decision = { ...meanings.told, ...settled.told };
  return settled.outcome;
}

async function* hold(vote: Vote, request: ChatRequest, call: Call): AsyncGenerator<ModelEvent> {
  const { options, assembly } = vote;
  using patience = openPatience(call, assembly.quorum.deadlineMs);
  const validator = validatorOf(request);
  const rule = ruleFor(options, request);
  const stopping = stopOf(vote, rule, call);
  const assembled = await assemble(assembly, request, call, {
    validator,
    ...(isStrict(rule) && { unusable: (text) => (extractAnswer(text, rule) ? undefined : "it has no answer to count") }),
    ...(stopping && { stop: stopping.stop }),
  });
  const { early, invalid } = assembled;
  const rules: ElectionRules = { rule, json: options.json, validator, out: stopping?.out(early) };
  const outcome = await count(vote, rules, assembled, { request, call, signal: patience.signal });
  if (outcome !== undefined) {
    record(vote, outcome, assembled, call);
    const { agreement, completion } = outcome;
    const { abstainBelow, abstainText: text = ABSTENTION } = options;
    if (abstainBelow !== undefined && agreement < abstainBelow) {
      const why = `the members agree too little (${agreement.toFixed(2)})`;
      yield* abstain({ name: assembly.name, text, by: "agreement", why }, request, call);
    } else yield* flush(completion, call, agreed(outcome));
    return;
  }
  if (validator === undefined || invalid === undefined) throw new GatewayError("internal", `${assembly.name} has no answers to settle.`);
  call.span.decision = { by: "repair" };
  const repaired = await repairOnce({ writer: vote.first, prompt: vote.repairPrompt, validator }, invalid, request, call);
  if (repaired === undefined) throw schemaUnsatisfied(assembly.name, invalid);
  yield* flush(repaired, call);
}

/** The seats with weights from the file, where there is one. */
function weighed({ weights: path }: Options, seating: Seating, site: BuildSite): Seating {
  if (path === undefined) return seating;
  const { places, reserves } = seating;
  const read = readWeights(
    site.file(path, "weights"),
    [...places, ...reserves].map(({ name }) => name),
  );
  if (!read.ok) throw new OptionError("weights", read.fault);
  const withWeight = (place: Place): Place => ({ ...place, weight: read.weights.get(place.name) ?? place.weight });
  return { places: places.map(withWeight), reserves: reserves.map(withWeight) };
}

/**
 * Majority vote over extracted answers, and self-consistency when the seats are samples of one model. Returns the whole text of the
 * earliest member of the winning class, untouched. The kind to take first for questions with a checkable answer: over seven benchmarks
 * voting explains most of what debate gains (arXiv 2508.17536).
 *
 * Cost: one call a seat, at once, so depth 1; those that no longer matter are cut. One more, a repair, which the plan does not count, where
 * no answer satisfies a schema. Nothing streams: the winner goes out in one go. Prose that no two members word alike is settled by its
 * medoid, marked as degraded.
 *
 * Where votes were not waited for, the agreement that it tells is what it is at least. Where somebody above compares it with a share, it does
 * not stop before it is sure on which side it is.
 *
 * - `answer: semantic`: wordings that differ are compared by one call of an `embedder`, or by a `judge` who is asked of every two, n(n-1)/2
 *   calls at most and none when all agree. Groups form by average linkage in the order of the wordings, not of the seats or of arrival.
 *   Without a verdict two answers count as different; when nothing could be compared, equal wordings are counted; both marked as degraded.
 * - `weights`: log-odds learned from history (`chorale learn`), the most likely answer when errors are independent. Members that are wrong
 *   together gain less.
 * - `tie: judge` costs one call, and only when there is a tie. A judge does not pick its own model's answer.
 *
 * arXiv 2203.11171; stopping by Beta: 2305.11860; meanings: 2302.09664.
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
    const seating = weighed(options, shared.buildSeating(list, options.quorum.reserves, site, at), site);
    const [first] = seating.places;
    if (first === undefined) throw new OptionError("members", "a vote needs at least one");
    const repairPrompt = shared.promptOf(site, "repair", ["reason"]);
    const { onShort, refusals } = options;
    const built: Vote = {
      options,
      assembly: { name, seating, quorum, onShort, refusals },
      first,
      repairPrompt,
      settling: buildSettling(options, seating, site),
    };
    const inner = { name, stream: (request: ChatRequest, call: Call) => hold(built, request, call) };
    return panel(inner, {
      tools: buildTools(options.tools, first.model, site, built.assembly),
      ownText: (request) => !merges(options, ruleFor(options, request)),
      needs: everyone(built.assembly.seating),
    });
  },
  plan(options, child) {
    const { list } = checked(options);
    const owner = shared.nodeOf(list[0] ?? "");
    const cuts = options.stop !== "none" || shared.mayCut(options.quorum);
    const seats = shared.planSeats({ members: list, reserves: options.quorum.reserves, cuts }, child);
    const after = planSettling(options, shared.countSeats(list), child);
    const plan: Plan = {
      calls: [seats.calls[0], seats.calls[1] + after.calls],
      depth: seats.depth + after.depth,
      tail: "none",
      reads: true,
      agreement: true,
      edges: [...seats.edges, ...after.edges],
    };
    return withTools(plan, options.tools, child, { owner, members: list, reserves: options.quorum.reserves });
  },
  examples: [
    { kind: "vote", members: ["a", "b", "c"] },
    { kind: "vote", members: ["a", "b", "a"], tools: { policy: "vote" } },
    { kind: "vote", members: ["a", "b"], tools: { policy: "select", judge: "c" } },
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
    { kind: "vote", members: ["a", "b", "a"], answer: "semantic", judge: "c", tie: "medoid" },
    {
      kind: "vote",
      members: ["a", "b"],
      answer: "semantic",
      embedder: "c",
      threshold: 0.8,
      tie: "judge",
      judge: { model: "c", temperature: 0 },
    },
  ],
});
