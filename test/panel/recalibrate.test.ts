import { expect, test } from "vitest";
import { recalibrated, takeConfidence } from "../../src/panel/voting/recalibrate.ts";

test.each([
  [1, 1],
  [0.99, 0.8],
  [0.9, 0.8],
  [0.89, 0.5],
  [0.8, 0.5],
  [0.79, 0.3],
  [0.61, 0.3],
  [0.6, 0.1],
  [0.5, 0.1],
  [0, 0.1],
])("a confidence of %d counts %d", (confidence, weight) => {
  expect(recalibrated(confidence)).toBe(weight);
});

test.each<readonly [string, string, number | undefined]>([
  ["It is 4.\n\nConfidence: 0.85", "It is 4.", 0.85],
  ["It is 4.\nconfidence = 1", "It is 4.", 1],
  ["It is 4.\n**Confidence:** 85%", "It is 4.", 0.85],
  ["It is 4.\n**Confidence: 85 %**", "It is 4.", 0.85],
  ["It is 4.\nConfidence: 90/100.", "It is 4.", 0.9],
  ["It is 4.\nConfidence: 8/10", "It is 4.", 0.8],
  ["It is 4.\nConfidence: 1/1", "It is 4.", 1],
  ["It is 4.\nConfidence: 0,7", "It is 4.", 0.7],
  ["It is 4.\nConfidence: .7\n", "It is 4.", 0.7],
  ["It is 4.\nConfidence: 90", "It is 4.", 0.9],
  ["It is 4.\nConfidence: 0.9 (high)", "It is 4.", 0.9],
  ["It is 4.\nConfidence: 0", "It is 4.", 0],
  ["Confidence: 0.9", "", 0.9],
  // An impossible confidence is none, but no part of the answer.
  ["It is 4.\nConfidence: 250", "It is 4.", undefined],
  ["It is 4.\nConfidence: 140%", "It is 4.", undefined],
  ["It is 4.\nConfidence: -0.8", "It is 4.", undefined],
  ["It is 4.\nConfidence: -.8", "It is 4.", undefined],
  // Nor are words or a range, which are no part of the answer either.
  ["It is 4.\nConfidence: high", "It is 4.", undefined],
  ["It is 4.\n**Confidence:** very high, I am sure", "It is 4.", undefined],
  ["It is 4.\nConfidence: 0.8-0.9", "It is 4.", undefined],
  ["It is 4.\nConfidence: <number>", "It is 4.", undefined],
  ["It is 4.\nConfidence:", "It is 4.", undefined],
  ["It is 4.\nConfidence: high (0.9)", "It is 4.", 0.9],
  ["It is 4.\nConfidence: about 90 %", "It is 4.", 0.9],
  // Not at the end, not on a line of its own, too long for a confidence: part of the answer.
  ["Confidence: 0.9\nIt is 4.", "Confidence: 0.9\nIt is 4.", undefined],
  ["My self-confidence: 5", "My self-confidence: 5", undefined],
  [`It is 4.\nConfidence: ${"so ".repeat(14)}`, `It is 4.\nConfidence: ${"so ".repeat(14)}`, undefined],
  ["It is 4.", "It is 4.", undefined],
  ["", "", undefined],
])("of %j the answer is %j and the confidence %s", (text, answer, confidence) => {
  expect(takeConfidence(text)).toEqual({ text: answer, confidence });
});

test("only the last line is looked at, however long the text", () => {
  const text = `${"confidence: ".repeat(100_000)}\nConfidence: 0.5`;
  expect(takeConfidence(text).confidence).toBe(0.5);
});
