import { describe, expect, test } from "vitest";
import { gradesOf, numberOf, oneOf, orderOf, readVerdict, someOf } from "../../src/panel/judging/verdict.ts";

const abc = oneOf(["A", "B", "C"]);

describe("one label", () => {
  test.each<readonly [string, string, string]>([
    ["JSON", '{"best":"B"}', "B"],
    ["JSON in a code fence", 'Let me see.\n```json\n{"best": "B"}\n```\nThat is all.', "B"],
    ["JSON within prose", 'I pick {"best": "B"} because it is right.', "B"],
    ["JSON behind thoughts that pick another", '<think>{"best":"A"} no, wait</think>{"best":"B"}', "B"],
    ["JSON under another name", '{"winner": "B"}', "B"],
    ["JSON with a reason beside it", '{"reason": "A is wrong", "best": "B"}', "B"],
    ["the last of two objects", '{"best":"A"}? No: {"best":"B"}', "B"],
    ["a string", '"B"', "B"],
    ["a bare label", "B", "B"],
    ["a bare label with marks", " **B**.\n", "B"],
    ["another case", "b", "B"],
    ["a label with its noun", "Answer B", "B"],
    ["a noun inside JSON", '{"best":"answer B"}', "B"],
    ["a statement", "Answer: B", "B"],
    ["a statement at the end of reasons", "A is short, and C is wrong.\n\n**The best answer is B.**", "B"],
    ["a statement after JSON that was only quoted", 'Answer A says {"best":"A"}, which is a trick.\nVerdict: B', "B"],
  ])("reads %s", (_, text, label) => {
    expect(readVerdict(text, abc)).toBe(label);
  });

  test.each<readonly [string, string]>([
    ["a label that is not on the list", '{"best":"D"}'],
    ["a bare one that is not on the list", "D"],
    ["a number in place of a label", '{"best":1}'],
    ["prose", "Both A and B are good."],
    ["an article", "A good answer would be longer."],
    ["two labels", '{"best":["A","B"]}'],
    ["nothing", ""],
    ["thoughts without an end", '<think>{"best":"A"}'],
    ["broken JSON", '{"best":"A"'],
    ["several keys, none the right one", '{"first":"A","second":"B"}'],
    ["something inherited", '{"best":"constructor"}'],
  ])("finds none in %s", (_, text) => {
    expect(readVerdict(text, abc)).toBeUndefined();
  });

  test("works for words as it does for letters", () => {
    const form = oneOf(["yes", "no"], "same");
    expect(readVerdict("Yes.", form)).toBe("yes");
    expect(readVerdict('{"same":"no"}', form)).toBe("no");
    expect(readVerdict("Maybe", form)).toBeUndefined();
  });

  test("asks for nothing but the label, strictly", () => {
    expect(abc.schema).toEqual({
      type: "object",
      properties: { best: { type: "string", enum: ["A", "B", "C"] } },
      required: ["best"],
      additionalProperties: false,
    });
    expect(abc.shape).toBe('{"best": "A" | "B" | "C"}');
  });
});

describe("an order", () => {
  const form = orderOf(["A", "B", "C"]);

  test.each<readonly [string, string, readonly string[] | undefined]>([
    ["all", '{"order":["C","A","B"]}', ["C", "A", "B"]],
    ["some", '{"order":["C"]}', ["C"]],
    ["a bare list", '["C","A","B"]', ["C", "A", "B"]],
    ["a written one", "C > A > B", ["C", "A", "B"]],
    ["none", '{"order":[]}', undefined],
    ["an unknown label", '{"order":["C","D"]}', undefined],
    ["a label twice", '{"order":["C","A","C"]}', undefined],
    ["prose", "C is best, then A", undefined],
  ])("is read with %s", (_, text, order) => {
    expect(readVerdict(text, form)).toEqual(order);
  });
});

test("some labels may be none", () => {
  expect(readVerdict('{"labels":[]}', someOf(["A", "B"]))).toEqual([]);
  expect(readVerdict('{"labels":["B"]}', someOf(["A", "B"]))).toEqual(["B"]);
  expect(readVerdict('{"labels":["X"]}', someOf(["A", "B"]))).toBeUndefined();
});

test.each<readonly [string, number, number | undefined]>([
  ['{"score":7}', 10, 7],
  ['{"score":"7"}', 10, 7],
  ["7/10", 10, 7],
  ["**7**", 10, 7],
  ["7/5", 10, undefined],
  ["70%", 1, 0.7],
  ["70%", 10, undefined],
  ['{"score":11}', 10, undefined],
  ['{"score":-1}', 10, undefined],
  ['{"score":null}', 10, undefined],
  ["about 7", 10, undefined],
])("the number of %s from 0 to %d is %s", (text, max, value) => {
  expect(readVerdict(text, numberOf({ min: 0, max }))).toBe(value);
});

test("grades are for all labels or none", () => {
  const form = gradesOf(["A", "B"], { min: 0, max: 10 });
  expect(readVerdict('{"B": 3, "A": "8/10"}', form)).toEqual({ A: 8, B: 3 });
  expect(readVerdict('{"A": 8}', form)).toBeUndefined();
  expect(readVerdict('{"A": 8, "B": 30}', form)).toBeUndefined();
});
