import { expect, test } from "vitest";
import { openBudget, unbounded, type BudgetLimits } from "../../src/model/budget.ts";
import { openSpan } from "../../src/model/trace.ts";
import { hasRoom } from "../../src/panel/room.ts";
import { newCall } from "../support/call.ts";

/** A node below which two children were asked: one leg for a dollar, and a panel of two legs for three dollars. */
function asked(limits: BudgetLimits) {
  const call = newCall({ budget: openBudget(limits, unbounded, "smart") });
  const one = openSpan(call.span, "a", 0);
  Object.assign(one, { usd: 1, usage: { promptTokens: 6, completionTokens: 4 } });
  const panel = openSpan(call.span, "b", 0);
  for (const usd of [1, 2]) Object.assign(openSpan(panel, "leg", 0), { usd, usage: { promptTokens: 10, completionTokens: 0 } });
  return call;
}

test("further children are taken to cost as much as the dearest so far", () => {
  for (const [limits, room] of [
    [{ usd: 6 }, true],
    [{ usd: 5.9 }, false],
    [{ tokens: 40 }, true],
    [{ tokens: 39 }, false],
    [{ calls: 2 }, true],
    [{ calls: 1 }, false],
    [{}, true],
  ] as const) {
    expect(hasRoom(asked(limits), 2), JSON.stringify(limits)).toBe(room);
  }
});

test("before anybody was asked only calls count", () => {
  expect(hasRoom(newCall({ budget: openBudget({ usd: 0.01, calls: 2 }, unbounded, "smart") }), 2)).toBe(true);
  expect(hasRoom(newCall({ budget: openBudget({ usd: 0.01, calls: 2 }, unbounded, "smart") }), 3)).toBe(false);
});
