import { describe, expect, test } from "vitest";
import type { Call } from "../../../src/model/call.ts";
import { type ErrorCode, type ErrorDetails, GatewayError } from "../../../src/model/errors.ts";
import type { ModelEvent } from "../../../src/model/events.ts";
import { newRetryBudget, newSlot } from "../../../src/model/slot.ts";
import { strategies } from "../../../src/strategies/registry.ts";
import { buildNode, planNode } from "../../support/build.ts";
import { newCall, newRequest } from "../../support/call.ts";
import { type ManualClock, manualClock } from "../../support/clock.ts";
import { FakeModel, fails, says, type Script, textIn } from "../../support/fake-model.ts";
import { read, type Reading } from "../../support/read.ts";

function failure(code: ErrorCode = "upstream_error", details: ErrorDetails = {}): GatewayError {
  return new GatewayError(code, "It failed.", { upstream: "a", ...details });
}

/** A run of `retry` over one scripted model, with the times at which the model was asked. */
class Run {
  readonly clock: ManualClock = manualClock();
  readonly model: FakeModel;
  readonly call: Call;
  readonly times: number[] = [];
  readonly #options: object;

  constructor(scripts: readonly Script[], options: object = {}, given: Partial<Call> = {}) {
    this.model = new FakeModel("a", ...scripts);
    this.call = newCall({ clock: this.clock, ...given });
    this.#options = options;
  }

