import { expect, test } from "vitest";
import { newRetryBudget, newSlot } from "../../src/model/slot.ts";

test("has as many attempts as it was given, whoever takes them, and none to try again when they are gone", () => {
  const slot = newSlot(newRetryBudget(), 3);
  expect([slot.take(), slot.retry(), slot.take(), slot.take(), slot.retry(), slot.take()]).toEqual([true, true, true, true, false, false]);
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
  expect([slot.retry(), other.retry(), other.take()]).toEqual([true, false, true]);
});

test("to ask for a further attempt takes none", () => {
  const slot = newSlot(newRetryBudget(), 1);
  expect([slot.retry(), slot.take(), slot.take()]).toEqual([true, true, false]);
});

test("an empty slot costs the process nothing", () => {
  const retries = newRetryBudget(0, 1);
  expect([newSlot(retries, 0).retry(), newSlot(retries, 1).retry()]).toEqual([false, true]);
});

test("first attempts earn a share of a retry, up to the burst; retries earn none", () => {
  const retries = newRetryBudget(0.5, 1);
  const slot = newSlot(retries, 100);
  const more = () => slot.retry();
  expect([more(), slot.take(), more()]).toEqual([true, true, false]);
  slot.take();
  expect(more()).toBe(false);
  slot.take();
  expect([more(), slot.take()]).toEqual([true, true]);
  for (let i = 0; i < 10; i += 1) slot.take();
  expect([more(), more()]).toEqual([true, false]);
});
