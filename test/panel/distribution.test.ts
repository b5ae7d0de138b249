import { describe, expect, test } from "vitest";
import type { Completion } from "../../src/model/completion.ts";
import { drawn, fromChoice, fromLogprobs, mean, modeOf, toPollOptions, uniform } from "../../src/panel/plural/distribution.ts";

const abc = toPollOptions(["yes", "no", "it depends"]);

type Top = readonly (readonly [string, number])[];

function told(tokens: readonly (readonly [string, number, Top?])[]): Completion {
  const content = tokens.map(([token, p, top = []]) => ({
    token,
    logprob: Math.log(p),
    bytes: null,
    top_logprobs: top.map(([other, q]) => ({ token: other, logprob: Math.log(q), bytes: null })),
  }));
  const message = { role: "assistant", content: tokens.map(([token]) => token).join(""), refusal: null } as const;
  return { choices: [{ index: 0, message, finishReason: "stop", logprobs: { content, refusal: null } }] };
}

function near(shares: Readonly<Record<string, number>> | undefined, expected: Readonly<Record<string, number>>): void {
  expect(Object.keys(shares ?? {})).toEqual(Object.keys(expected));
  for (const [label, share] of Object.entries(expected)) expect(shares?.[label]).toBeCloseTo(share, 10);
}

describe("options", () => {
  test("keep the labels that they have, or get letters", () => {
    expect(toPollOptions(["1) yes", "2) no"]).map(({ label, shown }) => [label, shown])).toEqual([
      ["1", "1) yes"],
      ["2", "2) no"],
    ]);
    expect(abc.map(({ label, shown }) => [label, shown])).toEqual([
      ["A", "A) yes"],
      ["B", "B) no"],
      ["C", "C) it depends"],
    ]);
    expect(toPollOptions(["A) yes", "A) no"]).map(({ label }) => label)).toEqual(["A", "B"]);
  });
});

describe("the shares in log-probabilities", () => {
  test("are summed by label and made to add up to one", () => {
    // A: 0.5 + 0.1, B: 0.2; the rest of the mass says something else.
    const top = [
      [" A", 0.5],
      ["A", 0.1],
      [" B", 0.2],
      ["The", 0.2],
    ] as const;
    near(fromLogprobs(told([[" A", 0.5, top]]), abc), { A: 0.75, B: 0.25, C: 0 });
  });

  test("are those of the first token with a letter or digit, which has to be the label that the answer chooses", () => {
    const completion = told([
      ["(", 0.9, [["B", 0.1]]],
      [
        "B",
        0.6,
        [
          ["B", 0.6],
          ["C", 0.2],
        ],
      ],
      [")", 1, [["A", 1]]],
    ]);
    near(fromLogprobs(completion, abc), { A: 0, B: 0.75, C: 0.25 });
  });

  test("are not those of a label within a sentence, nor of a word that looks like one", () => {
    const opinion = told([
      ["A", 0.9, [["A", 0.9]]],
      [" matter", 1],
      [" of opinion:", 1],
      [" B", 0.8, [[" C", 0.2]]],
    ]);
    expect(fromLogprobs(opinion, abc)).toBeUndefined();
    near(fromChoice("A matter of opinion: B", abc), { A: 0, B: 1, C: 0 });
    const either = told([
      ["Not", 1],
      [" A", 0.9],
      [" but", 1],
      [" B", 0.9],
    ]);
    expect(fromLogprobs(either, abc)).toBeUndefined();
  });

  test("are those of the answer, not of a thought before it", () => {
    const thought = told([
      ["<think>", 1],
      ["A", 0.9],
      ["?", 1],
      ["</think>", 1],
      ["\n\n", 1],
      ["B", 0.6, [["C", 0.2]]],
    ]);
    near(fromLogprobs(thought, abc), { A: 0, B: 0.75, C: 0.25 });
  });

  test("count the chosen token also where the list leaves it out", () => {
    near(fromLogprobs(told([["B", 0.3, [["A", 0.1]]]]), abc), { A: 0.25, B: 0.75, C: 0 });
    near(fromLogprobs(told([["B", 0.3]]), abc), { A: 0, B: 1, C: 0 });
  });

  test("are unknown where no token is a label: a small a is a word", () => {
    expect(
      fromLogprobs(
        told([
          ["a", 0.5, [["A", 0.5]]],
          [" matter", 1],
        ]),
        abc,
      ),
    ).toBeUndefined();
    expect(fromLogprobs({ choices: [] }, abc)).toBeUndefined();
  });
});

test("a choice counts whole, and none or several not at all", () => {
  near(fromChoice("B", abc), { A: 0, B: 1, C: 0 });
  near(fromChoice("The answer is C.", abc), { A: 0, B: 0, C: 1 });
  expect(fromChoice("I can not say.", abc)).toBeUndefined();
  expect(fromChoice("A or B", abc)).toBeUndefined();
});

test("the mean is weighted, and a weight of nothing counts nothing", () => {
  const [left, right] = [
    { A: 0.75, B: 0.25, C: 0 },
    { A: 0, B: 0.8, C: 0.2 },
  ];
  // A: 3 * 0.75 / 4, B: (3 * 0.25 + 0.8) / 4, C: 0.2 / 4.
  near(
    mean(abc, [
      { shares: left, weight: 3 },
      { shares: right, weight: 1 },
    ]),
    { A: 0.5625, B: 0.3875, C: 0.05 },
  );
  near(
    mean(abc, [
      { shares: left, weight: 0 },
      { shares: right, weight: 2 },
    ]),
    right,
  );
  expect(mean(abc, [{ shares: left, weight: 0 }])).toBeUndefined();
});

test("the mode is the largest share, the earlier one of equals", () => {
  expect(modeOf(abc, { A: 0.2, B: 0.4, C: 0.4 })?.label).toBe("B");
  expect(modeOf(abc, uniform(abc))?.label).toBe("A");
});

test("a draw falls on the options by their shares", () => {
  const shares = { A: 0.5, B: 0, C: 0.5 };
  expect([0, 0.49, 0.5, 0.999].map((draw) => drawn(abc, shares, draw)?.label)).toEqual(["A", "A", "C", "C"]);
  expect(drawn(abc, { A: 0.1, B: 0.2, C: 0 }, 0.99)?.label).toBe("B");
});