  stream(): AsyncIterable<ModelEvent> {
    const timed = {
      name: "a",
      stream: (...given: Parameters<FakeModel["stream"]>) => {
        this.times.push(this.clock.now());
        return this.model.stream(...given);
      },
    };
    return buildNode({ kind: "retry", model: "a", ...this.#options }, () => timed, strategies).stream(newRequest(), this.call);
  }

  read(): Promise<Reading> {
    return this.clock.drive(read(this.stream()));
  }
}

describe("retry", () => {
  test("asks the same model again, and its answer streams", async () => {
    const run = new Run([fails(failure()), says("Hel", "lo")]);
    const { events, error } = await run.read();
    expect([textIn(events), error]).toEqual(["Hello", undefined]);
    expect(run.model.calls.length).toBe(2);
    expect(run.call.span.decision).toEqual({ attempts: 2 });
    expect(run.call.span.children.map(({ label }) => label)).toEqual(["attempt 1", "attempt 2"]);
  });

  test("gives up after its attempts, and tells how many there were", async () => {
    const run = new Run([fails(failure("upstream_overloaded"))], { attempts: 3 });
    const { error } = await run.read();
    expect(error).toMatchObject({
      code: "upstream_overloaded",
      details: { attempts: 3, upstream: "a" },
    });
    expect(run.model.calls.length).toBe(3);
    expect(run.call.span.decision).toEqual({ attempts: 3, failed: "upstream_overloaded" });
  });

  test("tries twice unless told otherwise", async () => {
    const run = new Run([fails(failure())]);
    await run.read();
    expect(run.model.calls.length).toBe(2);
  });

  test.for<ErrorCode>([
    "upstream_timeout",
    "upstream_invalid",
    "content_filter",
    "upstream_auth",
    "budget_denied",
    "context_length_exceeded",
  ])("does not ask again after %s", async (code) => {
    const run = new Run([fails(failure(code))], { attempts: 5 });
    expect((await run.read()).error).toMatchObject({ code, details: { attempts: 1 } });
    expect(run.model.calls.length).toBe(1);
  });

  test("does not ask again once text was shown", async () => {
    const run = new Run([{ moves: [{ text: "Hel" }, { fail: failure() }] }, says("Hello")], {
      attempts: 5,
    });
    const { events, error } = await run.read();
    expect([textIn(events), error?.code]).toEqual(["Hel", "upstream_error"]);
    expect(run.model.calls.length).toBe(1);
  });

  test("asks again for a whole answer that was cut, because nothing of it was shown", async () => {
    const run = new Run([{ moves: [{ text: "Hel" }, { fail: failure() }] }, says("Hello")], {}, { delivery: "unary" });
    expect(textIn((await run.read()).events)).toBe("Hello");
  });
});

describe("the wait between attempts", () => {
  const impatient = 0.999_999;

  test("doubles from attempt to attempt, up to a cap", async () => {
    const run = new Run([fails(failure())], { attempts: 6, baseMs: 100, capMs: 500 }, { random: () => impatient });
    await run.read();
    const waits = run.times.slice(1).map((ms, index) => Math.round(ms - (run.times[index] ?? 0)));
    expect(waits).toEqual([100, 200, 400, 500, 500]);
  });

  test("is drawn from all of that time", async () => {
    const draws = [0, 0.25];
    const run = new Run([fails(failure())], { attempts: 3, baseMs: 100 }, { random: () => draws.shift() ?? 0 });
    await run.read();
    expect(run.times).toEqual([0, 0, 50]);
  });

  test("is never shorter than a Retry-After", async () => {
    const run = new Run(
      [fails(failure("upstream_rate_limited", { retryAfterMs: 7000 })), says("Hello")],
      { baseMs: 100 },
      { random: () => 0.5 },
    );
    expect(textIn((await run.read()).events)).toBe("Hello");
    expect(run.times).toEqual([0, 7050]);
  });

  test("is not begun for a Retry-After above the limit", async () => {
    const limited = failure("upstream_rate_limited", { retryAfterMs: 5001 });
    const run = new Run([fails(limited), says("Hello")], { maxRetryAfterMs: 5000 });
    expect((await run.read()).error).toMatchObject({
      code: "upstream_rate_limited",
      details: { retryAfterMs: 5001, attempts: 1 },
    });
    expect(run.clock.now()).toBe(0);
  });

  test("ends when the call is aborted", async () => {
    const controller = new AbortController();
    const gone = failure("client_closed");
    const run = new Run([fails(failure("upstream_rate_limited", { retryAfterMs: 9000 }))], {}, { signal: controller.signal });
    const reading = read(run.stream());
    await run.clock.advance(10);
    controller.abort(gone);
    expect((await reading).error).toBe(gone);
    expect(run.clock.pending).toBe(0);
  });
});

describe("the slot", () => {
  test("gives an attempt for each call, and when it has none the first error stands", async () => {
    const run = new Run([fails(failure())], { attempts: 9 }, { slot: newSlot(newRetryBudget(), 3) });
    expect((await run.read()).error).toMatchObject({
      code: "upstream_error",
      details: { attempts: 3 },
    });
    expect(run.model.calls.length).toBe(3);
  });

  test("that is empty is an error that says so and sends nobody elsewhere", async () => {
    const slot = newSlot(newRetryBudget(), 0);
    const run = new Run([says("Hello")], {}, { slot });
    const { error } = await run.read();
    expect(error).toMatchObject({ code: "attempts_exhausted", elsewhere: false, retry: false });
    expect(run.model.calls.length).toBe(0);
  });

  test("counts upstream calls: nested retries use it up, and no more", async () => {
    const slot = newSlot(newRetryBudget(), 6);
    const model = new FakeModel("a", fails(failure()));
    const clock = manualClock();
    const nested = {
      kind: "retry",
      attempts: 6,
      model: { kind: "retry", attempts: 2, model: "a" },
    };
    const stream = buildNode(nested, () => model, strategies).stream(newRequest(), newCall({ clock, slot }));
    const { error } = await clock.drive(read(stream));
    expect(error?.code).toBe("upstream_error");
    expect([model.calls.length, error?.details.attempts]).toEqual([6, 6]);
  });

  test("does not amplify a brown-out: further attempts need room in the budget of the process", async () => {
    const run = new Run([fails(failure())], { attempts: 5 }, { slot: newSlot(newRetryBudget(0, 1)) });
    expect((await run.read()).error).toMatchObject({
      code: "upstream_error",
      details: { attempts: 2 },
    });
  });
});

describe("a held answer", () => {
  const cutAt = (...texts: readonly string[]): Script => ({
    moves: [...texts.map((text) => ({ text })), { fail: failure() }],
  });

  test("is asked for again when it is cut within the held part", async () => {
    const run = new Run([cutAt("12345678901"), says("Hello")], { hold: { tokens: 3 } });
    const { events, error } = await run.read();
    expect([textIn(events), error]).toEqual(["Hello", undefined]);
  });

  test("is out of reach once about so many tokens were read", async () => {
    const run = new Run([cutAt("123456789012"), says("Hello")], { hold: { tokens: 3 } });
    const { events, error } = await run.read();
    expect([textIn(events), error?.code]).toEqual(["123456789012", "upstream_error"]);
  });

  test("streams on after the held part", async () => {
    const run = new Run([says("1234", "5678", "9012")], { hold: { tokens: 2 } });
    const iterator = run.stream()[Symbol.asyncIterator]();
    await iterator.next();
    expect(run.model.streamed).toBe(2);
    await iterator.return?.();
    expect(run.model.open).toBe(0);
  });

  test("of which all is held is asked for again wherever it is cut", async () => {
    const run = new Run([cutAt("a long", " text"), says("Hello")], { hold: "whole" });
    expect(textIn((await run.read()).events)).toBe("Hello");
  });

  test("that is shorter than the held part goes out at its end", async () => {
    const run = new Run([says("Hi")], { hold: { tokens: 100 } });
    const { events } = await run.read();
    expect(events.map(({ type }) => type)).toEqual(["start", "batch", "batch", "finish"]);
  });
});

describe("the plan of a retry", () => {
  const planOf = (options: object) => planNode({ kind: "retry", model: "a", ...options }, strategies).plan;

  test("is its child's: retries are not counted, and a model streams under its own name", () => {
    expect(planOf({})).toMatchObject({ calls: [1, 1], depth: 1, tail: "a", reads: false });
    expect(planOf({ model: { kind: "vote", members: ["a", "b", "c"] } })).toMatchObject({
      calls: [3, 3],
      tail: "none",
      agreement: true,
    });
  });

  test("says that it reads what it holds, and streams nothing when it holds all", () => {
    expect(planOf({ hold: { tokens: 5 } })).toMatchObject({ tail: "a", reads: true });
    expect(planOf({ hold: "whole" })).toMatchObject({ tail: "none" });
  });
});
