import * as z from "zod";
import type { Model } from "../../model/model.ts";
import type { Plan, Planned } from "../../model/plan.ts";
import { comparison, comparisonFault } from "../../panel/voting/agreement.ts";
import { byAsking, byLogprob, byToldAgreement, type Gate } from "../../panel/doubt/doubt.ts";
import { byConflict } from "../../panel/doubt/conflict.ts";
import { byOthers, bySelf, type Chair } from "../../panel/doubt/reviews.ts";
import { answerOrAbstain, type Doubting } from "../../panel/doubt/doubted.ts";
import { planQuestions } from "../../panel/judging/judge.ts";
import { unableOfLogprobs } from "../../panel/capable.ts";
import { panel } from "../../panel/panel.ts";
import type { Role } from "../../panel/seats.ts";
import { defineStrategy, node, OptionError, type BuildSite, type Node } from "../define.ts";
import * as shared from "../members.ts";
import { buildTools, withTools } from "../tool-turns.ts";

const common = {
  model: node.describe("Whose answers are given, or not."),
  text: z
    .string()
    .min(1)
    .default("I do not know the answer well enough to give one.")
    .describe("What is said instead of an unsure answer."),
  maxCandidateTokens: z
    .int()
    .min(16)
    .default(2_000)
    .describe("What a reader is shown of the answer, or of a review of it, at most; an estimate."),
  deadlineMs: z
    .int()
    .min(1)
    .optional()
    .describe("When the gate is not waited for any longer. An answer that was not judged by then is not given."),
  tools: shared.tools,
};

const chair = shared.role.optional().describe("Who reads the reviews and says whether the answer is right; the model itself unless said.");

const others = z.strictObject({
  by: z.literal("others").describe("Others review the answer, a chair judges (cooperate)."),
  ...common,
  reviewers: z.array(shared.role).min(1).max(6),
  chair,
});

const compete = z.strictObject({
  by: z.literal("compete").describe("Another model argues for another answer; whether the model changes its mind."),
  ...common,
  challenger: shared.role.describe("Who argues. Not the model itself."),
  conflicts: z.int().min(1).max(3).default(1).describe("How many other answers are argued for."),
  change: z.enum(["any", "majority"]).default("any").describe("How many changes of mind are doubt."),
});

const self = z.strictObject({
  by: z.literal("self").describe("The model reviews its answer with what it knows of several fields, and judges."),
  ...common,
  domains: z
    .array(z.string().min(1))
    .min(1)
    .max(4)
    .default([
      "Facts about the people, things, places and times in it.",
      "What follows from what: the steps that lead from what is given to an answer.",
      "Common sense: how such things usually are, and what can not be.",
    ])
    .describe("What it writes down before it reviews; two calls for each."),
  chair,
});

const agreement = z.strictObject({
  by: z.literal("agreement").describe("Whether enough samples of the model say the same."),
  ...common,
  samples: z.int().min(1).max(8).default(5).describe("How often it is asked; 1 reads the agreement that the model tells, as a vote does."),
  temperature: z.number().min(0).max(2).default(0.7).describe("For the samples: they have to differ."),
  min: z.number().min(0).max(1).default(0.6).describe("The share that has to agree."),
  ...comparison,
});

const logprob = z.strictObject({
  by: z.literal("logprob").describe("The log-probabilities of the answer's tokens."),
  ...common,
  measure: z.enum(["mean", "min", "p10"]).default("p10").describe("What is compared: p10 is the 10 % quantile."),
  min: z.number().max(0).describe("Natural logarithm; 0 is certainty."),
});

const asking = z.strictObject({
  by: z.literal("ask").describe("The model is asked how likely its answer is right."),
  ...common,
  min: z.number().min(0).max(1).default(0.6).describe("The probability it has to give."),
  judge: shared.role.optional().describe("Who is asked; the model itself unless said."),
});

const options = z.discriminatedUnion("by", [others, compete, self, agreement, logprob, asking]);

type Options = z.output<typeof options>;

function check(own: Options): void {
  if (own.by !== "agreement") return;
  const fault = comparisonFault(own);
  if (fault !== undefined) throw new OptionError("pattern", fault);
}

/** Who is asked besides the model: somebody else, or the model under another label. */
function roleOf(given: shared.RoleOptions | undefined, label: string, itself: Role, site: BuildSite): Role {
  return given === undefined ? { ...itself, label } : shared.buildRole(given, label, site);
}

function chairOf(own: Options & { readonly by: "others" | "self" }, itself: Role, site: BuildSite): Chair {
  return {
    role: roleOf(own.chair, "chair", itself, site),
    prompt: shared.promptOf(site, "abstain-chair", ["candidates", "reviews"], ["nonce", "form"]),
    maxTokens: own.maxCandidateTokens,
  };
}

