import { describe, expect, test } from "vitest";
import type { Call } from "../../../src/model/call.ts";
import { type ErrorCode, type ErrorDetails, GatewayError } from "../../../src/model/errors.ts";
import { newRetryBudget, newSlot } from "../../../src/model/slot.ts";
import type { BuildSite } from "../../../src/strategies/define.ts";
import { strategies } from "../../../src/strategies/registry.ts";
import { buildNode, planNode } from "../../support/build.ts";
import { newCall, newRequest } from "../../support/call.ts";
import { type ManualClock, manualClock } from "../../support/clock.ts";
import { FakeModel, fails, says, type Script, textIn } from "../../support/fake-model.ts";
import { read, type Reading } from "../../support/read.ts";

function failure(code: ErrorCode, details: ErrorDetails = {}): GatewayError {
  return new GatewayError(code, "It failed.", { upstream: "a", ...details });
}

class Run {
  readonly clock: ManualClock = manualClock();
  readonly models = new Map<string, FakeModel>();
  readonly call: Call;

  constructor(scripts: Readonly<Record<string, Script>>, given: Partial<Call> = {}) {
    for (const [name, script] of Object.entries(scripts)) this.models.set(name, new FakeModel(name, script));
    this.call = newCall({ clock: this.clock, ...given });
  }

  read(options: object = {}): Promise<Reading> {
    const node = { kind: "fallback", members: [...this.models.keys()], ...options };
    const leaf = (name: string) => this.models.get(name) ?? new FakeModel(name);
    return this.clock.drive(read(buildNode(node, leaf, strategies).stream(newRequest(), this.call)));
  }

  get asked(): string {
    return [...this.models.values()]
      .filter(({ calls }) => calls.length > 0)
      .map(({ name }) => name)
      .join("");
  }
}

describe("fallback", () => {
  test("is the first member when that answers", async () => {
    const run = new Run({ a: says("Hel", "lo"), b: says("no") });
    expect(textIn((await run.read()).events)).toBe("Hello");
    expect(run.asked).toBe("a");
    expect(run.call.span.decision).toEqual({ answered: "a" });
  });

  test("hands its member's events on as they are", async () => {
    const run = new Run({ a: says("Hello") });
    const direct = await read(new FakeModel("a", says("Hello")).stream(newRequest(), newCall()));
    expect((await run.read()).events).toEqual(direct.events);
  });

  test.for<ErrorCode>([
    "upstream_error",
    "upstream_timeout",
    "upstream_rate_limited",
    "upstream_auth",
    "context_length_exceeded",
    "budget_denied",
  ])("asks the next member after %s, and records why", async (code) => {
    const run = new Run({ a: fails(failure(code)), b: says("Hello"), c: says("no") });
    expect(textIn((await run.read()).events)).toBe("Hello");
    expect(run.asked).toBe("ab");
    expect(run.call.span.decision).toEqual({
      answered: "b",
      failed: [{ member: "a", code, message: "It failed." }],
    });
  });

  test.for<ErrorCode>(["upstream_invalid", "content_filter", "attempts_exhausted"])("ends at once with %s", async (code) => {
    const error = failure(code);
    const run = new Run({ a: fails(error), b: says("Hello") });
    expect((await run.read()).error).toBe(error);
    expect(run.asked).toBe("a");
  });

  test("asks nobody else once text was shown", async () => {
    const error = failure("upstream_error");
    const run = new Run({ a: { moves: [{ text: "Hel" }, { fail: error }] }, b: says("Hello") });
    const { events, error: end } = await run.read();
    expect([textIn(events), end, run.asked]).toEqual(["Hel", error, "a"]);
  });

  test("rescues a whole answer that was cut", async () => {
    const run = new Run({ a: { moves: [{ text: "Hel" }, { fail: failure("upstream_error") }] }, b: says("Hello") }, { delivery: "unary" });
    expect(textIn((await run.read()).events)).toBe("Hello");
  });

  test("asks nobody any more when the call was aborted", async () => {
    const late = failure("upstream_timeout");
    const controller = new AbortController();
    const run = new Run({ a: { moves: ["stall"] }, b: says("Hello") }, { signal: controller.signal });
    run.clock.timer(50, () => controller.abort(late));
    expect((await run.read()).error).toBe(late);
    expect(run.asked).toBe("a");
  });
});

