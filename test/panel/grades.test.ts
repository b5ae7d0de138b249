import { describe, expect, test } from "vitest";
import { appraise, type Grade } from "../../src/panel/judging/grades.ts";
import { trustOf } from "../../src/panel/voting/trust.ts";

/** Grades as rows of reviewers and columns of answers; a dot is no grade. */
function table(rows: Readonly<Record<string, readonly (number | ".")[]>>): readonly Grade[] {
  return Object.entries(rows).flatMap(([reviewer, row]) =>
    row.flatMap((grade, answer) => (grade === "." ? [] : [{ reviewer, answer: `x${answer + 1}`, grade }])),
  );
}

describe("the appraisal", () => {
  test("is the plain mean where all agree", () => {
    const { quality, reliability } = appraise(table({ a: [0.2, 0.8], b: [0.2, 0.8], c: [0.2, 0.8] }));
    expect(quality.get("x1")).toBeCloseTo(0.2);
    expect(quality.get("x2")).toBeCloseTo(0.8);
    for (const share of reliability.values()) expect(share).toBeCloseTo(1 / 3);
  });

  test("is the mean of two who differ: neither is more right", () => {
    const { quality, reliability } = appraise(table({ a: [0.2], b: [0.6] }));
    expect(quality.get("x1")).toBeCloseTo(0.4);
    expect(reliability.get("a")).toBeCloseTo(0.5);
  });

  test("counts a liar less, and keeps it", () => {
    // Two honest reviewers agree to the letter; a third turns everything round. The fixed point, by hand, with w the liar's share:
    // q1 = 0.9 - 0.8 w and q2 = 0.1 + 0.8 w, so an honest variance is (0.8 w)^2 and the liar's (0.8 (1 - w))^2, and
    // w = L / (2 H + L) with L = 1 / ((0.8 (1 - w))^2 + 0.04) and H = 1 / ((0.8 w)^2 + 0.04). w = 0.0307 solves it:
    // L = 1 / 0.64131 = 1.55930, H = 1 / 0.040603 = 24.6287, w = 1.55930 / 50.8167 = 0.0307.
    const { quality, reliability } = appraise(table({ a: [0.9, 0.1], b: [0.9, 0.1], liar: [0.1, 0.9] }));
    expect(reliability.get("liar")).toBeCloseTo(0.0307, 3);
    expect(quality.get("x1")).toBeCloseTo(0.9 - 0.8 * 0.0307, 3);
    expect(quality.get("x2")).toBeCloseTo(0.1 + 0.8 * 0.0307, 3);
    // A plain mean would have been (0.9 + 0.9 + 0.1) / 3 = 0.633.
  });

  test("takes who was right before at its word", () => {
    const grades = table({ a: [0.9, 0.2], b: [0.1, 0.8] });
    const even = appraise(grades);
    expect(even.quality.get("x1")).toBeCloseTo(0.5);
    expect(even.quality.get("x2")).toBeCloseTo(0.5);
    const trusted = appraise(grades, (reviewer) => (reviewer === "b" ? 3 : 1));
    expect(trusted.quality.get("x1")).toBeLessThan(0.2);
    expect(trusted.quality.get("x2")).toBeGreaterThan(0.7);
  });

  test("leaves out answers that nobody graded, and is empty without grades", () => {
    const { quality } = appraise(table({ a: [".", 0.5], b: [".", 0.7] }));
    expect([...quality.keys()]).toEqual(["x2"]);
    expect(appraise([])).toEqual({ quality: new Map(), reliability: new Map() });
  });

  test("does not depend on the order of the grades", () => {
    const grades = table({ a: [0.9, 0.4, "."], b: [0.7, ".", 0.3], c: [".", 0.6, 0.2] });
    const forth = appraise(grades);
    const back = appraise(grades.toReversed());
    for (const [answer, value] of forth.quality) expect(back.quality.get(answer)).toBeCloseTo(value, 9);
  });
});

test.each([
  // ln(p (K - 1) / (1 - p)) with K = 2: 0.5, 0.8, 0.2, and certainties.
  [0, 1],
  [Math.log(4), 4],
  [-Math.log(4), 0.25],
  [50, 10],
  [-50, 0.1],
])("a reviewer of the log-odds %d is trusted %d", (logOdds, trust) => {
  expect(trustOf(logOdds)).toBeCloseTo(trust);
});
