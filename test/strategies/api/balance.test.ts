import { describe, expect, test } from "vitest";
import type { Call } from "../../../src/model/call.ts";
import { type ErrorCode, type ErrorDetails, GatewayError } from "../../../src/model/errors.ts";
import type { Model } from "../../../src/model/model.ts";
import type { ChatBody } from "../../../src/model/request.ts";
import type { Node } from "../../../src/strategies/define.ts";
import { strategies } from "../../../src/strategies/registry.ts";
import { buildNode, planNode, type Surroundings } from "../../support/build.ts";
import { newCall, newRequest } from "../../support/call.ts";
import { type ManualClock, manualClock, settle } from "../../support/clock.ts";
import { FakeModel, fails, says, type Script, textIn } from "../../support/fake-model.ts";
import { read, type Reading } from "../../support/read.ts";

function failure(code: ErrorCode, details: ErrorDetails = {}): GatewayError {
  return new GatewayError(code, "It failed.", { upstream: "a", ...details });
}

/** A pool that lives on over many requests. */
class Pool {
  readonly clock: ManualClock = manualClock();
  readonly fakes = new Map<string, FakeModel>();
  readonly #model: Model;

  constructor(options: object, scripts: Readonly<Record<string, readonly Script[]>> = {}, around: Surroundings = {}) {
    const leaf = (name: string) => {
      const fake = this.fakes.get(name) ?? new FakeModel(name, ...(scripts[name] ?? [says(`I am ${name}.`)]));
      this.fakes.set(name, fake);
      return fake;
    };
    this.#model = buildNode({ kind: "balance", members: ["a", "b", "c"], ...options }, leaf, strategies, around);
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

  /** Who answers so many requests, one after the other; a capital where it failed. */
  async turns(count: number, fields: Partial<ChatBody> = {}, given: Partial<Call> = {}): Promise<string> {
    let who = "";
    for (let i = 0; i < count; i += 1) {
      const before = new Map([...this.fakes].map(([name, { calls }]) => [name, calls.length]));
      const { error } = await this.read(fields, this.call(given));
      const asked = [...this.fakes].filter(([name, { calls }]) => calls.length > (before.get(name) ?? 0)).map(([name]) => name);
      who += error ? asked.join("").toUpperCase() : asked.join("");
    }
    return who;
  }

  /** Starts a request and leaves it under way. */
  async start(fields: Partial<ChatBody> = {}): Promise<AsyncIterator<unknown>> {
    const iterator = this.stream(fields)[Symbol.asyncIterator]();
    const first = iterator.next();
    await settle();
    void first;
    return iterator;
  }

  get asked(): readonly number[] {
    return ["a", "b", "c"].map((name) => this.fakes.get(name)?.calls.length ?? 0);
  }
}

const answersAfter = (ms: number): Script => ({ moves: [{ waitMs: ms }, { text: "Done" }] });

describe("balance", () => {
  test("asks one member and hands on its events as they are", async () => {
    const pool = new Pool({});
    const call = pool.call();
    const direct = await read(new FakeModel("a", says("I am a.")).stream(newRequest(), newCall()));
    expect((await pool.read({}, call)).events).toEqual(direct.events);
    expect(pool.asked).toEqual([1, 0, 0]);
    expect(call.span.decision).toEqual({ by: "weight", answered: "a" });
  });

  test("does not ask a second member by itself: a failure is the caller's to heal", async () => {
    const pool = new Pool({}, { a: [fails(failure("upstream_error"))] });
    expect((await pool.read()).error?.code).toBe("upstream_error");
    expect(pool.asked).toEqual([1, 0, 0]);
  });

  test("asks others when it may, before anything was shown", async () => {
    const down = [fails(failure("upstream_error"))];
    const pool = new Pool({ failover: 1 }, { a: down, b: down });
    expect((await pool.read()).error?.code).toBe("all_failed");
    expect(pool.asked).toEqual([1, 1, 0]);
    const call = pool.call();
    expect(textIn((await pool.read({}, call)).events)).toBe("I am c.");
    const second = new Pool({ failover: 2, restMs: 0 }, { a: down });
    expect(textIn((await second.read({}, call)).events)).toBe("I am b.");
    expect(call.span.decision).toMatchObject({ answered: "b", failed: [{ member: "a", code: "upstream_error" }] });
  });

  test("does not take elsewhere what no other could heal, nor what was begun", async () => {
    const wrong = new Pool({ failover: 2 }, { a: [fails(failure("upstream_invalid"))] });
    expect((await wrong.read()).error?.code).toBe("upstream_invalid");
    expect(wrong.asked).toEqual([1, 0, 0]);
    const cut = new Pool({ failover: 2 }, { a: [{ moves: [{ text: "Hel" }, { fail: failure("upstream_error") }] }] });
    const { events, error } = await cut.read();
    expect([textIn(events), error?.code, cut.asked]).toEqual(["Hel", "upstream_error", [1, 0, 0]]);
  });

  test("is planned as one call, or as one more for each failover", () => {
    const plan = (options: object) => planNode({ kind: "balance", members: ["a", "b", "c"], ...options }, strategies).plan;
    expect(plan({})).toMatchObject({ calls: [1, 1], depth: 1, tail: "a or b or c" });
    expect(plan({ failover: 1 })).toMatchObject({ calls: [1, 2], depth: 2 });
    expect(plan({ failover: 2 })).toMatchObject({ calls: [1, 3], depth: 3 });
  });

  test("refuses to ask more members than there are", () => {
    const refused = expect.objectContaining({ name: "OptionError", at: "failover" }) as Error;
    const node: Node = { kind: "balance", members: ["a", "b"], failover: 2 };
    expect(() => planNode(node, strategies)).toThrow(refused);
    expect(() => buildNode(node, (name) => new FakeModel(name), strategies)).toThrow(refused);
    expect(() => planNode({ ...node, members: ["a"], failover: 1 }, strategies)).toThrow("leave it out");
  });

  test("refuses a fading where nothing is measured", () => {
    const node: Node = { kind: "balance", members: ["a", "b"], by: "cost", decayMs: 1_000 };
    expect(() => buildNode(node, (name) => new FakeModel(name), strategies)).toThrow(
      expect.objectContaining({ name: "OptionError", at: "decayMs" }) as Error,
    );
  });

  test("refuses a weight that would do nothing", () => {
    const node: Node = { kind: "balance", members: [{ model: "a", weight: 2 }, "b"], by: "latency" };
    expect(() => buildNode(node, (name) => new FakeModel(name), strategies)).toThrow("has no effect by latency");
  });
});

describe("a member that failed", () => {
  test("is passed over for a while, then asked again", async () => {
    const pool = new Pool({ members: ["a", "b"], restMs: 5000 }, { a: [fails(failure("upstream_error")), says("I am back.")] });
    expect(await pool.turns(4)).toBe("Abbb");
    await pool.clock.advance(5000);
    expect(await pool.turns(2)).toContain("a");
  });

  test("rests as long as its Retry-After says, up to a minute", async () => {
    const pool = new Pool(
      { members: ["a", "b"], restMs: 1000 },
      { a: [fails(failure("upstream_rate_limited", { retryAfterMs: 20_000 })), says("I am back.")] },
    );
    await pool.turns(1);
    await pool.clock.advance(19_999);
    expect(await pool.turns(4)).toBe("bbbb");
    await pool.clock.advance(1);
    expect(await pool.turns(2)).toContain("a");

    const hours = new Pool(
      { members: ["a", "b"] },
      { a: [fails(failure("upstream_rate_limited", { retryAfterMs: 7_200_000 })), says("I am back.")] },
    );
    await hours.turns(1);
    await hours.clock.advance(60_000);
    expect(await hours.turns(2)).toContain("a");
  });

  test("is asked all the same when all rest: a pool is never empty", async () => {
    const down = [fails(failure("upstream_overloaded"))];
    expect(await new Pool({ members: ["a", "b"] }, { a: down, b: down }).turns(4)).toBe("ABBA");
  });

  test.for<ErrorCode>(["upstream_invalid", "content_filter", "context_length_exceeded", "budget_denied"])(
    "does not rest for what the request is to blame for (%s)",
    async (code) => {
      const pool = new Pool({ members: ["a", "b"] }, { a: [fails(failure(code)), says("I am a.")] });
      expect(await pool.turns(3)).toBe("Aba");
    },
  );

  test("rests when its stream breaks, not when its client leaves", async () => {
    const cut: Script = { moves: [{ text: "Hel" }, { fail: failure("upstream_error") }] };
    expect(await new Pool({ members: ["a", "b"] }, { a: [cut, says("I am a.")] }).turns(3)).toBe("Abb");

    const left = new Pool({ members: ["a", "b"] }, { a: [says("One", "Two")] });
    const iterator = left.stream()[Symbol.asyncIterator]();
    await iterator.next();
    await iterator.return?.();
    expect(await left.turns(2)).toBe("ba");
  });

  test("composes: a fallback over one pool twice reaches another member", async () => {
    const scripts: Readonly<Record<string, Script>> = { a: fails(failure("upstream_timeout")), b: says("I am b.") };
    const leaf = (name: string) => new FakeModel(name, scripts[name] ?? says("no"));
    const pool = buildNode({ kind: "balance", members: ["a", "b"] }, leaf, strategies);
    const twice: Model = buildNode({ kind: "fallback", members: ["pool", "pool"] }, () => pool, strategies);
    expect(textIn((await read(twice.stream(newRequest(), newCall()))).events)).toBe("I am b.");
  });
});

describe("by weight", () => {
  test("gives exact shares, spread as evenly as they go", async () => {
    // The example of nginx: 5, 1, 1 is a a b a c a a, not aaaaabc.
    const weights = [{ model: "a", weight: 5 }, { model: "b", weight: 1 }, { model: "c", weight: 1 }]; // prettier-ignore
    expect(await new Pool({ members: weights }).turns(14)).toBe("aabacaaaabacaa");
  });

  test("takes turns among equals", async () => {
    expect(await new Pool({}).turns(7)).toBe("abcabca");
  });
});

describe("by leastBusy", () => {
  test("asks who has the fewest requests under way; equals take turns", async () => {
    const pool = new Pool({ by: "leastBusy" }, { a: [{ moves: ["stall"] }, says("I am a.")] });
    const iterator = await pool.start();
    expect(pool.asked).toEqual([1, 0, 0]);
    expect(await pool.turns(4)).toBe("bcbc");
    void iterator;
  });

  test("counts a request until its stream ends, however it ends", async () => {
    const pool = new Pool({ by: "leastBusy", members: ["a", "b"] }, { a: [says("One", "Two")] });
    const iterator = pool.stream()[Symbol.asyncIterator]();
    await iterator.next();
    expect(await pool.turns(2)).toBe("bb");
    await iterator.return?.();
    expect(await pool.turns(2)).toBe("ab");
  });

  test("a member of twice the weight carries twice the load", async () => {
    const stall: Script = { moves: ["stall"] };
    const pool = new Pool({ by: "leastBusy", members: [{ model: "a", weight: 2 }, "b"] }, { a: [stall], b: [stall] });
    for (let i = 0; i < 6; i += 1) await pool.start();
    expect(pool.asked).toEqual([4, 2, 0]);
  });
});

describe("by latency", () => {
  test("tries everybody once, then asks the fastest", async () => {
    const pool = new Pool({ by: "latency" }, { a: [answersAfter(300)], b: [answersAfter(100)], c: [answersAfter(200)] });
    expect(await pool.turns(6)).toBe("abcbbb");
  });

  test("gives a member that is not known yet one request at a time", async () => {
    const pool = new Pool({ by: "latency", members: ["a", "b"] }, { a: [answersAfter(10)], b: [{ moves: ["stall"] }] });
    await pool.turns(1);
    await pool.start();
    expect(await pool.turns(3)).toBe("aaa");
  });

  test("an outlier is avoided for a while and does not starve", async () => {
    const pool = new Pool(
      { by: "latency", members: ["a", "b"], decayMs: 10_000 },
      { a: [answersAfter(5000), answersAfter(50)], b: [answersAfter(100)] },
    );
    expect(await pool.turns(4)).toBe("abbb");
    // 5000 ms fade to 100 in ln(50) * 10 s = 39 s, while b, which is asked again and again, stays at its 100.
    for (let i = 0; i < 30; i += 1) {
      await pool.clock.advance(1000);
      await pool.turns(1);
    }
    expect(pool.fakes.get("a")?.calls.length).toBe(1);
    for (let i = 0; i < 15; i += 1) {
      await pool.clock.advance(1000);
      await pool.turns(1);
    }
    expect(await pool.turns(3)).toBe("aaa");
  });

  test("counts the load: a busy fast member is slower than an idle one", async () => {
    const pool = new Pool(
      { by: "latency", members: ["a", "b"] },
      { a: [answersAfter(100), { moves: ["stall"] }, says("x")], b: [answersAfter(150)] },
    );
    expect(await pool.turns(2)).toBe("ab");
    await pool.start();
    expect(await pool.turns(1)).toBe("b");
  });

  test("whole answers and streams are never compared", async () => {
    const pool = new Pool({ by: "latency", members: ["a", "b"] }, { a: [answersAfter(10)], b: [answersAfter(100)] });
    expect(await pool.turns(3)).toBe("aba");
    expect(await pool.turns(3, {}, { delivery: "unary" })).toBe("baa");
  });
});

describe("by cost", () => {
  test("asks the cheapest; equals take turns", async () => {
    expect(await new Pool({ by: "cost" }, {}, { prices: { a: 3, b: 1, c: 1 } }).turns(4)).toBe("bcbc");
  });

  test("an unknown price is the last resort, never free", async () => {
    const pool = new Pool({ by: "cost", failover: 1 }, { b: [fails(failure("upstream_error"))] }, { prices: { b: 5 } });
    expect(await pool.turns(1)).toBe("ab");
    expect(await pool.turns(1)).toBe("c");
  });
});

describe("by session", () => {
  const pick = async (fields: Partial<ChatBody>, members: readonly unknown[] = ["a", "b", "c"], principal = "team-a") =>
    new Pool({ by: "session", members }).turns(1, fields, { principal: { name: principal } });

  test("a session stays where it is, over processes", async () => {
    const pool = new Pool({ by: "session" });
    const first = await pool.turns(1, { prompt_cache_key: "s1" });
    expect(await pool.turns(5, { prompt_cache_key: "s1" })).toBe(first.repeat(5));
    expect(await pick({ prompt_cache_key: "s1" })).toBe(first);
  });

  test("the turns of a conversation are one session without any key", async () => {
    const messages = [{ role: "system", content: "You are an agent." }, { role: "user", content: "Fix the bug." }]; // prettier-ignore
    const later = [...messages, { role: "assistant", content: "Which?" }, { role: "user", content: "That one." }];
    for (const name of "defghijklm") {
      const asked = [{ role: "system", content: name }, ...messages];
      expect(await pick({ messages: [...asked, ...later.slice(2)] })).toBe(await pick({ messages: asked }));
    }
  });

  test("the client's narrowest key counts, and spreads sessions over all members", async () => {
    const same = { prompt_cache_key: "k", user: "x" };
    expect(await pick(same)).toBe(await pick({ ...same, user: "y", messages: [{ role: "user", content: "Something else" }] }));
    const spread = new Set<string>();
    for (let i = 0; i < 30; i += 1) spread.add(await pick({ user: `user ${i}` }));
    expect([...spread].toSorted()).toEqual(["a", "b", "c"]);
  });

  test("moves no session but those of the member that left", async () => {
    for (let i = 0; i < 40; i += 1) {
      const before = await pick({ user: `user ${i}` }, ["a", "b", "c"]);
      const after = await pick({ user: `user ${i}` }, ["c", "a"]);
      if (before !== "b") expect(after).toBe(before);
    }
  });

  test("shares follow the weights", async () => {
    const counts = { a: 0, b: 0 };
    for (let i = 0; i < 200; i += 1) {
      const who = await pick({ user: `user ${i}` }, [{ model: "a", weight: 3 }, "b"]);
      counts[who as "a" | "b"] += 1;
    }
    expect(counts.a).toBeGreaterThan(130);
    expect(counts.a).toBeLessThan(170);
  });

  test("goes to the next in line while its member rests, and comes back", async () => {
    const home = await pick({ user: "x" });
    const pool = new Pool({ by: "session" }, { [home]: [fails(failure("upstream_error")), says("Back.")] });
    const [first, ...away] = await pool.turns(3, { user: "x" });
    expect(first).toBe(home.toUpperCase());
    expect(away).not.toContain(home);
    expect(away[0]).toBe(away[1]);
    await pool.clock.advance(5000);
    expect(await pool.turns(1, { user: "x" })).toBe(home);
  });
});