describe("when all members failed", () => {
  test("all for one reason is that reason, with the smallest time to wait", async () => {
    const limited = (retryAfterMs: number) => fails(failure("upstream_rate_limited", { retryAfterMs }));
    const run = new Run({ a: limited(9000), b: limited(3000), c: limited(5000) });
    expect((await run.read()).error).toMatchObject({
      code: "upstream_rate_limited",
      status: 429,
      details: { retryAfterMs: 3000 },
    });
  });

  test("different reasons are told one by one", async () => {
    const run = new Run({
      a: fails(failure("upstream_timeout")),
      b: fails(failure("upstream_error", { upstream: "b" })),
    });
    const { error } = await run.read();
    expect(error).toMatchObject({
      code: "all_failed",
      status: 502,
      message: "smart: a: upstream_timeout; b: upstream_error",
    });
    expect(run.call.span.decision).toMatchObject({ failed: [{ member: "a" }, { member: "b" }] });
  });

  test("members that had no attempt left do not change what the others said", async () => {
    const limited = fails(failure("upstream_rate_limited", { retryAfterMs: 60_000 }));
    const run = new Run({ a: limited, b: limited, c: says("Hello") }, { slot: newSlot(newRetryBudget(), 2) });
    const members = ["a", "b", "c"].map((model) => ({ kind: "retry", model }));
    const { error } = await run.read({ members });
    expect(error).toMatchObject({ code: "upstream_rate_limited", status: 429 });
    expect(error?.message).toContain("ran out of attempts");
    expect(run.asked).toBe("ab");
  });
});

test("asks no more members than there are attempts, also without retries", async () => {
  const names = Array.from({ length: 10 }, (_, index) => `m${index}`);
  const run = new Run(Object.fromEntries(names.map((name) => [name, fails(failure("upstream_error"))])));
  const { error } = await run.read({ members: names });
  expect(error?.message).toContain("ran out of attempts");
  expect(run.asked).toBe("m0m1m2m3m4m5");
});

describe("a member with options", () => {
  test("is bounded in time", async () => {
    const run = new Run({ a: { moves: ["stall"] }, b: says("Hello") });
    const members = [{ model: "a", timeouts: { firstTokenMs: 300 } }, "b"];
    expect(textIn((await run.read({ members })).events)).toBe("Hello");
    expect(run.clock.now()).toBe(300);
    expect(run.call.span.decision).toMatchObject({
      failed: [{ member: "a", code: "upstream_timeout" }],
    });
    expect(run.models.get("a")?.calls[0]?.timeouts).toEqual({ firstTokenMs: 300 });
  });

  test("stands at its own place in the config", () => {
    const places: string[] = [];
    const site = {
      path: "models.smart",
      name: "smart",
      prompt: () => ({ fill: () => "", variables: [] }),
      warn: () => {},
      child: (_: unknown, at: string) => {
        places.push(at);
        return new FakeModel(at);
      },
    };
    const strategy = strategies.get("fallback");
    strategy?.build(strategy.options.parse({ members: ["a", { model: "b" }] }), site as unknown as BuildSite);
    expect(places).toEqual(["members[0]", "members[1].model"]);
  });
});

describe("a held answer", () => {
  test("goes to the next member when it is cut within the held part", async () => {
    const cut = { moves: [{ text: "1234567" }, { fail: failure("upstream_error") }] };
    const held = new Run({ a: cut, b: says("Hello") });
    expect(textIn((await held.read({ hold: { tokens: 2 } })).events)).toBe("Hello");
    const late = new Run({
      a: { moves: [{ text: "12345678" }, { fail: failure("upstream_error") }] },
      b: says("Hello"),
    });
    expect((await late.read({ hold: { tokens: 2 } })).error?.code).toBe("upstream_error");
  });

  test("of which all is held goes to the next member wherever it is cut", async () => {
    const run = new Run({
      a: { moves: [{ text: "a long text" }, { fail: failure("upstream_error") }] },
      b: says("Hello"),
    });
    expect(textIn((await run.read({ hold: "whole" })).events)).toBe("Hello");
  });
});

describe("the plan of a fallback", () => {
  const planOf = (members: readonly unknown[], options: object = {}) =>
    planNode({ kind: "fallback", members, ...options }, strategies).plan;
  const vote = { kind: "vote", members: ["a", "b", "c"] };

  test("costs its first member at best, and all of them one after another at worst", () => {
    expect(planOf(["a", "b", vote])).toMatchObject({
      calls: [1, 5],
      depth: 3,
      tail: "a or b",
      reads: true,
    });
    expect(planOf([vote, "a"])).toMatchObject({ calls: [3, 4], tail: "a" });
    expect(planOf(["a", { model: "b" }])).toMatchObject({
      calls: [1, 2],
      depth: 2,
      tail: "a or b",
      reads: false,
    });
  });

  test("tells an agreement only when every member does", () => {
    expect([planOf([vote, vote]).agreement, planOf([vote, "a"]).agreement]).toEqual([true, undefined]);
  });

  test("names who answers turns with tools when a member has a rule for it", () => {
    expect([planOf(["a", "b"]).tools, planOf([vote, "b"]).tools]).toEqual([undefined, "a or b"]);
  });

  test("streams nothing when it holds all", () => {
    expect(planOf(["a", "b"], { hold: "whole" }).tail).toBe("none");
  });
});
