import { describe, expect, test } from "vitest";
import { chemistry } from "../../src/learn/chemistry.ts";
import type { GradedRow, Member } from "../../src/learn/scoreboard.ts";

const names = ["a", "b", "c"];
const members: readonly Member[] = names.map((name) => ({ name, upstream: `p/${name}` }));

/** A letter for each member: its answer. `x` is right. */
function row(answers: string, usd: readonly number[] = [1, 2, 4]): GradedRow {
  return {
    question: { id: answers, text: undefined, answers: [] },
    cells: answers.split("").map((key, member) => ({ key, score: key === "x" ? 1 : 0, usd: usd[member] })),
  };
}

describe("chemistry", () => {
  // a is wrong in the first three, b in the first and the last two, c wherever a is.
  const rows = ["yyy", "yxy", "yxy", "xxx", "xxx", "xxx", "xxx", "xxx", "xyx", "xyx"].map((answers) => row(answers));

  test("ranks sets by what a vote of them has right, counted over the questions", () => {
    const { sets, questions } = chemistry(rows, members, { size: 2, least: 1 });
    expect(questions).toBe(10);
    // Each is right 7 of 10. In a tie of two the first stands, so a pair votes as its first does; b makes up for the others, and c adds nothing to a.
    expect(sets).toEqual([
      { members: ["a", "b"], coverage: 0.9, vote: 0.7, usd: 3 },
      { members: ["b", "c"], coverage: 0.9, vote: 0.7, usd: 6 },
      { members: ["a", "c"], coverage: 0.7, vote: 0.7, usd: 5 },
    ]);
  });

  test("says of each pair what one mends of the other", () => {
    const { pairs } = chemistry(rows, members, { size: 2, least: 1 });
    // a and b: both right 5, one right 4, both wrong 1. phi = (5/10 - 49/100) / (21/100) = 1/21.
    expect(pairs[0]).toMatchObject({ members: ["a", "b"], rescued: 0.4, bothWrong: 0.1, correlation: 0.0476 });
    expect(pairs[1]).toMatchObject({ members: ["a", "c"], rescued: 0, bothWrong: 0.3, correlation: 1 });
  });

  test("has the published interaction, worked out by hand", () => {
    const three = ["yxx", "xxy", "xxx", "xxx"].map((answers) => row(answers));
    // b is never wrong: 1/10 * 1/10. a and c: q = a = 3/4, so 1/4 * 1/4 = 1/16 each. For a and b the only X is c; the best comes first.
    const [all, ac, bc, c] = [0.01 + 1 / 32 + 1 / 48, 1 / 16 + 1 / 32, 0.01 + 1 / 32, 1 / 16] as const;
    const { pairs } = chemistry(three, members, { size: 2, least: 1 });
    expect(pairs[0]).toMatchObject({ members: ["a", "b"], chemistry: Number((Math.abs(all - ac - bc + c) / all).toFixed(4)) });
    // Two have nobody beside them.
    const two = three.map(({ question, cells }) => ({ question, cells: cells.slice(0, 2) }));
    expect(chemistry(two, members.slice(0, 2), { size: 2, least: 1 }).pairs[0]!.chemistry).toBe(0);
  });

  test("counts more than half of the members where no answer can be compared", () => {
    const blind = (scores: readonly number[]): GradedRow => ({
      question: { id: "q", text: undefined, answers: [] },
      cells: scores.map((score) => ({ key: undefined, score, usd: undefined })),
    });
    const { sets } = chemistry([blind([1, 1, 0]), blind([1, 0, 0])], members, { size: 3, least: 1 });
    expect(sets).toEqual([{ members: ["a", "b", "c"], coverage: 1, vote: 0.5 }]);
  });

  test.each([
    [{ size: 4, least: 1 }, /sets of 4 of 3 members/],
    [{ size: 1, least: 1 }, /sets of 1 of 3 members/],
    [{ size: 2.5, least: 1 }, /sets of 2\.5 of 3 members/],
    [{ size: 2, least: 20 }, /^10 questions were answered by every member and graded; fewer than 20/],
  ])("refuses %j", (options, message) => {
    expect(() => chemistry(rows, members, options)).toThrow(message);
  });
});
