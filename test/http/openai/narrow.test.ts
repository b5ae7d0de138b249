import { describe, expect, test } from "vitest";
import { readNarrowing } from "../../../src/http/openai/narrow.ts";

describe("a bound that a body and a header both set", () => {
  test.each([
    [{ budget: { calls: 5 } }, { "x-chorale-budget-usd": "0.5" }, { budget: { usd: 0.5, calls: 5 } }],
    [{ budget: { usd: 2 } }, { "x-chorale-budget-usd": "0.5" }, { budget: { usd: 0.5 } }],
    [{ budget: { usd: 0.1, tokens: 9 } }, { "x-chorale-budget-usd": "0.5" }, { budget: { usd: 0.1, tokens: 9 } }],
    [{ deadlineMs: 100_000 }, { "x-chorale-deadline-ms": "10" }, { deadlineMs: 10 }],
    [{ budget: { ms: 5 } }, { "x-chorale-deadline-ms": "10" }, { deadlineMs: 5 }],
    [{ expose: "full" }, { "x-chorale-expose": "summary" }, { expose: "summary" }],
    [{ expose: "none" }, { "x-chorale-expose": "full" }, { expose: "none" }],
    [undefined, { "x-chorale-expose": "full", "x-chorale-deadline-ms": "10" }, { expose: "full", deadlineMs: 10 }],
    [{ cache: "no-store" }, { "x-chorale-expose": "summary" }, { expose: "summary", caching: "no-store" }],
    [{}, {}, { expose: "none" }],
  ])("%o beside %o is %o", (body, headers, expected) => {
    expect(readNarrowing(body, headers)).toMatchObject(expected);
  });
});

test.each([
  [{ "x-chorale-deadline-ms": "soon" }, "chorale.deadlineMs"],
  [{ "x-chorale-budget-usd": "-1" }, "chorale.budget.usd"],
  [{ "x-chorale-expose": "all" }, "chorale.expose"],
])("%o is refused by name, whatever the body says", (headers, param) => {
  expect(() => readNarrowing({ expose: "none", deadlineMs: 5, budget: { usd: 1 } }, headers)).toThrow(`Invalid '${param}'`);
});
