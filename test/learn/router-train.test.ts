import { describe, expect, test } from "vitest";
import { fitLogistic, logistic, type Example } from "../../src/learn/logistic.ts";
import { areaUnder, routerTable, trainRouter } from "../../src/learn/router-train.ts";
import { aloneOf, oracleOf, routedBy } from "../../src/learn/routed.ts";
import type { GradedRow } from "../../src/learn/scoreboard.ts";
import { readRouterTable, winRate } from "../../src/panel/route/table.ts";
import { drawsFrom } from "../../src/panel/seed.ts";

const example = (came: boolean, ...vector: readonly number[]): Example => ({ vector: Float32Array.from(vector), came });

/** Texts of two sorts; of the second the strong member wins nine of ten. */
function made(count: number, scale = 1): readonly Example[] {
  const draw = drawsFrom(3);
  return Array.from({ length: count }, () => {
    const isHard = draw() < 0.5;
    const wins = draw() < (isHard ? 0.9 : 0.1);
    return example(wins, scale * (isHard ? 1 : -1), scale * (draw() - 0.5));
  });
}

describe("logistic regression", () => {
  test("finds the one minimum: penalty * u = mean of (came - rate) * x", () => {
    const examples = made(50);
    const u = fitLogistic(examples, 0.1);
    const scale = examples.reduce((sum, { vector }) => sum + vector[0]! ** 2 + vector[1]! ** 2, 0) / examples.length;
    for (const at of [0, 1]) {
      const pull = examples.reduce((sum, { vector, came }) => {
        return sum + ((came ? 1 : 0) - logistic(u[0]! * vector[0]! + u[1]! * vector[1]!)) * vector[at]!;
      }, 0);
      expect(pull / examples.length).toBeCloseTo(0.1 * scale * u[at]!, 4);
    }
  });

  test("has by symmetry the odds of one text that was won three times of four", () => {
    // With a penalty of nearly nothing sigma(u) = 3/4.
    const u = fitLogistic([example(true, 1), example(true, 1), example(true, 1), example(false, 1)], 1e-6);
    expect(u[0]).toBeCloseTo(Math.log(3), 3);
  });
});

describe("a router", () => {
  test("tells easy from hard, and says so of what it did not see", () => {
    const examples = made(400);
    const { weights, heldOut } = trainRouter(examples);
    expect(weights[0]).toBeGreaterThan(1);
    expect(Math.abs(weights[1]!)).toBeLessThan(weights[0]! / 3);
    const came = examples.map((one) => one.came);
    expect(areaUnder(heldOut, came)).toBeGreaterThan(0.85);
  });

  test("is the same whatever the embedder's scale, and every time", () => {
    const one = trainRouter(made(80));
    expect(trainRouter(made(80))).toEqual(one);
    const large = trainRouter(made(80, 100));
    expect(large.penalty).toBe(one.penalty);
    expect(large.weights[0]! * 100).toBeCloseTo(one.weights[0]!, 2);
  });

  test("leaves nothing to tell where the embeddings tell nothing", () => {
    const draw = drawsFrom(1);
    const noise = Array.from({ length: 200 }, () => example(draw() < 0.5, draw() - 0.5, draw() - 0.5));
    const { heldOut } = trainRouter(noise);
    expect(
      areaUnder(
        heldOut,
        noise.map(({ came }) => came),
      ),
    ).toBeLessThan(0.6);
  });

  test("goes into a table whose win rate is sigma(u . e)", () => {
    const trained = trainRouter(made(60));
    const file = routerTable(trained, { weak: "w", strong: "s", embedder: "p/e" });
    const table = readRouterTable(JSON.stringify(file));
    const query = Float32Array.from([0.3, -0.7]);
    expect(winRate(table, query)).toBeCloseTo(logistic(trained.weights[0]! * query[0]! + trained.weights[1]! * query[1]!), 5);
    expect(table.winRates).toHaveLength(60);
  });

  test.each([
    ["never wins", Array.from({ length: 30 }, () => example(false, 1)), /wins 0 of 30 questions/],
    ["always wins", Array.from({ length: 30 }, () => example(true, 1)), /wins 30 of 30 questions/],
    ["has vectors of two lengths", [...made(20), example(true, 1)], /vectors of 2 and of 1 numbers/],
  ])("is refused where the strong member %s", (_, examples, message) => {
    expect(() => trainRouter(examples)).toThrow(message);
  });
});

test("the area under a ranking is the share of pairs in the right order, ties by half", () => {
  expect(areaUnder([0.1, 0.4, 0.35, 0.8], [false, false, true, true])).toBe(0.75);
  expect(areaUnder([0.5, 0.5], [false, true])).toBe(0.5);
  expect(areaUnder([0.5, 0.6], [true, true])).toBe(0.5);
});

test("what a share comes to is counted on the questions", () => {
  const row = (weak: number, strong: number): GradedRow => ({
    question: { id: "q", text: "q", answers: [] },
    cells: [weak, strong].map((score, member) => ({ key: undefined, score, usd: member === 0 ? 1 : 10 })),
  });
  const rows = [row(1, 1), row(0, 1), row(1, 0), row(0, 1)];
  expect(routedBy(rows, [0.1, 0.9, 0.2, 0.3], 0.5)).toEqual({ share: 0.5, score: 1, usd: 5.5, threshold: 0.3 });
  expect(routedBy(rows, [0.1, 0.9, 0.2, 0.3], 0.25)).toMatchObject({ share: 0.25, score: 0.75 });
  expect(oracleOf(rows)).toEqual({ share: 0.5, score: 1, usd: 5.5 });
  expect([aloneOf(rows, 0).score, aloneOf(rows, 1).score]).toEqual([0.5, 0.75]);
});
