import * as z from "zod";
import type { Model } from "../../model/model.ts";
import type { Plan, Planned } from "../../model/plan.ts";
import { measuring, needsLogprobs, type Gate, type Measuring } from "../../panel/cascade/accept.ts";
import { noneCapable, unableOfLogprobs } from "../../panel/capable.ts";
import { climb, type Step } from "../../panel/cascade/climb.ts";
import { askSure, graded, GRADES, selfVerify } from "../../panel/cascade/gate-asked.ts";
import { planQuestions } from "../../panel/judging/judge.ts";
import { tailOf } from "../../panel/tail.ts";
import { fit, readThresholds } from "../../panel/cascade/thresholds.ts";
import { offersTools } from "../../panel/tools/tools.ts";
import { answerTools, unableOfTools } from "../../panel/tools/turn.ts";
import { defineStrategy, node, OptionError, type BuildSite, type Node } from "../define.ts";
import { buildRole, nodeOf, ownerTools, promptOf, role } from "../members.ts";
import { buildTools, toolsTitle } from "../tool-turns.ts";
import { traitsOf } from "./cascade-traits.ts";

const maxAnswerTokens = z.int().min(16).default(4_000).describe("What is shown of the answer at most; an estimate.");

const accept = z
  .discriminatedUnion("by", [
    ...measuring,
    z.strictObject({
      by: z.literal("selfVerify").describe("The step's own model checks its answer; the share of checks that find it correct."),
      samples: z.int().min(1).max(32).default(8).describe("How many checks, all at once: as many calls more."),
      temperature: z.number().min(0).max(2).default(1).describe("Of the checks; at 0 they would be one."),
      maxAnswerTokens,
      min: z.number().min(0).max(1).optional(),
    }),
    z.strictObject({
      by: z.literal("ask").describe("The step's own model says whether it is sure: one call more."),
    }),
    z.strictObject({
      by: z.literal("judge").describe("Another model grades the answer from 0 to 10: one call more."),
      judge: role.describe("Who grades; not the step's own model."),
      maxAnswerTokens,
      min: z.number().min(GRADES.min).max(GRADES.max).optional(),
    }),
  ])
  .describe("When this step's answer is good enough.");

type Accept = z.output<typeof accept>;

/** A bare name is refused in words that show the form: a step may need an `accept` beside its model. */
const step = z.strictObject(
  { model: node, accept: accept.optional() },
  { error: ({ code }) => (code === "invalid_type" ? "expected a step such as {model: <name>}" : undefined) },
);

const options = z.strictObject({
  steps: z.array(step).min(2).superRefine(checkGates).describe("From cheap to strong; each but the last says when its answer is accepted."),
  thresholds: z.string().min(1).optional().describe("A file of learned thresholds, which takes the place of every `min`."),
  tools: ownerTools,
});

type Options = z.output<typeof options>;

function checkGates(steps: readonly { readonly accept?: unknown }[], context: z.RefinementCtx): void {
  for (const [index, step] of steps.entries()) {
    const isLast = index === steps.length - 1;
    if (isLast === (step.accept === undefined)) continue;
    const message = isLast ? "the last step answers in any case, so it has no accept" : "every step but the last needs an accept";
    context.addIssue({ code: "custom", path: [index, "accept"], message });
  }
}

/** The steps whose tokens can reach the client as they come: those behind a prefix gate, and the last. */
function tailsOf(steps: Options["steps"], planned: readonly Planned[]): string {
  const tails = planned.filter((_, index) => {
    const gate = steps[index]?.accept;
    return gate === undefined || gate.by === "prefixLogprob";
  });
  const names = new Set(tails.map(tailOf).filter((tail) => tail !== "none"));
  return [...names].join(" or ") || "none";
}

/** The last step answers in any case, and turns with tools unless somebody else is named. */
function lastOf<T>(steps: readonly T[]): T {
  const last = steps.at(-1);
  if (last === undefined) throw new OptionError("steps", "a cascade needs steps");
  return last;
}

/** What a gate asks at best and at worst, and of whom. */
function planGate(gate: Accept | undefined, step: Planned, child: (node: Node) => Planned): Pick<Plan, "calls" | "depth"> {
  if (gate?.by === "selfVerify") return planQuestions(step, gate.samples);
  if (gate?.by === "ask") return planQuestions(step);
  return gate?.by === "judge" ? planQuestions(child(nodeOf(gate.judge))) : { calls: [0, 0], depth: 0 };
}