/** Who argues: not the model itself, which an alias may name too. */
function challengerOf(own: Options & { readonly by: "compete" }, itself: Role, site: BuildSite): Role {
  const challenger = shared.buildRole(own.challenger, "challenger", site);
  if (shared.nodeOf(own.challenger) === own.model || challenger.model === itself.model)
    throw new OptionError("challenger", "is the model itself; a conflict needs another one");
  return challenger;
}

type Asked = Exclude<Options, { readonly by: "agreement" }>;

function buildGate(own: Asked, itself: Role, site: BuildSite): Gate {
  const { maxCandidateTokens: maxTokens } = own;
  const reviewPrompt = () => shared.promptOf(site, "abstain-review", ["candidates"], ["nonce", "knowledge"]);
  switch (own.by) {
    case "logprob":
      return byLogprob(own.measure, own.min);
    case "ask": {
      const prompt = shared.promptOf(site, "abstain-ask", ["candidates"], ["nonce", "form"]);
      return byAsking(roleOf(own.judge, "judge", itself, site), own.min, { prompt, maxTokens });
    }
    case "others": {
      const reviewers = own.reviewers.map((given, index) => ({
        ...shared.buildRole(given, `reviewers[${index}]`, site),
        label: `reviewer ${index + 1}`,
      }));
      return byOthers(reviewers, reviewPrompt(), chairOf(own, itself, site));
    }
    case "self": {
      const knowledge = shared.promptOf(site, "abstain-knowledge", ["domain"]);
      return bySelf(itself, { domains: own.domains, knowledge, review: reviewPrompt() }, chairOf(own, itself, site));
    }
    default:
      return byConflict({
        self: itself,
        challenger: challengerOf(own, itself, site),
        count: own.conflicts,
        change: own.change,
        argue: shared.promptOf(site, "abstain-conflict", ["candidates"], ["nonce", "other"]),
        again: shared.promptOf(site, "abstain-again", ["passage"], ["nonce"]),
        same: { prompt: shared.promptOf(site, "vote-same", ["candidates"], ["nonce", "form"]), maxTokens },
        maxTokens,
      });
  }
}

function buildAbstain(own: Options, site: BuildSite): Doubting {
  check(own);
  const { by, deadlineMs, model, text } = own;
  const { name } = site;
  const repairPrompt = shared.promptOf(site, "repair", ["reason"]);
  const base = { name, by, text, deadlineMs, repairPrompt };
  if (own.by !== "agreement") {
    const itself: Role = { label: "answer", model: site.child(model, "model"), settings: {} };
    const error = own.by === "logprob" ? unableOfLogprobs(itself.model) : undefined;
    if (error) throw new OptionError("model", `logprob measures log-probabilities: ${error.message}`);
    return { ...base, self: itself, gate: { type: "asked", of: buildGate(own, itself, site), logprobs: own.by === "logprob" } };
  }
  const { min, samples, temperature } = own;
  if (samples === 1) {
    const itself: Role = { label: "answer", model: site.child(model, "model"), settings: {} };
    return { ...base, self: itself, gate: { type: "asked", of: byToldAgreement(min), logprobs: false, agreement: min } };
  }
  const seating = shared.buildSeating([{ model, weight: 1, samples, temperature }], [], site, () => "model");
  const [first] = seating.places;
  if (first === undefined) throw new OptionError("samples", "needs one at least");
  const quorum = shared.quorumOf({ reserves: [], deadlineMs }, samples, Math.floor(samples / 2) + 1);
  const assembly = { name, seating, quorum, onShort: "degrade", refusals: "usable" } as const;
  return { ...base, self: first, gate: { type: "sampled", of: { assembly, comparison: own, min } } };
}

/** What the gate costs at worst once the answer is there. */
interface After {
  readonly calls: number;
  readonly depth: number;
  readonly edges: Plan["edges"];
}

function planGate(own: Asked, itself: Planned, child: (node: Node) => Planned): After {
  const of = (given: shared.RoleOptions | undefined) => (given === undefined ? itself : child(shared.nodeOf(given)));
  const edge = (given: shared.RoleOptions | undefined, role: string) => (given === undefined ? [] : [{ role, child: of(given) }]);
  const once = ({ plan }: Planned) => ({ calls: plan.calls[1], depth: plan.depth });
  const asked = (planned: Planned, count = 1) => ({ calls: planQuestions(planned, count).calls[1], depth: planQuestions(planned).depth });
  const times = (step: { readonly calls: number; readonly depth: number }, count: number) => ({ ...step, calls: step.calls * count });
  const after = (steps: readonly { readonly calls: number; readonly depth: number }[], edges: Plan["edges"]): After => ({
    calls: steps.reduce((sum, { calls }) => sum + calls, 0),
    depth: steps.reduce((sum, { depth }) => sum + depth, 0),
    edges,
  });
  switch (own.by) {
    case "logprob":
      return after([], []);
    case "ask":
      return after([asked(of(own.judge))], edge(own.judge, "judge"));
    case "others": {
      const reviewers = own.reviewers.map((given) => of(given));
      const calls = reviewers.reduce((sum, { plan }) => sum + plan.calls[1], 0);
      const depth = Math.max(...reviewers.map(({ plan }) => plan.depth));
      const edges = own.reviewers.flatMap((given, index) => edge(given, `reviewer ${index + 1}`));
      return after([{ calls, depth }, asked(of(own.chair))], [...edges, ...edge(own.chair, "chair")]);
    }
    case "self": {
      const domains = times(once(itself), own.domains.length);
      return after([domains, domains, asked(of(own.chair))], edge(own.chair, "chair"));
    }
    default: {
      const challenger = of(own.challenger);
      const { conflicts } = own;
      const steps = [times(once(challenger), conflicts), times(once(itself), conflicts), asked(challenger, conflicts)];
      return after(steps, edge(own.challenger, "challenger"));
    }
  }
}

