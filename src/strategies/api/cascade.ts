import * as z from "zod";
import type { Plan, Planned } from "../../model/plan.ts";
import { accept } from "../../panel/accept.ts";
import { climb, type Step } from "../../panel/climb.ts";
import { tailOf } from "../../panel/tail.ts";
import { answerTools, offersTools } from "../../panel/tools.ts";
import { defineStrategy, node, OptionError, type Node } from "../define.ts";
import { buildTools, tools, toolsTitle } from "../members.ts";

const options = z.strictObject({
  steps: z
    .array(z.strictObject({ model: node, accept: accept.optional() }))
    .min(2)
    .superRefine(checkGates)
    .describe("From cheap to strong; each but the last says when its answer is accepted."),
  tools,
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

function planCascade(own: Options, child: (node: Node) => Planned): Plan {
  const planned = own.steps.map(({ model }) => child(model));
  for (const [index, step] of own.steps.entries()) {
    if (step.accept?.by !== "agreement" || planned[index]?.plan.agreement) continue;
    throw new OptionError(`steps[${index}].accept`, `${planned[index]?.title} tells no agreement; a vote does`);
  }
  const plans = planned.map(({ plan }) => plan);
  const owner = own.tools.owner === undefined ? lastOf(planned) : child(own.tools.owner);
  const worst = plans.reduce((sum, { calls }) => sum + calls[1], 0);
  const depth = plans.reduce((sum, plan) => sum + plan.depth, 0);
  return {
    calls: [Math.min(plans[0]?.calls[0] ?? 0, owner.plan.calls[0]), Math.max(worst, owner.plan.calls[1])],
    depth: Math.max(depth, owner.plan.depth),
    tail: tailsOf(own.steps, planned),
    reads: true,
    edges: [
      ...planned.map((step, index) => ({ role: `step ${index + 1}`, child: step })),
      ...(own.tools.owner !== undefined ? [{ role: "owner", child: owner }] : []),
    ],
    tools: toolsTitle(own.tools, lastOf(own.steps).model, child),
  };
}

/**
 * Asks the cheapest model first and goes on to the next while its gate does not accept the answer; the last step answers in any case. When a
 * later step fails, the answer of the strongest step that was refused is returned, and marked degraded.
 *
 * Gates: `prefixLogprob`, the mean log-probability of the first tokens, (1/m) * sum of log p(t) over t = 1..m, m the smaller of `tokens` and
 * the answer's length: those tokens are held, then released, and the rest streams without a way back. `logprob`, the mean, the minimum or the
 * 10 % quantile (default; sums and means favour short answers) of log p(t) over the whole answer. `agreement`, the share behind a vote.
 * `schema`, the request's own `response_format`; where a request asks for no format, none can be missed, and the answer is accepted. An
 * answer that comes without what its gate measures is not accepted. Of several choices the first is judged.
 *
 * Costs 1 to n calls, and as many after one another. Pays when most requests are easy: a gate at its step's median halves what the second
 * step costs. Sources: FrugalGPT (arXiv 2305.05176), AutoMix (2310.12963), token quantiles (2404.10136), agreement (2509.21837).
 */
export const cascade = defineStrategy({
  kind: "cascade",
  level: "api",
  summary: "Asks the cheapest model first, and the next while the answer is not sure enough.",
  options,
  build(own, site) {
    const steps = own.steps.map(({ model, accept: gate }, index): Step => {
      return {
        label: `step ${index + 1}`,
        model: site.child(model, `steps[${index}].model`),
        ...(gate ? { gate } : {}),
      };
    });
    const rule = buildTools(own.tools, lastOf(steps).model, site);
    return {
      name: site.name,
      async *stream(request, call) {
        yield* offersTools(request) ? answerTools(rule, request, call) : climb(site.name, steps, request, call);
      },
    };
  },
  plan: planCascade,
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
        {
          model: { kind: "vote", members: ["a", "b", "c"] },
          accept: { by: "agreement", min: 0.6 },
        },
        { model: "c" },
      ],
    },
  ],
});
