import { expect, test } from "vitest";
import { newRetryBudget, newSlot } from "../../src/model/slot.ts";

test("has as many attempts as it was given, whoever takes them", () => {
  const slot = newSlot(newRetryBudget(), 3);
  expect([slot.take(), slot.retake(), slot.take(), slot.take(), slot.retake()]).toEqual([true, true, true, false, false]);
});

test("a member's slot is full, and its attempts are its own", () => {
  const slot = newSlot(newRetryBudget(), 1);
  slot.take();
  const fresh = slot.fresh();
  expect([fresh.take(), fresh.take(), slot.take()]).toEqual([true, false, false]);
});

test("further attempts need room in the budget of the whole process, first ones do not", () => {
  const retries = newRetryBudget(0, 1);
  const slot = newSlot(retries, 9);
  const other = newSlot(retries, 9);
  expect([slot.retake(), other.retake(), other.take()]).toEqual([true, false, true]);
});

test("an attempt that the process denies is not taken from the slot", () => {
  const slot = newSlot(newRetryBudget(0, 0), 1);
  expect([slot.retake(), slot.take()]).toEqual([false, true]);
});

test("first attempts earn a share of a retry, up to the burst", () => {
  const retries = newRetryBudget(0.5, 1);
  const slot = newSlot(retries, 100);
  const more = () => slot.retake();
  expect([more(), more()]).toEqual([true, false]);
  slot.take();
  expect(more()).toBe(false);
  slot.take();
  expect(more()).toBe(true);
  for (let i = 0; i < 10; i += 1) slot.take();
  expect([more(), more()]).toEqual([true, false]);
});
