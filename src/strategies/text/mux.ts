import * as z from "zod";
import type { Call } from "../../model/call.ts";
import { GatewayError } from "../../model/errors.ts";
import type { ModelEvent } from "../../model/events.ts";
import type { Plan } from "../../model/plan.ts";
import type { ChatRequest } from "../../model/request.ts";
import { comparison, comparisonFault, ruleOf } from "../../panel/voting/agreement.ts";
import { extractAnswer, type AnswerRule } from "../../panel/answers/answers.ts";
import { assemble, type Assembled, type Assembly } from "../../panel/assemble.ts";
import { agreementWith, byConsistency, consistencyStop, type Sampled } from "../../panel/voting/consistency.ts";
import { agreed, flush } from "../../panel/flush.ts";
import { medoid } from "../../panel/voting/medoid.ts";
import { panel } from "../../panel/panel.ts";
import { repairOnce, schemaUnsatisfied, type RepairPrompt } from "../../panel/repair.ts";
import { validatorOf } from "../../panel/schema.ts";
import { everyone, type Role } from "../../panel/seats.ts";
import { defineStrategy, OptionError } from "../define.ts";
import * as shared from "../members.ts";
import { buildTools, withTools } from "../tool-turns.ts";

const options = z.strictObject({
  members: shared.members.describe("Each answers `samples` times; its `weight`, its accuracy in validation say, breaks a tie."),
  samples: z.int().min(2).max(64).default(5).describe("How often each member answers whose own `samples` is 1."),
  temperature: z.number().min(0).max(2).default(0.3).describe("For members without one of their own: samples have to differ."),
  ...comparison,
  stop: z
    .enum(["settled", "none"])
    .default("settled")
    .describe("When the rest is not waited for: no sample that is out can change the answer; never."),
  quorum: shared.quorum,
  onShort: shared.onShort,
  refusals: shared.refusals,
  tools: shared.tools,
});

type Options = z.output<typeof options>;

/** The members with their samples. */
function membersOf({ members, samples, temperature }: Options): readonly shared.MemberOptions[] {
  return members.map((given, index) => {
    const own = typeof given === "string" || "kind" in given ? { model: given, weight: 1, samples: 1 } : given;
    if (own.weight < 0) throw new OptionError(`members[${index}].weight`, "breaks a tie, so it is not below 0");
    return { temperature, ...own, samples: own.samples === 1 ? samples : own.samples };
  });
}

function checked(own: Options): { readonly list: readonly shared.MemberOptions[]; readonly quorum: Assembly["quorum"] } {
  const { members, quorum } = own;
  if (members.length < 2) throw new OptionError("members", "needs at least two; one model alone is a `vote` with `samples`");
  if (quorum.reserves.length > 0)
    throw new OptionError("quorum.reserves", "a reserve would be a sample of another model; there are none here");
  const fault = comparisonFault(own);
  if (fault !== undefined) throw new OptionError("pattern", fault);
  const list = membersOf(own);
  const seats = shared.countSeats(list);
  if (seats > 64) throw new OptionError("samples", `${seats} samples; 64 is the limit`);
  return { list, quorum: shared.quorumOf(quorum, seats, Math.floor(seats / 2) + 1) };
}

/** A multiplexer as it was built. */
interface Mux {
  readonly options: Options;
  readonly assembly: Assembly;
  readonly members: readonly Sampled[];
  readonly first: Role;
  readonly repairPrompt: RepairPrompt;
}

/** Which seats are whose. A model that stands twice is two members. */
function sampled(list: readonly shared.MemberOptions[], { seating }: Assembly): readonly Sampled[] {
  let next = 0;
  return list.map((given, index) => {
    const seats = Array.from({ length: shared.countSeats([given]) }, () => next++);
    const [first] = seats;
    const place = seating.places[first ?? 0];
    return { name: `${index + 1} ${place?.name}`, weight: place?.weight ?? 1, seats };
  });
}

/** What came back, and the samples that were not waited for. */
type Counted = Assembled & { readonly out: ReadonlySet<number> };

/** The answer of the most consistent member; prose that can not be compared goes to the medoid. */
function settle({ assembly, members, options }: Mux, rule: AnswerRule, counted: Counted, call: Call): Generator<ModelEvent> {
  const { candidates, early, out } = counted;
  const ranking = byConsistency(candidates, rule, members);
  const [winner] = ranking;
  const told = Object.fromEntries(ranking.map(({ member, confidence, usable }) => [member.name, { confidence, usable }]));
  if (winner?.ballot !== undefined) {
    const { candidate, shown } = winner.ballot;
    const share = agreementWith(winner, out);
    call.span.decision = {
      by: "consistency",
      winner: candidate.label,
      answer: shown,
      ...share,
      members: told,
      ...(early === undefined ? {} : { early }),
    };
    return flush(candidate.completion, call, agreed(share));
  }
  const what = "no answers could be compared, the medoid was taken";
  const central = candidates[medoid(candidates.map(({ text }) => text))];
  if (central === undefined || options.onShort === "fail") throw new GatewayError("unusable_answer", `${assembly.name}: ${what}.`);
  call.trace.degraded.push(`mux: ${what}`);
  call.span.decision = { by: "medoid", winner: central.label };
  return flush(central.completion, call, { agreement: 1 / candidates.length });
}