function planCascade(own: Options, child: (node: Node) => Planned): Plan {
  const steps = own.steps.map(({ model, accept: gate }) => {
    const planned = child(model);
    return { gate, planned, asks: planGate(gate, planned, child) };
  });
  for (const [index, { gate, planned }] of steps.entries()) {
    if (gate?.by !== "agreement" || planned.plan.agreement) continue;
    throw new OptionError(`steps[${index}].accept`, `${planned.title} tells no agreement; a vote does`);
  }
  const planned = steps.map((step) => step.planned);
  const owner = own.tools.owner === undefined ? lastOf(planned) : child(own.tools.owner);
  const [first] = steps;
  const best = (first?.planned.plan.calls[0] ?? 0) + (first?.asks.calls[0] ?? 0);
  const worst = steps.reduce((sum, { planned: { plan }, asks }) => sum + plan.calls[1] + asks.calls[1], 0);
  const depth = steps.reduce((sum, { planned: { plan }, asks }) => sum + plan.depth + asks.depth, 0);
  return {
    calls: [Math.min(best, owner.plan.calls[0]), Math.max(worst, owner.plan.calls[1])],
    depth: Math.max(depth, owner.plan.depth),
    tail: tailsOf(own.steps, planned),
    reads: true,
    edges: [
      ...planned.map((step, index) => ({ role: `step ${index + 1}`, child: step })),
      ...steps.flatMap(({ gate }, index) =>
        gate?.by === "judge" ? [{ role: `judge ${index + 1}`, child: child(nodeOf(gate.judge)) }] : [],
      ),
      ...(own.tools.owner !== undefined ? [{ role: "owner", child: owner }] : []),
    ],
    tools: toolsTitle(own.tools, lastOf(own.steps).model, child),
  };
}

function takesMin(gate: Accept): boolean {
  return gate.by !== "schema" && gate.by !== "ask";
}

/** The gates with the thresholds of a learned table in them. One that was made for another cascade fails the boot. */
function learned({ steps }: Options, path: string, site: BuildSite): readonly (Accept | undefined)[] {
  const gated = steps.flatMap(({ accept: gate }, index) => (gate ? [{ gate, index }] : []));
  const own = gated.find(({ gate }) => "min" in gate && gate.min !== undefined);
  if (own) throw new OptionError(`steps[${own.index}].accept.min`, "stands beside `thresholds`, which sets it; leave one out");
  const read = readThresholds(site.file(path, "thresholds"));
  if (!read.ok) throw new OptionError("thresholds", `${path} ${read.problem}; learn it anew for this cascade`);
  const { models, gates } = traitsOf(steps, (given) => site.identity(given));
  const fitted = fit(read.table, models, gates);
  if (!fitted.ok) throw new OptionError("thresholds", `${path} ${fitted.problem}; learn it anew for this cascade`);
  const mins = new Map(gated.map(({ index }, nth) => [index, fitted.mins[nth]]));
  return steps.map(({ accept: gate }, index) => {
    const min = mins.get(index);
    if (!gate || min === undefined) return gate;
    const filled = { ...gate, min };
    if (!takesMin(gate) || !accept.safeParse(filled).success)
      throw new OptionError("thresholds", `${path} has ${min} for step ${index + 1}, whose gate does not take that`);
    return filled;
  });
}

/** A threshold has to come from somewhere. */
function settled(min: number | undefined, at: string): number {
  if (min === undefined) throw new OptionError(`${at}.min`, "needs a number here, or a file of `thresholds` for the cascade");
  return min;
}

/** A gate over a step's answers, with all that it needs. */
function buildGate(
  gate: Accept,
  at: string,
  step: { readonly label: string; readonly node: Node; readonly model: Model },
  site: BuildSite,
): Gate {
  const { label, model } = step;
  const fill = (name: string) => promptOf(site, name, ["answer"], ["nonce", "form"]);
  switch (gate.by) {
    case "selfVerify": {
      const verifier = { label: `${label} verify`, model, settings: { temperature: gate.temperature } };
      const asker = { role: verifier, prompt: fill("cascade-verify"), maxTokens: gate.maxAnswerTokens };
      return selfVerify(asker, gate.samples, settled(gate.min, at));
    }
    case "ask": {
      const prompt = promptOf(site, "cascade-ask", [], ["form"]);
      return askSure({ role: { label: `${label} ask`, model, settings: {} }, prompt: (form) => prompt({ form }) });
    }
    case "judge": {
      const judge = { ...buildRole(gate.judge, `${at}.judge`, site), label: `${label} judge` };
      // By the model too: an alias is the same under another name.
      if (nodeOf(gate.judge) === step.node || judge.model === model)
        throw new OptionError(`${at}.judge`, "is the step's own model, which would grade itself: that is `by: selfVerify`");
      return graded({ role: judge, prompt: fill("cascade-judge"), maxTokens: gate.maxAnswerTokens }, settled(gate.min, at));
    }
    case "schema":
      return gate;
    default:
      return { ...gate, min: settled(gate.min, at) } satisfies Measuring;
  }
}

/** A gate whose step is known to bring nothing to measure would never accept. */
function checkLogprobs(model: Model, { by }: Accept, index: number): void {
  const error = unableOfLogprobs(model);
  if (error) throw new OptionError(`steps[${index}].accept`, `${by} measures log-probabilities: ${error.message}`);
}

