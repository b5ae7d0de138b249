import { describe, expect, test } from "vitest";
import type { Call } from "../../../src/model/call.ts";
import { GatewayError } from "../../../src/model/errors.ts";
import { strategies } from "../../../src/strategies/registry.ts";
import { buildNode, planNode } from "../../support/build.ts";
import { newCall, newRequest } from "../../support/call.ts";
import { type ManualClock, manualClock } from "../../support/clock.ts";
import { FakeModel, says, type Script, textIn } from "../../support/fake-model.ts";
import { read, type Reading } from "../../support/read.ts";

class Run {
  readonly clock: ManualClock = manualClock();
  readonly model: FakeModel;
  readonly call: Call;

  constructor(script: Script, given: Partial<Call> = {}) {
    this.model = new FakeModel("a", script);
    this.call = newCall({ clock: this.clock, ...given });
  }

  stream(timeouts: object, model: unknown = "a") {
    const node = { kind: "timeout", model, timeouts };
    return buildNode(node, (name) => (name === "a" ? this.model : new FakeModel(name)), strategies).stream(newRequest(), this.call);
  }

  read(timeouts: object, model?: unknown): Promise<Reading> {
    return this.clock.drive(read(this.stream(timeouts, model)));
  }
}

const slowStart: Script = { moves: ["role", { waitMs: 400 }, { text: "Hello" }] };

describe("timeout", () => {
  test("lets a model pass that is in time, and leaves no timer", async () => {
    const run = new Run(slowStart);
    const { events, error } = await run.read({
      connectMs: 10,
      firstTokenMs: 500,
      idleMs: 10,
      totalMs: 1000,
    });
    expect([textIn(events), error, run.clock.pending]).toEqual(["Hello", undefined, 0]);
  });

  test("ends a stream whose first content is late; a bare role is none", async () => {
    const run = new Run(slowStart);
    const { events, error } = await run.read({ firstTokenMs: 300 });
    expect(error).toMatchObject({
      code: "upstream_timeout",
      retry: false,
      elsewhere: true,
      details: { upstream: "a" },
    });
    expect(events.map(({ type }) => type)).toEqual(["start", "batch"]);
    expect([run.clock.now(), run.model.open]).toEqual([300, 0]);
  });

  test("adds the time to connect to that of the first content", async () => {
    expect((await new Run(slowStart).read({ connectMs: 101, firstTokenMs: 300 })).error).toBeUndefined();
    expect((await new Run(slowStart).read({ connectMs: 99, firstTokenMs: 300 })).error?.code).toBe("upstream_timeout");
  });

  test("ends a stream that falls silent after its first content, not before", async () => {
    const silent: Script = {
      moves: [{ waitMs: 400 }, { text: "Hel" }, { waitMs: 90 }, { text: "lo" }, "stall"],
    };
    const run = new Run(silent);
    const { events, error } = await run.read({ idleMs: 100 });
    expect([textIn(events), error?.code, run.clock.now()]).toEqual(["Hello", "upstream_timeout", 590]);
  });

  test("does not blame the model for a slow reader", async () => {
    const run = new Run(says("Hel", "lo"));
    const texts: string[] = [];
    const reading = (async () => {
      for await (const event of run.stream({ idleMs: 100 })) {
        texts.push(textIn([event]));
        await new Promise<void>((resolve) => void run.clock.timer(5000, resolve));
      }
    })();
    await run.clock.drive(reading);
    expect(texts.join("")).toBe("Hello");
  });

  test("bounds a stream in all, whoever is slow", async () => {
    const run = new Run({
      moves: Array.from({ length: 10 }, () => [{ text: "." }, { waitMs: 100 }] as const).flat(),
    });
    const { events, error } = await run.read({ totalMs: 450 });
    expect([textIn(events), error?.code, run.clock.now()]).toEqual([".....", "upstream_timeout", 450]);
  });

  test("bounds a whole answer in all, and leaves its first token to the legs", async () => {
    const slow: Script = { moves: [{ waitMs: 400 }, { text: "Hello" }] };
    for (const delivery of ["unary", "metered"] as const) {
      expect((await new Run(slow, { delivery }).read({ firstTokenMs: 100, idleMs: 100 })).error).toBeUndefined();
      expect((await new Run(slow, { delivery }).read({ totalMs: 399 })).error?.code).toBe("upstream_timeout");
    }
  });

  test("tightens the timers of the legs below, never widens them", async () => {
    const run = new Run(says("Hello"), { timeouts: { idleMs: 50, totalMs: 900 } });
    await run.read({ idleMs: 90, totalMs: 800, connectMs: 7 });
    expect(run.model.calls[0]?.timeouts).toEqual({ idleMs: 50, totalMs: 800, connectMs: 7 });
  });

  test("bounds a composite as a whole, and asks none of its members any more", async () => {
    const run = new Run({ moves: ["stall"] });
    const { error } = await run.read({ firstTokenMs: 300 }, { kind: "fallback", members: ["a", "b"] });
    expect([error?.code, run.clock.now()]).toEqual(["upstream_timeout", 300]);
  });

  test("is not asked again by a retry, but sends a fallback elsewhere", async () => {
    const run = new Run({ moves: ["stall"] });
    const bounded = { kind: "timeout", model: "a", timeouts: { firstTokenMs: 300 } };
    const retried = { kind: "retry", model: bounded, attempts: 3 };
    const node = { kind: "fallback", members: [retried, "b"] };
    const stream = buildNode(node, (name) => (name === "a" ? run.model : new FakeModel(name)), strategies).stream(newRequest(), run.call);
    expect(textIn((await run.clock.drive(read(stream))).events)).toBe("Hello");
    expect(run.model.calls.length).toBe(1);
  });

  test("tells the abort of its caller, not a timeout of its own", async () => {
    const gone = new GatewayError("client_closed", "The client has left.");
    const controller = new AbortController();
    const run = new Run({ moves: ["stall"] }, { signal: controller.signal });
    run.clock.timer(50, () => controller.abort(gone));
    expect((await run.read({ firstTokenMs: 300, totalMs: 300 })).error).toBe(gone);
  });
});

describe("the options of a timeout", () => {
  const parse = (timeouts: object) => strategies.get("timeout")?.options.safeParse({ model: "a", timeouts }).success;

  test("need at least one bound, above zero, under one of the four names", () => {
    expect([parse({ totalMs: 1 }), parse({}), parse({ totalMs: 0 }), parse({ readMs: 5 })]).toEqual([true, false, false, false]);
  });
});

test("the plan of a timeout is its child's", () => {
  const { plan } = planNode({ kind: "timeout", model: "a", timeouts: { totalMs: 5 } }, strategies);
  expect(plan).toMatchObject({
    calls: [1, 1],
    depth: 1,
    tail: "a",
    reads: false,
    edges: [{ role: "model" }],
  });
});