async function* answer(mux: Mux, request: ChatRequest, call: Call): AsyncGenerator<ModelEvent> {
  const { assembly, first, members, options, repairPrompt } = mux;
  const validator = validatorOf(request);
  const rule = ruleOf(options, request);
  const isStrict = rule.kind !== "auto" && rule.kind !== "exact";
  const stopping = consistencyStop(rule, members, call.marks);
  const assembled = await assemble(assembly, request, call, {
    validator,
    ...(isStrict && { unusable: (text) => (extractAnswer(text, rule) ? undefined : "it has no answer to count") }),
    ...(options.stop === "settled" && { stop: stopping.stop }),
  });
  const { candidates, invalid } = assembled;
  if (candidates.length > 0) {
    yield* settle(mux, rule, { ...assembled, out: stopping.out(assembled.early) }, call);
    return;
  }
  if (validator === undefined || invalid === undefined) throw new GatewayError("internal", `${assembly.name} has no answers to settle.`);
  call.span.decision = { by: "repair" };
  const repaired = await repairOnce({ writer: first, prompt: repairPrompt, validator }, invalid, request, call);
  if (repaired === undefined) throw schemaUnsatisfied(assembly.name, invalid);
  yield* flush(repaired, call);
}

/**
 * Each of several models answers several times, and the model that agrees most with itself gives the answer: the share of its usable
 * samples that say its most frequent one. Nobody reads another's answer. A tie goes to the higher `weight`, then to the earlier member.
 *
 * Cost: n * k calls, at once, so depth 1; samples that can not change the answer any more are cut. One more, a repair, which the plan does
 * not count, where no answer satisfies a schema. Nothing streams. Pays for small models and questions with a checkable answer, where it
 * beats both debate and a vote over all samples when one model is right and the others are wrong together. It does not when a model is sure
 * of what is wrong: then its weight does not count either, which breaks ties alone.
 *
 * - The agreement that it tells is that share of the one who answers; samples that were not waited for count as against it.
 * - Samples that failed do not count. A member without most of its samples comes behind all others, because one answer always agrees with
 *   itself; the published form has no such rule.
 * - Prose that no two samples word alike is settled by its medoid, marked as degraded.
 *
 * SLM-MUX, arXiv 2510.05077.
 */
export const mux = defineStrategy({
  kind: "mux",
  level: "text",
  summary: "Asks several models several times each, and returns the answer of the one that agrees most with itself.",
  options,
  build(own, site) {
    const { list, quorum } = checked(own);
    const { onShort, refusals, tools } = own;
    const seating = shared.buildSeating(list, [], site, (_, index) => {
      const given = own.members[index] ?? "";
      return typeof given === "string" || "kind" in given ? `members[${index}]` : `members[${index}].model`;
    });
    const [first] = seating.places;
    if (first === undefined) throw new OptionError("members", "needs at least two");
    const assembly: Assembly = { name: site.name, seating, quorum, onShort, refusals };
    const repairPrompt = shared.promptOf(site, "repair", ["reason"]);
    const built: Mux = { options: own, assembly, members: sampled(list, assembly), first, repairPrompt };
    const inner = { name: site.name, stream: (request: ChatRequest, call: Call) => answer(built, request, call) };
    return panel(inner, { tools: buildTools(tools, first.model, site, assembly), ownText: () => true, needs: everyone(assembly.seating) });
  },
  plan(own, child) {
    const { list } = checked(own);
    const { quorum, stop, tools } = own;
    const cuts = stop !== "none" || shared.mayCut(quorum);
    const seats = shared.planSeats({ members: list, reserves: [], cuts }, child);
    const owner = shared.nodeOf(list[0] ?? "");
    const plan: Plan = { ...seats, tail: "none", reads: true, agreement: true };
    return withTools(plan, tools, child, { owner, members: list });
  },
  examples: [
    { kind: "mux", members: ["a", "b"], samples: 3 },
    {
      kind: "mux",
      members: [
        { model: "a", weight: 0.7 },
        { model: "b", weight: 0.6, samples: 2 },
      ],
      samples: 3,
      answer: "number",
      stop: "none",
    },
    { kind: "mux", members: ["a", "b", "c"], samples: 2, onShort: "fail", quorum: { min: 3, graceMs: 2_000 }, tools: { policy: "refuse" } },
    { kind: "mux", members: [{ kind: "fallback", members: ["a", "b"] }, "c"], samples: 2, temperature: 0.7, tools: { owner: "c" } },
  ],
});