function buildSteps(own: Options, site: BuildSite): readonly Step[] {
  const gates = own.thresholds === undefined ? own.steps.map(({ accept: gate }) => gate) : learned(own, own.thresholds, site);
  return own.steps.map(({ model: given }, index) => {
    const label = `step ${index + 1}`;
    const model = site.child(given, `steps[${index}].model`);
    const gate = gates[index];
    if (gate && needsLogprobs(gate)) checkLogprobs(model, gate, index);
    return { label, model, ...(gate ? { gate: buildGate(gate, `steps[${index}].accept`, { label, node: given, model }, site) } : {}) };
  });
}

/**
 * Asks the cheapest model first and goes on to the next while its gate does not accept the answer; the last step answers in any case. When a
 * later step fails, the answer of the strongest step that was refused is returned, and marked degraded.
 *
 * Gates: `prefixLogprob`, the mean log-probability of the first tokens, (1/m) * sum of log p(t) over t = 1..m, m the smaller of `tokens` and
 * the answer's length: those tokens are held, then released, and the rest streams without a way back. `logprob`, the mean, the minimum or the
 * 10 % quantile (default; sums and means favour short answers) of log p(t) over the whole answer; `quantile`, any other. `agreement`, the
 * share behind a vote. `schema`, the request's own `response_format`; where a request asks for no format, none can be missed, and the answer
 * is accepted. Three ask: `selfVerify`, the share of `samples` checks by the step's own model that call the answer correct; `ask`, whether the
 * step's own model is sure of it; `judge`, another model's grade from 0 to 10. An answer that comes without what its gate measures, or that
 * nobody gives a verdict of, is not accepted. Of several choices the first is judged. Thresholds may come from a file that was learned from
 * history for these very models and gates.
 *
 * Costs 1 to n calls, and as many after one another; a gate that asks adds its calls (`samples` or 1, twice that where replies can not be read)
 * to every request that comes to it. Pays when most requests are easy: a gate at its step's median halves what the second step costs, and
 * one that asks pays only where the next step is dearer than the questions. Sources: FrugalGPT (arXiv 2305.05176), AutoMix (2310.12963),
 * token quantiles (2404.10136), agreement (2509.21837).
 */
export const cascade = defineStrategy({
  kind: "cascade",
  level: "api",
  summary: "Asks the cheapest model first, and the next while the answer is not sure enough.",
  options,
  build(own, site) {
    const steps = buildSteps(own, site);
    const rule = buildTools(own.tools, lastOf(steps).model, site);
    const models = steps.map(({ model }) => model);
    return {
      name: site.name,
      async *stream(request, call) {
        yield* offersTools(request) ? answerTools(rule, request, call) : climb(site.name, steps, request, call);
      },
      unable: (request) => (offersTools(request) ? unableOfTools(rule, request) : noneCapable(models, request)),
    };
  },
  plan: planCascade,
  foretell: () => ({ note: "in this order, until an answer is accepted", certain: ["step 1"] }),
  examples: [
    {
      kind: "cascade",
      steps: [{ model: "a", accept: { by: "prefixLogprob", tokens: 4, min: -0.35 } }, { model: "b" }],
    },
    {
      kind: "cascade",
      steps: [
        { model: "a", accept: { by: "logprob", min: -1.2 } },
        { model: "b", accept: { by: "logprob", measure: "mean", min: -0.4 } },
        { model: "c" },
      ],
    },
    {
      kind: "cascade",
      steps: [{ model: "a", accept: { by: "schema" } }, { model: "b" }],
      tools: { owner: "c" },
    },
    {
      kind: "cascade",
      steps: [
        {
          model: { kind: "timeout", model: "a", timeouts: { firstTokenMs: 2000 } },
          accept: { by: "prefixLogprob", min: -0.3 },
        },
        { model: { kind: "fallback", members: ["b", { kind: "retry", model: "c" }] } },
      ],
      tools: { policy: "refuse" },
    },
    {
      kind: "cascade",
      steps: [
        { model: "a", accept: { by: "quantile", at: 0.25, min: -0.9 } },
        { model: "b", accept: { by: "selfVerify", samples: 3, min: 0.6 } },
        { model: "c" },
      ],
    },
    {
      kind: "cascade",
      steps: [
        { model: "a", accept: { by: "ask" } },
        { model: { kind: "cache", model: "b" }, accept: { by: "judge", judge: { model: "c", temperature: 0 }, min: 7 } },
        { model: "c" },
      ],
    },
    {
      kind: "cascade",
      steps: [
        {
          model: { kind: "vote", members: ["a", "b", "c"] },
          accept: { by: "agreement", min: 0.6 },
        },
        { model: "c" },
      ],
    },
  ],
});
