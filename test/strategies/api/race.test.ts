import { describe, expect, test } from "vitest";
import type { Call } from "../../../src/model/call.ts";
import { type ErrorCode, type ErrorDetails, GatewayError } from "../../../src/model/errors.ts";
import type { Model } from "../../../src/model/model.ts";
import type { ChatBody } from "../../../src/model/request.ts";
import { strategies } from "../../../src/strategies/registry.ts";
import { buildNode, planNode } from "../../support/build.ts";
import { newCall, newRequest } from "../../support/call.ts";
import { type ManualClock, manualClock } from "../../support/clock.ts";
import { FakeModel, fails, says, type Script, textIn } from "../../support/fake-model.ts";
import { read, type Reading } from "../../support/read.ts";

function failure(code: ErrorCode, details: ErrorDetails = {}): GatewayError {
  return new GatewayError(code, "It failed.", { upstream: "a", ...details });
}

const after = (ms: number, ...texts: readonly string[]): Script => ({ moves: [{ waitMs: ms }, ...texts.map((text) => ({ text }))] });
const stalls: Script = { moves: ["stall"] };
const empty: Script = { moves: [] };

/** A race that lives on over many requests. */
class Track {
  readonly clock: ManualClock = manualClock();
  readonly fakes: readonly FakeModel[];
  readonly #model: Model;

  constructor(options: object, ...scripts: readonly (readonly Script[] | Script)[]) {
    this.fakes = scripts.map((script, index) => new FakeModel("abcdef".charAt(index), ...("moves" in script ? [script] : script)));
    const leaf = (name: string) => this.fakes.find((fake) => fake.name === name) ?? new FakeModel(name);
    this.#model = buildNode({ kind: "race", members: this.fakes.map(({ name }) => name), ...options }, leaf, strategies);
  }

  call(given: Partial<Call> = {}): Call {
    return newCall({ clock: this.clock, ...given });
  }

  stream(fields: Partial<ChatBody> = {}, call = this.call()) {
    return this.#model.stream(newRequest(fields), call);
  }

  read(fields: Partial<ChatBody> = {}, call = this.call()): Promise<Reading> {
    return this.clock.drive(read(this.stream(fields, call)));
  }

  async text(given: Partial<Call> = {}): Promise<string> {
    const { events, error } = await this.read({}, this.call(given));
    return error ? error.code : textIn(events);
  }

  /** How often each was asked. */
  get asked(): readonly number[] {
    return this.fakes.map(({ calls }) => calls.length);
  }
}

