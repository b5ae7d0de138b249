import * as fc from "../support/properties.ts";
import { expect, test } from "vitest";
import { type Budget, openBudget, type Reservation, unbounded, type Worst } from "../../src/model/budget.ts";
import type { GatewayError } from "../../src/model/errors.ts";

function reserve(budget: Budget, worst: Worst): Reservation | GatewayError {
  try {
    return budget.reserve(worst);
  } catch (thrown) {
    return thrown as GatewayError;
  }
}

function isHeld(result: Reservation | GatewayError): result is Reservation {
  return "settle" in result;
}

test("denies a leg that has no room, and names what is lacking", () => {
  const lacking = (limits: Parameters<typeof openBudget>[0]) => {
    const result = reserve(openBudget(limits, unbounded, "smart"), { usd: 2, tokens: 20 });
    return isHeld(result) ? "nothing" : `${result.code}: ${result.message}`;
  };
  expect(lacking({ usd: 1 })).toBe("budget_denied: The usd budget of smart has no room for another call.");
  expect(lacking({ tokens: 19 })).toBe("budget_denied: The tokens budget of smart has no room for another call.");
  expect(lacking({ calls: 0 })).toBe("budget_denied: The calls budget of smart has no room for another call.");
  expect(lacking({ usd: 2, tokens: 20, calls: 1 })).toBe("nothing");
});

test("gives back what was not spent, but no call", () => {
  const budget = openBudget({ usd: 10, calls: 2 }, unbounded, "smart");
  budget.reserve({ usd: 10, tokens: 0 }).settle({ usd: 1, tokens: 0 });
  expect(budget.allows({ usd: 9, tokens: 0 })).toBe(true);
  budget.reserve({ usd: 1, tokens: 0 }).settle({ usd: 0, tokens: 0 });
  expect(budget.allows({ usd: 0, tokens: 0 })).toBe(false);
});

test("needs room in every budget above, and holds nothing when one denies", () => {
  const outer = openBudget({ usd: 5 }, unbounded, "outer");
  const inner = openBudget({ usd: 8 }, outer, "inner");
  expect(inner.allows({ usd: 6, tokens: 0 })).toBe(false);
  expect(reserve(inner, { usd: 6, tokens: 0 })).toMatchObject({ code: "budget_denied" });
  const held = inner.reserve({ usd: 5, tokens: 0 });
  expect(outer.allows({ usd: 1, tokens: 0 })).toBe(false);
  held.settle({ usd: 2, tokens: 0 });
  expect([outer.allows({ usd: 3, tokens: 0 }), outer.allows({ usd: 4, tokens: 0 })]).toEqual([true, false]);
  expect([inner.allows({ usd: 3, tokens: 0 }), inner.allows({ usd: 4, tokens: 0 })]).toEqual([true, false]);
});

test("denies everything once more was spent than was held", () => {
  const budget = openBudget({ usd: 2 }, unbounded, "smart");
  budget.reserve({ usd: 1, tokens: 0 }).settle({ usd: 3, tokens: 0 });
  expect(budget.allows({ usd: 0, tokens: 0 })).toBe(false);
});

test("parallel legs never spend more together than there is, and are denied only for lack of room", () => {
  const amount = fc.integer({ min: 0, max: 40 });
  const step = fc.oneof(
    fc.record({
      type: fc.constant("reserve" as const),
      usd: amount,
      tokens: amount,
      inner: fc.boolean(),
    }),
    fc.record({
      type: fc.constant("settle" as const),
      pick: fc.nat(20),
      share: fc.constantFrom(0, 0.5, 1),
    }),
  );
  const limits = fc.record({
    usd: fc.integer({ min: 0, max: 100 }),
    tokens: fc.integer({ min: 0, max: 100 }),
    calls: fc.integer({ min: 0, max: 12 }),
  });

  fc.assert(
    fc.property(limits, limits, fc.array(step, { maxLength: 40 }), (above, below, steps) => {
      const outer = openBudget(above, unbounded, "outer");
      const inner = openBudget(below, outer, "inner");
      const held: { worst: Worst; inner: boolean; reservation: Reservation }[] = [];
      const used = {
        outer: { usd: 0, tokens: 0, calls: 0 },
        inner: { usd: 0, tokens: 0, calls: 0 },
      };
      const add = (inner: boolean, sign: 1 | -1, { usd, tokens }: Worst) => {
        for (const purse of inner ? [used.inner, used.outer] : [used.outer]) {
          purse.usd += sign * usd;
          purse.tokens += sign * tokens;
        }
      };
      const fits = (purse: typeof used.outer, limit: typeof above, worst: Worst) =>
        purse.usd + worst.usd <= limit.usd && purse.tokens + worst.tokens <= limit.tokens && purse.calls < limit.calls;

      for (const step of steps) {
        if (step.type === "reserve") {
          const worst = { usd: step.usd, tokens: step.tokens };
          const room = fits(used.outer, above, worst) && (!step.inner || fits(used.inner, below, worst));
          const budget = step.inner ? inner : outer;
          expect(budget.allows(worst)).toBe(room);
          const result = reserve(budget, worst);
          expect(isHeld(result)).toBe(room);
          if (!isHeld(result)) continue;
          held.push({ worst, inner: step.inner, reservation: result });
          add(step.inner, 1, worst);
          used.outer.calls += 1;
          if (step.inner) used.inner.calls += 1;
        } else {
          const [leg] = held.splice(step.pick % Math.max(1, held.length), 1);
          if (!leg) continue;
          const actual = { usd: leg.worst.usd * step.share, tokens: leg.worst.tokens * step.share };
          leg.reservation.settle(actual);
          add(leg.inner, -1, leg.worst);
          add(leg.inner, 1, actual);
        }
        expect(used.outer.usd <= above.usd && used.outer.tokens <= above.tokens && used.outer.calls <= above.calls).toBe(true);
        expect(used.inner.usd <= below.usd && used.inner.tokens <= below.tokens && used.inner.calls <= below.calls).toBe(true);
      }
    }),
  );
});

test("unbounded has room for everything", () => {
  unbounded.reserve({ usd: 1e9, tokens: 1e9 }).settle({ usd: 1e9, tokens: 1e9 });
  expect(unbounded.allows({ usd: Infinity, tokens: Infinity })).toBe(true);
});

test("several legs need a call each, in every budget above, and their size together", () => {
  const outer = openBudget({ calls: 3, usd: 6 }, unbounded, "outer");
  const inner = openBudget({ calls: 5 }, outer, "inner");
  expect(inner.allows({ usd: 6, tokens: 0 }, 3)).toBe(true);
  expect(inner.allows({ usd: 6, tokens: 0 }, 4)).toBe(false);
  expect(inner.allows({ usd: 7, tokens: 0 }, 3)).toBe(false);
  expect(unbounded.allows({ usd: 0, tokens: 0 }, 99)).toBe(true);
});
