import { describe, expect, test } from "vitest";
import { logOdds, readWeights } from "../../src/panel/voting/weights.ts";

describe("log-odds", () => {
  test("are ln(p (K - 1) / (1 - p)), with one success and one failure added", () => {
    expect(logOdds(9, 10, 2)).toBeCloseTo(Math.log(10 / 2));
    expect(logOdds(9, 10, 4)).toBeCloseTo(Math.log((10 * 3) / 2));
  });

  test("count a guess for nothing and worse than that against itself", () => {
    expect(logOdds(49, 98, 2)).toBeCloseTo(0);
    expect(logOdds(0, 2, 4)).toBeCloseTo(0);
    expect(logOdds(1, 10, 2)).toBeLessThan(0);
  });

  test("stay finite for a member that was always right, or never asked", () => {
    expect(Number.isFinite(logOdds(1000, 1000, 2))).toBe(true);
    expect(logOdds(0, 0, 2)).toBe(0);
  });

  test("choose as the most likely answer does: one at 0.9 against two at 0.6", () => {
    // 0.9 * 0.4 * 0.4 = 0.144 beats 0.1 * 0.6 * 0.6 = 0.036, so the one is to win.
    expect(Math.log(0.9 / 0.1)).toBeGreaterThan(2 * Math.log(0.6 / 0.4));
  });
});

describe("a file of weights", () => {
  const file = (members: object) => Buffer.from(JSON.stringify({ version: 1, kind: "vote-weights", note: "by hand", members }));

  test("gives the weight of each member, and keeps silent about those that the vote has not", () => {
    const read = readWeights(file({ a: { weight: 0.5, right: 3, total: 4 }, b: { weight: -1 }, z: { weight: 2 } }), ["a", "b", "a"]);
    expect(read.ok && [...read.weights]).toEqual([
      ["a", 0.5],
      ["b", -1],
      ["z", 2],
    ]);
  });

  test("names every member that it has no weight for", () => {
    const read = readWeights(file({ a: { weight: 1 } }), ["a", "b", "c", "b"]);
    expect(read).toEqual({ ok: false, fault: expect.stringContaining('no weight for "b", "c"') });
  });
});