describe("race", () => {
  test("asks nobody else when the first is in time", async () => {
    const track = new Track({ staggerMs: 500 }, after(499, "I am a."), says("I am b."));
    const call = track.call();
    expect(textIn((await track.read({}, call)).events)).toBe("I am a.");
    expect([track.asked, track.clock.pending]).toEqual([[1, 0], 0]);
    expect(call.span.decision).toEqual({ winner: "a", started: 1 });
  });

  test("starts the next beside a slow one; the first with something to say wins, and the other is ended", async () => {
    const track = new Track({ staggerMs: 500 }, after(900, "I am a."), after(100, "I am b."));
    expect(await track.text()).toBe("I am b.");
    expect(track.clock.now()).toBe(600);
    expect(track.fakes[0]).toMatchObject({ open: 0, cancelled: 1 });
  });

  test("the one that started first may still win", async () => {
    const track = new Track({ staggerMs: 500 }, after(700, "I am a."), after(400, "I am b."));
    expect(await track.text()).toBe("I am a.");
    expect(track.fakes[1]).toMatchObject({ open: 0, cancelled: 1 });
  });

  test("starts all at once without a stagger", async () => {
    const track = new Track({ staggerMs: 0 }, after(300, "I am a."), after(200, "I am b."), after(100, "I am c."));
    expect(await track.text()).toBe("I am c.");
    expect([track.asked, track.clock.now()]).toEqual([[1, 1, 1], 100]);
  });

  test("the winner's tokens stream from its first content on; a role is none", async () => {
    const waits: Script = { moves: ["role", { waitMs: 800 }, { text: "a" }] };
    const speaks: Script = { moves: [{ waitMs: 100 }, { text: "One" }, { waitMs: 5000 }, { text: " two" }] };
    const track = new Track({ staggerMs: 500 }, waits, speaks);
    const iterator = track.stream()[Symbol.asyncIterator]();
    await track.clock.drive(iterator.next());
    await track.clock.drive(iterator.next());
    expect([track.clock.now(), track.fakes[0]?.cancelled]).toEqual([600, 1]);
    await iterator.return?.();
    expect(track.fakes[1]).toMatchObject({ open: 0, cancelled: 1 });
    expect(await new Track({ staggerMs: 500 }, waits, speaks).text()).toBe("One two");
  });

  test("one that fails starts the next at once, and that the one behind it", async () => {
    const down = fails(failure("upstream_error"));
    const track = new Track({ staggerMs: 60_000 }, down, down, says("I am c."));
    const call = track.call();
    expect(textIn((await track.read({}, call)).events)).toBe("I am c.");
    expect(track.clock.now()).toBe(0);
    expect(call.span.decision).toMatchObject({
      winner: "c",
      started: 3,
      failed: [{ member: "a" }, { member: "b", code: "upstream_error" }],
    });
  });

  test("waits for those that run when one fails and nobody is left to start", async () => {
    const track = new Track({ staggerMs: 100 }, after(900, "I am a."), fails(failure("upstream_timeout")));
    expect(await track.text()).toBe("I am a.");
  });

  test("a stream that breaks after the first content is not rescued", async () => {
    const track = new Track({ staggerMs: 100 }, { moves: [{ text: "Hel" }, { fail: failure("upstream_error") }] }, says("I am b."));
    const { events, error } = await track.read();
    expect([textIn(events), error?.code, track.asked]).toEqual(["Hel", "upstream_error", [1, 0]]);
  });

  test("a whole answer wins when it is whole; its legs are metered, because they may be cut", async () => {
    const slow: Script = { moves: [{ text: "I" }, { waitMs: 900 }, { text: " am a." }] };
    const track = new Track({ staggerMs: 500 }, slow, after(100, "I am b."));
    expect(await track.text({ delivery: "unary" })).toBe("I am b.");
    expect(track.fakes.map(({ calls }) => calls[0]?.delivery)).toEqual(["metered", "metered"]);
    expect(track.fakes[0]).toMatchObject({ open: 0, cancelled: 1 });
  });

  test("what lost has ended before the finish tells what it all cost", async () => {
    const track = new Track({ staggerMs: 0 }, stalls, says("I am b."));
    for await (const event of track.stream()) {
      if (event.type === "finish") expect(track.fakes[0]).toMatchObject({ open: 0, cancelled: 1 });
    }
  });

  test("each runs in a slot of its own", async () => {
    const track = new Track({ staggerMs: 0 }, stalls, says("I am b."));
    const call = track.call();
    await track.read({}, call);
    expect(new Set([call.slot, ...track.fakes.map(({ calls }) => calls[0]?.slot)]).size).toBe(3);
  });

  test("the same model may run twice, under two labels", async () => {
    const track = new Track({ members: ["a", "a"], staggerMs: 100 }, [stalls, says("Again.")]);
    const call = track.call();
    await track.read({}, call);
    expect(call.span.decision).toEqual({ winner: "a#2", started: 2 });
    expect(call.span.children.map(({ label }) => label)).toEqual(["a", "a#2"]);
  });
});

describe("what is no answer", () => {
  test.for(["stream", "unary"] as const)("an empty one does not win (%s)", async (delivery) => {
    const track = new Track({ staggerMs: 60_000 }, empty, after(100, "I am b."));
    expect(await track.text({ delivery })).toBe("I am b.");
    expect(track.clock.now()).toBe(100);
  });

  test.for(["stream", "unary"] as const)("an empty one is given out when nobody has a better one (%s)", async (delivery) => {
    const track = new Track({ staggerMs: 100 }, empty, fails(failure("upstream_error")));
    const call = track.call({ delivery });
    const { events, error } = await track.read({}, call);
    expect([error, events.at(-1)?.type]).toEqual([undefined, "finish"]);
    expect(call.span.decision).toMatchObject({ winner: "a", empty: true, failed: [{ member: "b" }] });
  });

  test.for(["stream", "unary"] as const)("a refusal and a tool call are answers (%s)", async (delivery) => {
    const refuses = new Track({ staggerMs: 100 }, { moves: [{ refusal: "I will not." }] }, says("I am b."));
    await refuses.text({ delivery });
    expect(refuses.asked).toEqual([1, 0]);
    const tools = [{ type: "function", function: { name: "add" } }];
    const calls = new Track({ staggerMs: 100 }, { moves: [{ tool: { id: "call_1", name: "add", arguments: "{}" } }] }, says("I am b."));
    await calls.read({ tools }, calls.call({ delivery }));
    expect(calls.asked).toEqual([1, 0]);
  });
});

