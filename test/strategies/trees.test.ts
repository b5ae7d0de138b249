import * as fc from "../support/properties.ts";
import { afterAll, describe, expect, onTestFinished, test } from "vitest";
import * as z from "zod";
import { unbounded, type BudgetLimits } from "../../src/model/budget.ts";
import { enter, type Call } from "../../src/model/call.ts";
import { complete } from "../../src/model/complete.ts";
import { GatewayError, type ErrorCode } from "../../src/model/errors.ts";
import type { ModelEvent } from "../../src/model/events.ts";
import { newLedger } from "../../src/model/ledger.ts";
import type { Model } from "../../src/model/model.ts";
import { leafPlan } from "../../src/model/plan.ts";
import type { ChatRequest } from "../../src/model/request.ts";
import type { Span } from "../../src/model/trace.ts";
import { defineStrategy, node, type Strategy } from "../../src/strategies/define.ts";
import { strategies } from "../../src/strategies/registry.ts";
import { manualClock } from "../support/clock.ts";
import type { Move, Script } from "../support/fake-model.ts";
import { checkLaws, gone, late, run, scenarios, script, texts, type Make, type Scenario } from "../support/model-contract.ts";
import { Forest, type Standing, type Tree } from "../support/trees.ts";
import type { SeenLeg } from "../support/upstreams.ts";

/** Random runs for each kind; more of them, at night, find rarer things. */
const RUNS = Number(process.env["TREE_RUNS"] ?? 60);

const forest = await Forest.open(strategies);
afterAll(() => forest.close());

/** How an upstream fails, with the status that it may have said so with. */
const failures: readonly (readonly [ErrorCode, number | undefined])[] = [
  ["upstream_rate_limited", 429],
  ["upstream_overloaded", 503],
  ["upstream_error", 500],
  ["upstream_error", undefined],
  ["upstream_unreachable", undefined],
  ["upstream_timeout", undefined],
  ["upstream_protocol", undefined],
  ["upstream_invalid", 400],
  ["upstream_auth", 401],
  ["upstream_quota", 429],
  ["upstream_model_not_found", 404],
  ["context_length_exceeded", 400],
  ["content_filter", 400],
];

const failing: fc.Arbitrary<Move> = fc.constantFrom(...failures).map(([code, upstreamStatus]) => ({
  fail: new GatewayError(code, "It failed.", { upstream: "up/a", ...(upstreamStatus === undefined ? {} : { upstreamStatus }) }),
}));

/** Slow, cut, refusing, empty, garbled; before its first word or after. */
const faulty: fc.Arbitrary<Script> = fc
  .record({
    waitMs: fc.constantFrom(0, 200, 3_000, 100_000),
    said: fc.array(fc.constantFrom(...texts, '{"verdict":"yes"', "```json\n{}\n```", "I can not tell."), { maxLength: 2 }),
    last: fc.oneof(failing, fc.constantFrom<Move>("cut", "stall", "role", { refusal: "I will not." })),
  })
  .map(({ waitMs, said, last }) => ({ moves: [{ waitMs }, ...said.map((text) => ({ text })), last] }));

/** Obedient: without these no run would come to its later rounds, judges and writers. */
const apt: fc.Arbitrary<Script> = fc
  .record({ waitMs: fc.constantFrom(0, 0, 100, 2_000), fits: fc.integer({ min: 0, max: 4 }) })
  .map(({ waitMs, fits }) => ({ moves: [{ waitMs }, { fits }], agreement: 1, usage: { promptTokens: 3, completionTokens: 1 } }));

const scripts = fc.oneof({ weight: 12, arbitrary: apt }, { weight: 2, arbitrary: script }, { weight: 1, arbitrary: faulty });

/** Most clients wait; some leave at a time, some after a few events. */
const stops: fc.Arbitrary<Pick<Scenario, "abortAtMs" | "reason" | "stopAfter">> = fc.oneof(
  { weight: 6, arbitrary: fc.constant({}) },
  { weight: 1, arbitrary: fc.record({ abortAtMs: fc.integer({ min: 0, max: 6_000 }), reason: fc.constantFrom(gone, late) }) },
  { weight: 1, arbitrary: fc.record({ stopAfter: fc.integer({ min: 0, max: 6 }) }) },
);

