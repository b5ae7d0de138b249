import { describe, expect, test } from "vitest";
import type { Cell, Member, Row } from "../../src/learn/scoreboard.ts";
import { estimateClasses, voteWeights } from "../../src/learn/vote-weights.ts";

const members: readonly Member[] = ["a", "b", "c"].map((name) => ({ name, upstream: `p/${name}` }));

function row(...cells: readonly (readonly [key: string, score?: number] | undefined)[]): Row {
  return {
    question: { id: "q", text: undefined, answers: [] },
    cells: cells.map((cell): Cell | undefined => cell && { key: cell[0], score: cell[1], usd: undefined }),
  };
}

const rounded = (value: number) => Number(value.toFixed(4));

const times = (count: number, made: Row) => Array.from({ length: count }, () => made);

describe("vote weights", () => {
  test("are the log-odds of the grades with one success and one failure added", () => {
    // a is right 3 of 4, b 4 of 4, c 1 of 4; K = 2: ln((3+1)/(1+1)) = ln 2, ln(5/1), ln(2/4).
    const rows = [row(["x", 1], ["x", 1], ["x", 1]), ...times(2, row(["x", 1], ["x", 1], ["y", 0])), row(["z", 0], ["x", 1], ["y", 0])];
    const { members: weighed, by } = voteWeights(rows, members, { classes: 2, least: 4 });
    expect(by).toBe("grades");
    expect(weighed).toEqual({
      a: { weight: rounded(Math.LN2), right: 3, total: 4 },
      b: { weight: rounded(Math.log(5)), right: 4, total: 4 },
      c: { weight: rounded(-Math.LN2), right: 1, total: 4 },
    });
  });

  test("take the number of answers from how often two wrong ones were the same", () => {
    // Three pairs of wrong answers, one of them equal, and the pair that is added: K = 1 + 4 / 2.
    expect(estimateClasses([row(["y", 0], ["y", 0], ["z", 0])])).toBe(3);
    expect(estimateClasses([row(["y", 1], ["y", 1], ["z", 0])])).toBe(2);
    // Whoever always errs together leaves K at its least, however many they are.
    expect(estimateClasses(times(50, row(["y", 0], ["y", 0], ["x", 1])))).toBe(2);
  });

  test("without grades say who agrees with the majority of the others, and say so", () => {
    // a and b always agree; c agrees with them once. For c the others' majority is x; for a it is x only where c agrees, else a tie of one to one.
    const rows = [row(["x"], ["x"], ["x"]), ...times(3, row(["x"], ["x"], ["y"]))];
    const { members: weighed, by, classes } = voteWeights(rows, members, { least: 1 });
    expect([by, classes]).toEqual(["agreement with the others", 2]);
    expect(weighed).toMatchObject({ a: { right: 1, total: 1 }, b: { right: 1, total: 1 }, c: { right: 1, total: 4 } });
  });

  test("are refused without grades for two members", () => {
    expect(() => voteWeights([row(["x"], ["x"])], members.slice(0, 2), { least: 1 })).toThrow(/at least three members/);
  });

  test("are refused where too few questions stand behind a member", () => {
    const rows = [...times(20, row(["x", 1], ["x", 1], undefined)), ...times(5, row(["x", 1], ["x", 1], ["x", 1]))];
    expect(() => voteWeights(rows, members, { least: 20 })).toThrow(/^5 questions tell whether c is right; fewer than 20 tell nothing/);
  });
});