describe("when all fail", () => {
  test("one error says why each did", async () => {
    const track = new Track(
      { staggerMs: 100 },
      fails(failure("upstream_error", { upstreamStatus: 500 })),
      fails(failure("upstream_timeout", { upstream: "b" })),
    );
    const { error } = await track.read();
    expect(error?.code).toBe("all_failed");
    expect(error?.message).toBe("smart: a: upstream_error (HTTP 500); b: upstream_timeout");
  });

  test("all rate-limited is 429 with the smallest Retry-After", async () => {
    const limited = (retryAfterMs: number) => fails(failure("upstream_rate_limited", { retryAfterMs }));
    const { error } = await new Track({ staggerMs: 0 }, limited(9000), limited(2000)).read();
    expect([error?.status, error?.details.retryAfterMs]).toEqual([429, 2000]);
  });

  test("what is wrong with the request is told as it is, and not tried on those that wait", async () => {
    const track = new Track({ staggerMs: 100 }, fails(failure("upstream_invalid")), says("I am b."));
    expect((await track.read()).error?.code).toBe("upstream_invalid");
    expect(track.asked).toEqual([1, 0]);
  });

  test("what is wrong with the request for one is no end for another that runs", async () => {
    const invalid: Script = { moves: [{ waitMs: 100 }, { fail: failure("upstream_invalid") }] };
    expect(await new Track({ staggerMs: 50 }, invalid, after(500, "I am b."), says("no")).text()).toBe("I am b.");
    const worse = new Track({ staggerMs: 50 }, invalid, { moves: [{ waitMs: 500 }, { fail: failure("upstream_error") }] }, says("no"));
    expect(await worse.text()).toBe("upstream_invalid");
  });

  test("one that has no attempt left says nothing of the others, which have their own", async () => {
    const track = new Track({ staggerMs: 60_000 }, fails(failure("attempts_exhausted")), says("I am b."));
    expect(await track.text()).toBe("I am b.");
  });

  test("an abort ends everything with its own reason", async () => {
    const controller = new AbortController();
    const track = new Track({ staggerMs: 100 }, stalls, stalls, stalls);
    const reading = track.clock.drive(read(track.stream({}, track.call({ signal: controller.signal }))));
    void track.clock.timer(150, () => controller.abort(failure("client_closed")));
    expect((await reading).error?.code).toBe("client_closed");
    expect(track.asked).toEqual([1, 1, 0]);
    expect([track.fakes[0]?.open, track.fakes[1]?.open, track.clock.pending]).toEqual([0, 0, 0]);
  });
});

describe("p90", () => {
  const times = [10, 20, 30, 40, 50, 60, 70, 80, 90, 100];

  test("starts the next when one is slower than nine of ten of its own", async () => {
    const track = new Track({ p90: true }, [...times.map((ms) => after(ms, "I am a.")), after(1000, "I am a.")], says("I am b."));
    for (const _ of times) expect(await track.text()).toBe("I am a.");
    const before = track.clock.now();
    expect(await track.text()).toBe("I am b.");
    expect(track.clock.now() - before).toBe(90);
  });

  test("waits as `staggerMs` says until it is known, or for a failure without that", async () => {
    const hedged = new Track({ p90: true, staggerMs: 300 }, after(1000, "I am a."), says("I am b."));
    expect([await hedged.text(), hedged.clock.now()]).toEqual(["I am b.", 300]);
    const alone = new Track({ p90: true }, after(1000, "I am a."), says("I am b."));
    expect([await alone.text(), alone.asked]).toEqual(["I am a.", [1, 0]]);
  });

  test("does not come down because the slow ones are cut", async () => {
    // A cut leg counts with the time that it had, so the hedge stays near 90 ms, where forgetting them would shrink it to the fast ones.
    const slow = Array.from({ length: 60 }, (_, i) => after(i % 5 === 0 ? 1000 : 50, "I am a."));
    const track = new Track({ p90: true }, [...times.map((ms) => after(ms, "I am a.")), ...slow], says("I am b."));
    for (const _ of [...times, ...slow]) await track.text();
    const hedges = track.asked[1] ?? 0;
    expect(hedges).toBe(12);
  });

  test("a failure is no time", async () => {
    // The eleventh fails at once and b takes 5 s: had that counted as a time of a's, its p90 would be 100 and not 90.
    const scripts = [...times.map((ms) => after(ms, "I am a.")), fails(failure("upstream_error")), after(1000, "I am a.")];
    const track = new Track({ p90: true }, scripts, [after(5000, "I am b."), says("I am b.")]);
    for (const _ of [...times, "failure"]) await track.text();
    const before = track.clock.now();
    expect(await track.text()).toBe("I am b.");
    expect(track.clock.now() - before).toBe(90);
  });

  test("streams and whole answers have times of their own", async () => {
    const track = new Track({ p90: true }, [...times.map((ms) => after(ms, "I am a.")), after(1000, "I am a.")], says("I am b."));
    for (const _ of times) await track.text();
    expect(await track.text({ delivery: "unary" })).toBe("I am a.");
  });
});

describe("the options of a race", () => {
  test("say when the next one starts", () => {
    expect(() => buildNode({ kind: "race", members: ["a", "b"] }, (name) => new FakeModel(name), strategies)).toThrow("staggerMs");
  });

  test("are planned as all at worst, one after another unless all start at once: who fails starts the next before its time", () => {
    const plan = (node: object) => planNode({ kind: "race", members: ["a", "b", "c"], ...node }, strategies).plan;
    expect(plan({ staggerMs: 500 })).toMatchObject({ calls: [1, 3], depth: 3, tail: "a or b or c" });
    expect(plan({ staggerMs: 0 })).toMatchObject({ calls: [3, 3], depth: 1 });
    expect(plan({ p90: true })).toMatchObject({ calls: [1, 3], depth: 3 });
    expect(plan({ p90: true, staggerMs: 500 })).toMatchObject({ depth: 3 });
  });
});