const asking: fc.Arbitrary<Scenario> = fc.tuple(scenarios(scripts), stops).map(([scenario, stop]) => ({ ...scenario, ...stop }));

/** One or two requests after each other: the second finds what the first left in caches and pools. */
const requests = fc.array(asking, { minLength: 1, maxLength: 2 });

/** Far above every wait of a strategy's own, so that the time of a request tells how many calls stood in a row. */
const ANSWER_MS = 10 ** 6;

/** Every call takes the same time, and some answers are of no use. */
const even: fc.Arbitrary<Scenario> = scenarios(
  fc
    .oneof(
      { weight: 3, arbitrary: fc.record({ fits: fc.integer({ min: 0, max: 4 }) }) },
      { weight: 1, arbitrary: fc.record({ text: fc.constantFrom(...texts) }) },
    )
    .map((move) => ({ moves: [{ waitMs: ANSWER_MS }, move], agreement: 1 })),
).map((scenario) => ({ ...scenario, fields: scenario.fields.n === undefined ? scenario.fields : {} }));

function spansIn(span: Span): readonly Span[] {
  return [span, ...span.children.flatMap(spansIn)];
}

/** Upstream calls below a span that a plan does not count: attempts after the first of a `retry`, and repairs. */
function uncounted(span: Span): number {
  const isFurther = (child: Span) => child.label === "repair" || (span.kind === "retry" && child.label !== "attempt 1");
  return span.children.reduce((sum, child) => sum + (isFurther(child) ? legsIn(child) : uncounted(child)), 0);
}

function legsIn(span: Span): number {
  return spansIn(span).filter(({ sent }) => sent).length;
}

function usdIn(span: Span): number {
  return spansIn(span).reduce((sum, { usd }) => sum + (usd ?? 0), 0);
}

function tokensIn(span: Span): number {
  return spansIn(span).reduce((sum, { usage }) => sum + (usage ? usage.promptTokens + usage.completionTokens : 0), 0);
}

function checkBudget(span: Span, { calls = Infinity, usd = Infinity, tokens = Infinity }: BudgetLimits): void {
  expect(legsIn(span), "calls of a budget").toBeLessThanOrEqual(calls);
  expect(usdIn(span), "dollars of a budget").toBeLessThanOrEqual(usd);
  expect(tokensIn(span), "tokens of a budget").toBeLessThanOrEqual(tokens);
}

type Bill = Pick<SeenLeg, "upstream" | "status" | "usage">;

/** Bills in an order of their own. */
function sorted(bills: readonly Partial<Bill>[]): readonly string[] {
  return bills.map(({ upstream, status, usage }) => JSON.stringify([upstream, status, usage])).toSorted();
}

function makerOf({ entry, upstreams }: Standing): Make {
  return (leaf) => {
    upstreams.serve(leaf);
    return entry.model;
  };
}

/** Runs a request and checks what must hold whatever happened in it. */
async function checkRequest(standing: Standing, scenario: Scenario, clock = manualClock()) {
  const { entry, upstreams, budgets } = standing;
  const outcome = await run(makerOf(standing), scenario, clock);
  checkLaws(scenario, outcome);
  const { ledger, trace } = outcome.call;
  expect(sorted(ledger.legs), "the ledger is what the upstreams saw").toEqual(sorted(upstreams.legs));
  const spans = spansIn(trace.root);
  const open = spans.filter(({ kind, status }) => kind !== undefined && status === "running");
  expect(open, "a span ends with its node").toEqual([]);
  for (const span of spans) {
    const limits = budgets.get(span.node ?? "");
    if (limits) checkBudget(span, limits);
    expect(span.children.filter(({ label }) => label === "repair").length, "one repair").toBeLessThanOrEqual(1);
  }
  const { n } = scenario.fields;
  const worst = entry.plan.calls[1] * (typeof n === "number" ? n : 1);
  const legs = upstreams.legs.length - uncounted(trace.root);
  expect(legs, "calls of the plan").toBeLessThanOrEqual(worst);
  return { ...outcome, legs };
}