function planAbstain(own: Options, child: (node: Node) => Planned): Plan {
  check(own);
  const itself = child(own.model);
  const told = { tail: "none", reads: true, agreement: true };
  if (own.by !== "agreement") {
    const gate = planGate(own, itself, child);
    const { calls, depth } = itself.plan;
    const edges = [{ role: "model", child: itself }, ...gate.edges];
    return { ...told, calls: [calls[0], calls[1] + gate.calls], depth: depth + gate.depth, edges };
  }
  if (own.samples > 1) {
    const seats = shared.planSeats({ members: [{ model: own.model, weight: 1, samples: own.samples }], reserves: [], cuts: true }, child);
    return { ...told, ...seats };
  }
  if (!itself.plan.agreement)
    throw new OptionError("samples", `${itself.title} tells no agreement; ask it several times, or put a vote there`);
  return { ...told, calls: itself.plan.calls, depth: itself.plan.depth, edges: [{ role: "model", child: itself }] };
}

/**
 * Gives the model's answer, or says that there is no sure one: `text`, as a standard completion, with the reason in the extension. Six
 * gates:
 *
 * - `others`: r others review the answer, a chair says whether it is right. r + 2 calls, depth 3.
 * - `compete`: a challenger argues for another answer, m times; an answer that changes is doubt. 1 + 2m calls, depth 3; m more where
 *   answers are prose, which the challenger compares.
 * - `self`: the model writes what it knows of d fields, reviews its answer with each, and judges. 2d + 2 calls, depth 4.
 * - `agreement`: the share of k samples that say the same. k calls, depth 1. The best for its price.
 * - `logprob`: the log-probabilities of the answer's tokens. 1 call; models that are sure of what is wrong pass.
 * - `ask`: the model says how likely its answer is right. 2 calls, depth 2; most models say too much.
 *
 * A verdict that can not be read costs one call more, which the plan counts; then, as when a gate's models fail or its time is up, no
 * answer is given, marked as degraded: in doubt, abstain. Nothing streams. Pays where a wrong answer costs more than none; it also drops
 * right ones, so the threshold is to be set on own data. An abstention tells an agreement of 0, so that a cascade goes on to its next step.
 *
 * - A refusal is passed on as it is: it says itself that there is no answer.
 * - Where JSON was asked for an abstention is an error, because prose would break the schema. One repair, which the plan does not count,
 *   where the answer does not satisfy it.
 *
 * AbstainQA, arXiv 2402.00367.
 */
export const abstain = defineStrategy({
  kind: "abstain",
  level: "text",
  summary: "Gives a model's answer, or says that it does not know, as reviews, samples or probabilities tell.",
  options,
  build(own, site) {
    const built = buildAbstain(own, site);
    const inner: Model = {
      name: site.name,
      stream: (request, call) => answerOrAbstain(built, request, call),
      unable: (request) => built.self.model.unable?.(request),
    };
    return panel(inner, { tools: buildTools(own.tools, built.self.model, site), ownText: () => true });
  },
  plan: (own, child) => withTools(planAbstain(own, child), own.tools, child, { owner: own.model }),
  examples: [
    { kind: "abstain", model: "a", by: "others", reviewers: ["b", "c"], chair: { model: "c", temperature: 0 } },
    { kind: "abstain", model: "a", by: "compete", challenger: "b", conflicts: 2, change: "majority" },
    { kind: "abstain", model: "a", by: "self", text: "I am not sure.", deadlineMs: 60_000 },
    { kind: "abstain", model: "a", by: "agreement", samples: 3, min: 0.5 },
    { kind: "abstain", model: { kind: "vote", members: ["a", "b", "c"] }, by: "agreement", samples: 1, tools: { policy: "refuse" } },
    { kind: "abstain", model: "a", by: "logprob", measure: "mean", min: -0.5 },
    { kind: "abstain", model: { kind: "fallback", members: ["a", "b"] }, by: "ask", min: 0.7, judge: "c" },
  ],
});
