import { describe, expect, test } from "vitest";
import { boardText, conclusionsOf, turnOf, type Action, type Entry } from "../../src/panel/team/board.ts";
import { readVerdict } from "../../src/panel/judging/verdict.ts";

function entry(by: string, action: Action, text: string): Entry {
  const message = { role: "assistant", content: text, refusal: null } as const;
  return { by, action, completion: { choices: [{ index: 0, message, finishReason: "stop" }] } };
}

describe("what is shown of a board", () => {
  test("is every entry with its number, its agent and what it does", () => {
    const text = boardText([entry("B", "propose", "first"), entry("A", "work", "second")], { entry: 100, board: 100 }, "x");
    expect(text).toBe(
      [
        "--- entry 1 (B, propose), mark x ---\nfirst\n--- end of entry 1 (B, propose), mark x ---",
        "--- entry 2 (A, work), mark x ---\nsecond\n--- end of entry 2 (A, work), mark x ---",
      ].join("\n\n"),
    );
    expect(boardText([], { entry: 100, board: 100 }, "x")).toBe("[the board is empty]");
  });

  test("is bounded: each entry, and all of them from the newest back", () => {
    const entries = ["a", "b", "c", "d"].map((letter) => entry("A", "work", letter.repeat(60)));
    const text = boardText(entries, { entry: 100, board: 32 }, "x");
    expect(text).toContain("[2 older entries are left out]");
    expect(text).toContain("c".repeat(60));
    expect(text).toContain("entry 4 (A");
    expect(text).not.toContain("b".repeat(60));
    const cut = boardText([entry("A", "work", "y".repeat(1_000))], { entry: 16, board: 16 }, "x");
    expect(cut).toContain(`${"y".repeat(64)}\n[the rest was cut]`);
  });
});

test("the last conclusion of each agent counts, in the order in which they were made", () => {
  const entries = [entry("A", "conclude", "1"), entry("B", "conclude", "2"), entry("C", "work", "3"), entry("A", "conclude", "4")];
  expect(conclusionsOf(entries)).toEqual([entries[1], entries[3]]);
});

describe("a decision about the next turn", () => {
  const form = turnOf(["A", "B"], false);

  test.each<readonly [string, unknown]>([
    ['{"next":"B","action":"work"}', { end: false, next: "B", action: "work" }],
    ['Well: {"next":"b","action":"conclude"}', { end: false, next: "B", action: "conclude" }],
    ['{"next":"END","action":"work"}', { end: true }],
    ['{"next":"end"}', { end: true }],
    ['{"next":"C","action":"work"}', undefined],
    ['{"next":"A","action":"dance"}', undefined],
    ['{"next":"A"}', undefined],
    ["A should work", undefined],
  ])("%s", (text, expected) => {
    expect(readVerdict(text, form)).toEqual(expected);
  });

  test("is no end and no criticism while there is nothing on the board", () => {
    expect(readVerdict('{"next":"end","action":"work"}', turnOf(["A"], true))).toBeUndefined();
    expect(readVerdict('{"next":"A","action":"criticise"}', turnOf(["A"], true))).toBeUndefined();
    expect(JSON.stringify(turnOf(["A"], true).schema)).not.toMatch(/end|criticise/);
  });
});