describe.each(forest.kinds)("random trees with a root of kind %s", (kind) => {
  test("every leg is billed once and ends with its request, within laws, plan and budgets", async () => {
    const holds = async (tree: Tree, asked: readonly Scenario[]) => {
      const standing = await forest.stand(tree);
      fc.pre(standing !== undefined);
      const clock = manualClock();
      for (const scenario of asked) await checkRequest(standing, scenario, clock);
    };
    await fc.assert(fc.asyncProperty(forest.trees(kind), requests, holds), { numRuns: RUNS });
  });

  test("no more calls stand in a row than the plan's depth", async () => {
    const holds = async (tree: Tree, scenario: Scenario) => {
      const standing = await forest.stand(tree);
      fc.pre(standing !== undefined);
      const { call, ending, elapsedMs, legs } = await checkRequest(standing, scenario);
      const { calls, depth } = standing.entry.plan;
      // Repairs and further attempts are not in the plan.
      const further = uncounted(call.trace.root);
      expect(elapsedMs / ANSWER_MS - further, "calls in a row").toBeLessThan(depth + 0.5);
      // Less than the best is right where an answer was of no use, a call was cut or denied, or one model owned the turn.
      const isWell = spansIn(call.trace.root).every(({ kind, status }) => kind === undefined || status === "ok");
      const isPlain = Object.keys(scenario.fields).length === 0 && !JSON.stringify(scenario.scripts).includes('"text"');
      if (isWell && isPlain && standing.budgets.size === 0 && ending.type === "finished")
        expect(legs, "calls of the plan at best").toBeGreaterThanOrEqual(calls[0]);
    };
    await fc.assert(fc.asyncProperty(forest.trees(kind), even, holds), { numRuns: Math.ceil(RUNS / 3) });
  });
});

test("nearly all of these trees are legal", () => {
  const { asked, refused } = forest.count;
  expect(refused / asked).toBeLessThan(0.1);
});

/** A kind with one child that does what no kind may do; its plan says one call. */
function faultyKind(stream: (child: Model, request: ChatRequest, call: Call) => AsyncIterable<ModelEvent>): Strategy {
  return defineStrategy({
    kind: "faulty",
    level: "api",
    summary: "Does what no kind may do.",
    options: z.strictObject({ model: node }),
    build: ({ model }, site) => {
      const child = site.child(model, "model");
      return { name: site.name, stream: (request, call) => stream(child, request, call) };
    },
    plan: ({ model }, child) => ({ ...leafPlan, edges: [{ role: "model", child: child(model) }] }),
    examples: [{ kind: "faulty", model: "a" }],
  });
}

const faults: Readonly<Record<string, Strategy>> = {
  "asks more often than planned": faultyKind(async function* twice(child, request, call) {
    await complete(child, request, enter(call, { label: "first" }));
    yield* child.stream(request, enter(call, { label: "second" }));
  }),
  "leaves a stream open": faultyKind(async function* leaky(child, request, call) {
    const left = child.stream(request, enter(call, { label: "left" }))[Symbol.asyncIterator]();
    const first = await left.next();
    if (!first.done) yield first.value;
    throw new GatewayError("upstream_error", "It failed.");
  }),
  "answers for nothing": faultyKind(async function* silent(child, request, call) {
    yield* child.stream(request, { ...enter(call, { label: "unbilled" }), ledger: newLedger() });
  }),
  "spends without asking": faultyKind(async function* rich(child, request, call) {
    yield* child.stream(request, enter(call, { label: "unbound", budget: unbounded }));
  }),
};

test.each(Object.entries(faults))("these checks see a kind that %s", async (_, faulty) => {
  const wrong = await Forest.open(new Map([["faulty", faulty]]));
  onTestFinished(() => wrong.close());
  const fits: Script = { moves: [{ waitMs: 10 }, { fits: 1 }, { waitMs: 10 }] };
  const scenario: Scenario = { delivery: "stream", fields: {}, scripts: { a: [fits] }, draws: [0.5] };
  const check = async (budget: BudgetLimits) => {
    const standing = await wrong.stand({ kind: "faulty", model: "a", budget });
    if (standing) await checkRequest(standing, scenario);
  };
  // Less than any call costs: who keeps it makes none.
  const checked = [check({ tokens: 5_000 }), check({ tokens: 5 })];
  await expect(Promise.all(checked)).rejects.toThrow(/expected/);
});
