import { getEventListeners } from "node:events";
import { describe, expect, test } from "vitest";
import { openBudget, unbounded } from "../../src/model/budget.ts";
import { enter, tightest } from "../../src/model/call.ts";
import { sleep, systemClock } from "../../src/model/clock.ts";
import { GatewayError } from "../../src/model/errors.ts";
import { openDeadline, openScope } from "../../src/model/scope.ts";
import { newRetryBudget, newSlot } from "../../src/model/slot.ts";
import { newCall } from "../support/call.ts";
import { manualClock } from "../support/clock.ts";

const reason = new GatewayError("cancelled", "No longer needed.");

describe("enter", () => {
  test("opens a span below the parent's", () => {
    const call = newCall();
    const inner = enter(call, { label: "writer" });
    expect(call.span.children).toEqual([inner.span]);
    expect(inner.span).toMatchObject({ label: "writer", status: "running", children: [] });
  });

  test("leaves all else to the child, and the parent as it was", () => {
    const call = newCall({ delivery: "metered" });
    const before = { ...call };
    const { span: _, ...inner } = enter(call, { label: "writer" });
    const { span: __, ...rest } = before;
    expect(inner).toEqual(rest);
    expect({ ...call }).toEqual(before);
  });

  test("gives a member a slot of its own", () => {
    const call = newCall({ slot: newSlot(newRetryBudget(), 1) });
    expect(enter(call, { label: "writer" }).slot).toBe(call.slot);
    expect(enter(call, { label: "member", member: true }).slot.take()).toBe(true);
    expect(call.slot.take()).toBe(true);
  });

  test("narrows delivery, signal, budget and timeouts where told", () => {
    const { signal } = new AbortController();
    const budget = openBudget({ calls: 1 }, unbounded, "smart");
    const call = newCall({ timeouts: { idleMs: 50, totalMs: 900 } });
    const inner = enter(call, {
      label: "writer",
      delivery: "unary",
      signal,
      budget,
      timeouts: { idleMs: 90, connectMs: 5 },
    });
    expect(inner).toMatchObject({
      delivery: "unary",
      timeouts: { idleMs: 50, totalMs: 900, connectMs: 5 },
    });
    expect([inner.signal, inner.budget]).toEqual([signal, budget]);
  });

  test("of two bounds the tighter holds", () => {
    expect(tightest({ idleMs: 5, totalMs: 10 }, { idleMs: 7, totalMs: 3 })).toEqual({
      idleMs: 5,
      totalMs: 3,
    });
  });
});

describe("sleep", () => {
  test("ends after its time, and leaves no listener", async () => {
    const clock = manualClock();
    const { signal } = new AbortController();
    const sleeping = sleep(clock, 100, signal);
    await clock.advance(99);
    expect(clock.pending).toBe(1);
    await clock.advance(1);
    await sleeping;
    expect(getEventListeners(signal, "abort")).toEqual([]);
  });

  test("rejects with the reason of an abort, and leaves no timer", async () => {
    const clock = manualClock();
    const controller = new AbortController();
    const sleeping = sleep(clock, 100, controller.signal);
    controller.abort(reason);
    await expect(sleeping).rejects.toBe(reason);
    await expect(sleep(clock, 100, controller.signal)).rejects.toBe(reason);
    expect(clock.pending).toBe(0);
  });
});

describe("a scope", () => {
  test("aborts with its parent, and by itself alone", () => {
    const controller = new AbortController();
    using own = openScope(controller.signal);
    using other = openScope(controller.signal);
    own.abort(reason);
    expect([own.signal.reason, other.signal.aborted, controller.signal.aborted]).toEqual([reason, false, false]);
    controller.abort(reason);
    expect(other.signal.reason).toBe(reason);
    using late = openScope(controller.signal);
    expect(late.signal.reason).toBe(reason);
  });

  test("leaves nothing at its parent once it is disposed of", () => {
    const clock = manualClock();
    const call = newCall({ clock });
    openDeadline(call, 100, () => reason)[Symbol.dispose]();
    expect([getEventListeners(call.signal as AbortSignal, "abort"), clock.pending]).toEqual([[], 0]);
  });

  test("with a deadline aborts when it passes; without one never", async () => {
    const clock = manualClock();
    const call = newCall({ clock });
    using scope = openDeadline(call, 100, () => reason);
    using endless = openDeadline(call, undefined, () => reason);
    await clock.advance(99);
    expect(scope.signal.aborted).toBe(false);
    await clock.advance(1);
    expect([scope.signal.reason, endless.signal.aborted]).toEqual([reason, false]);
  });
});

test("the machine's clock runs a timer, unless it is disposed of", async () => {
  const fired: string[] = [];
  systemClock.timer(0, () => fired.push("disposed"))[Symbol.dispose]();
  await new Promise<void>((resolve) => {
    systemClock.timer(1, () => {
      fired.push("kept");
      resolve();
    });
  });
  expect(fired).toEqual(["kept"]);
  expect(systemClock.wall()).toBeGreaterThan(systemClock.now());
});
