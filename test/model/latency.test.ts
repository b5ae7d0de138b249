import * as fc from "../support/properties.ts";
import { expect, test } from "vitest";
import { newLatency } from "../../src/model/latency.ts";

function after(durations: readonly number[]): number | undefined {
  const latency = newLatency();
  for (const ms of durations) latency.record(ms);
  return latency.p90();
}

test("says nothing before there are ten durations", () => {
  expect(after([1, 2, 3, 4, 5, 6, 7, 8, 9])).toBeUndefined();
});

test("of ten durations the ninth is the p90: one slow run does not count", () => {
  expect(after([10, 9, 8, 7, 6, 5, 4, 3, 2, 1])).toBe(9);
  expect(after([1, 1, 1, 1, 1, 1, 1, 1, 1, 60_000])).toBe(1);
});

test("forgets all but the last 64", () => {
  expect(after([...Array.from({ length: 100 }, () => 9000), ...Array.from({ length: 64 }, () => 5)])).toBe(5);
});

test("is the smallest duration that at least nine of ten do not exceed", () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 1000 }), { minLength: 10, maxLength: 64 }), (durations) => {
      const share = (ms: number) => durations.filter((one) => one <= ms).length / durations.length;
      const enough = durations.filter((ms) => share(ms) >= 0.9);
      expect(after(durations)).toBe(Math.min(...enough));
    }),
  );
});
