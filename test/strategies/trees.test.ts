import * as fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import type { BudgetLimits } from "../../src/model/budget.ts";
import { GatewayError, type ErrorCode } from "../../src/model/errors.ts";
import type { Span } from "../../src/model/trace.ts";
import { strategies } from "../../src/strategies/registry.ts";
import { manualClock } from "../support/clock.ts";
import type { Move, Script } from "../support/fake-model.ts";
import { checkLaws, gone, late, run, scenarios, script, texts, type Make, type Scenario } from "../support/model-contract.ts";
import { Forest, type Standing } from "../support/trees.ts";
import type { SeenLeg } from "../support/upstreams.ts";

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

const scripts = fc.oneof({ weight: 3, arbitrary: script }, { weight: 1, arbitrary: faulty });

const stops = fc.record(
  {
    abortAtMs: fc.integer({ min: 0, max: 20_000 }),
    reason: fc.constantFrom(gone, late),
    stopAfter: fc.integer({ min: 0, max: 6 }),
  },
  { requiredKeys: [] },
);

/** One or two requests after each other: the second finds what the first left in caches and pools. */
const requests = fc.array(
  fc.tuple(scenarios(scripts), fc.option(stops, { freq: 1, nil: {} })).map(([scenario, stop]): Scenario => ({ ...scenario, ...stop })),
  { minLength: 1, maxLength: 2 },
);

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
    const holds = async (tree: Parameters<Forest["stand"]>[0], asked: readonly Scenario[]) => {
      const standing = await forest.stand(tree);
      fc.pre(standing !== undefined);
      const clock = manualClock();
      for (const scenario of asked) await checkRequest(standing!, scenario, clock);
    };
    await fc.assert(fc.asyncProperty(forest.trees(kind), requests, holds), { numRuns: 40 });
  });
});

test("nearly all of these trees are legal", () => {
  const { asked, refused } = forest.count;
  expect(refused / asked).toBeLessThan(0.1);
});
