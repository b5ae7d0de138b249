import { describe, expect, onTestFinished, test } from "vitest";
import { after, chunkStream, errorJson, json, sse, stall, startUpstream, type Scripts } from "../support/upstream.ts";
import { expectBooked, expectClosed, expectHonest, once, provider, say, startGateway, summed, type Gateway, user } from "./kit.ts";

const prices = (names: readonly string[]) => Object.fromEntries(names.map((name) => [name, { in: 1000, out: 10_000 }]));

/** A gateway over one upstream where every model costs 1000 and 10,000 dollars a million tokens: 0.037 for one usual answer. */
async function setUp(scripts: Scripts, models: object, more: object = {}) {
  const upstream = await startUpstream(scripts, onTestFinished);
  const gateway = await startGateway({ providers: { up: provider(upstream, { prices: prices(Object.keys(scripts)) }) }, models, ...more });
  return { upstream, gateway };
}

const broken = once(json(500, errorJson("broke")));
const fetchWith = (gateway: Gateway, key: string, body: object) => gateway.ask(body, { headers: { authorization: `Bearer ${key}` } });

describe("a member that is no longer needed", () => {
  test("is aborted by an early stop, billed for what it wrote, and its socket is closed", async () => {
    const slow = once(sse(chunkStream(["I", " think", " so"]).slice(0, 4), { ending: "stall" }));
    const { upstream, gateway } = await setUp(
      { fast: after(40, say("42")), slow },
      { exam: { kind: "vote", members: ["up/slow", "up/fast", "up/fast"], answer: "number" } },
    );
    const answered = await gateway.ask({ model: "exam" });
    expectHonest(answered, [upstream]);
    expect(answered.text).toBe("42");
    const left = await upstream.request(upstream.requests.findIndex(({ model }) => model === "slow"));
    expect(await left.closed).toMatchObject({ complete: false });
    const kept = await gateway.kept(answered);
    expectBooked(kept, 3);
    expect(kept.decision).toMatchObject({ early: expect.any(String) });
    const lost = kept.members.find(({ model }) => model === "up/slow");
    expect(lost).toMatchObject({ status: "lost", estimated: true, usage: { completion_tokens: 3 } });
    expect(lost?.usage?.prompt_tokens).toBeGreaterThan(0);
    expect(kept.costCoverage).toBeCloseTo(2 / 3);
    expect(kept.degraded).toEqual([]);
    await expectClosed(upstream);
  });

  test("is left behind when the quorum's grace time is over", async () => {
    const { upstream, gateway } = await setUp(
      { fast: say("42"), slow: once(stall()) },
      {
        exam: { kind: "vote", members: ["up/fast", "up/fast", "up/slow"], stop: "none", quorum: { min: 2, graceMs: 30 } },
        merged: { kind: "fuse", members: ["up/slow", "up/fast", "up/fast"], writer: "up/fast", quorum: { min: 2, graceMs: 30 } },
      },
    );
    for (const [model, calls] of [
      ["exam", 3],
      ["merged", 4],
    ] as const) {
      const answered = await gateway.ask({ model });
      expectHonest(answered, [upstream]);
      expect([answered.text, answered.headers.get("x-chorale-degraded")]).toEqual(["42", null]);
      const kept = await gateway.kept(answered);
      expectBooked(kept, calls);
      expect(kept.members.filter(({ status }) => status === "lost")).toMatchObject([{ model: "up/slow", estimated: true }]);
    }
    await expectClosed(upstream);
  });

  test("is awaited within the grace time", async () => {
    const { gateway } = await setUp(
      { fast: say("42"), slow: after(60, say("42")) },
      { exam: { kind: "vote", members: ["up/fast", "up/fast", "up/slow"], stop: "none", quorum: { min: 2, graceMs: 20_000 } } },
    );
    const answered = await gateway.ask({ model: "exam" });
    expect((await gateway.kept(answered)).members.map(({ status }) => status)).toEqual(["ok", "ok", "ok"]);
  });

  test("is aborted on every leg when the client leaves", async () => {
    const { upstream, gateway } = await setUp(
      { slow: once(stall()) },
      { exam: { kind: "vote", members: ["up/slow", "up/slow", "up/slow"], quorum: { graceMs: 1 } } },
    );
    for (const stream of [false, true]) {
      const seen = upstream.requests.length;
      const leaving = new AbortController();
      const asked = gateway.ask({ model: "exam", stream }, { signal: leaving.signal });
      await upstream.request(seen + 2);
      leaving.abort();
      await expect(asked).rejects.toThrow();
      await expectClosed(upstream);
    }
    await expect.poll(() => gateway.log.filter(({ error }) => error === "client_closed")).toHaveLength(2);
  });

  test("takes the panel's deadline with it; what there is answers, and says so", async () => {
    const { upstream, gateway } = await setUp(
      { fast: say("42"), slow: once(stall()) },
      { exam: { kind: "vote", members: ["up/fast", "up/slow", "up/slow"], quorum: { deadlineMs: 400 } } },
    );
    const answered = await gateway.ask({ model: "exam" });
    expectHonest(answered, [upstream]);
    expect([answered.status, answered.text]).toEqual([200, "42"]);
    expect(answered.headers.get("x-chorale-degraded")).toContain("1 of 2");
    await expectClosed(upstream);
  });
});

describe("a budget", () => {
  const models = {
    exam: { kind: "vote", members: ["up/a", "up/a", "up/a"], stop: "none" },
    strict: { kind: "vote", members: ["up/a", "up/a", "up/a"], stop: "none", onShort: "fail" },
    merged: { kind: "fuse", members: ["up/a", "up/a"], writer: "up/a" },
    chain: { kind: "fallback", members: ["up/broken", "up/a"] },
    narrow: { kind: "vote", members: ["up/a", "up/a", "up/a"], stop: "none", budget: { calls: 1 } },
    cheap: { kind: "fallback", members: [{ kind: "vote", members: ["up/a", "up/a"], budget: { usd: 0.000_001 } }, "up/a"] },
    hasty: { kind: "fallback", members: [{ kind: "retry", model: "up/slow", budget: { ms: 60 } }, "up/a"] },
  };
  const scripts = { a: say("42"), broken, slow: once(stall()) };

  test.each([
    { what: "of the request, degrades a vote", model: "exam", chorale: { budget: { calls: 1 } }, calls: 1 },
    { what: "of the request, degrades a fusion to a candidate", model: "merged", chorale: { budget: { calls: 2 } }, calls: 2 },
    { what: "of the node, degrades a vote", model: "narrow", chorale: {}, calls: 1 },
  ])("$what", async ({ model, chorale, calls }) => {
    const { upstream, gateway } = await setUp(scripts, models);
    const answered = await gateway.ask({ model, chorale });
    expectHonest(answered, [upstream]);
    expect([answered.status, answered.text]).toEqual([200, "42"]);
    expect(answered.headers.get("x-chorale-degraded")).toBeTruthy();
    expect(upstream.requests).toHaveLength(calls);
    const kept = await gateway.kept(answered);
    expect(kept.degraded).not.toEqual([]);
    expect(kept.members.filter(({ status }) => status === "ok")).toHaveLength(calls);
    expect(kept.members.filter(({ error }) => error?.code === "budget_denied")).toHaveLength(kept.members.length - calls);
    expect(kept.usage?.prompt_tokens).toBe(7 * calls);
  });

  test("that has no room for what the config insists on fails the request", async () => {
    const { upstream, gateway } = await setUp(scripts, models);
    const strict = await gateway.ask({ model: "strict", chorale: { budget: { calls: 1 } } });
    expect(strict.error, strict.raw).toBeDefined();
    expect(upstream.requests).toHaveLength(1);
    const chain = await gateway.ask({ model: "chain", chorale: { budget: { calls: 1 } } });
    expect(chain.error, chain.raw).toBeDefined();
    expect(upstream.requests).toHaveLength(2);
    const none = await gateway.ask({ model: "up/a", chorale: { budget: { usd: 0 } } });
    expect([none.status, none.error?.type]).toEqual([429, "insufficient_quota"]);
    expect(upstream.requests).toHaveLength(2);
  });

  test("of a node in money or time sends a fallback on", async () => {
    const { upstream, gateway } = await setUp(scripts, models);
    for (const model of ["cheap", "hasty"]) {
      const answered = await gateway.ask({ model });
      expectHonest(answered, [upstream]);
      expect([answered.status, answered.text], model).toEqual([200, "42"]);
    }
    expect(upstream.requests.map(({ model }) => model)).toEqual(["a", "slow", "a"]);
    await expectClosed(upstream);
  });

  test("can be narrowed by headers, and an unknown key is refused", async () => {
    const { upstream, gateway } = await setUp(scripts, models);
    const headers = { "x-chorale-budget-usd": "0" };
    expect((await gateway.ask({ model: "up/a" }, { headers })).status).toBe(429);
    const unknown = await gateway.ask({ model: "up/a", chorale: { budgets: {} } });
    expect([unknown.status, unknown.error?.param]).toEqual([400, "chorale.budgets"]);
    expect(upstream.requests).toEqual([]);
  });
});

test.each([false, true])("a deadline of the request is 504 and takes every leg along (stream: %s)", async (stream) => {
  const { upstream, gateway } = await setUp(
    { slow: once(stall()), a: say("42") },
    {
      exam: { kind: "vote", members: ["up/slow", "up/slow"] },
      chain: { kind: "fallback", members: ["up/slow", "up/a"] },
      tried: { kind: "retry", model: "up/slow", attempts: 5 },
    },
  );
  for (const model of ["exam", "chain", "tried", "up/slow"]) {
    const seen = upstream.requests.length;
    const answered = await gateway.ask({ model, stream, chorale: { deadlineMs: 100 } });
    expect([answered.status, answered.error?.code]).toEqual([504, "deadline_exceeded"]);
    expect(answered.headers.get("x-should-retry")).toBe("false");
    expect(upstream.requests.slice(seen).map(({ model }) => model)).not.toContain("a");
  }
  await expectClosed(upstream);
});

describe("a key", () => {
  const [free, bounded] = ["free-0123456789abcdef", "bounded-0123456789abcdef"];
  const models = { exam: { kind: "vote", members: ["up/a", "up/a", "up/a"], stop: "none" } };
  const withKey = async (limits: object) =>
    setUp({ a: say("42"), slow: once(stall()) }, models, {
      keys: [
        { name: "free", key: free },
        { name: "bounded", key: bounded, ...limits },
      ],
    });

  test("may not ask for what multiplies the price above its bound, n counted", async () => {
    const { upstream, gateway } = await withKey({ maxMultiplier: 3 });
    expect((await fetchWith(gateway, bounded, { model: "exam" })).status).toBe(200);
    const { status, error } = await fetchWith(gateway, bounded, { model: "exam", n: 2 });
    expect([status, error?.message]).toEqual([403, "'exam' may cost 6 times a single call for this request; your key allows 3."]);
    expect((await fetchWith(gateway, free, { model: "exam", n: 2 })).status).toBe(200);
    expect(upstream.requests).toHaveLength(9);
  });

  test("gets so many requests a minute, and is told when to come again", async () => {
    const { upstream, gateway } = await withKey({ limits: { requestsPerMinute: 2 } });
    const statuses: number[] = [];
    for (let i = 0; i < 2; i += 1) statuses.push((await fetchWith(gateway, bounded, { model: "up/a" })).status);
    const refused = await fetchWith(gateway, bounded, { model: "up/a" });
    expect([...statuses, refused.status]).toEqual([200, 200, 429]);
    expect([refused.error?.code, refused.headers.get("x-should-retry")]).toEqual(["rate_limit_exceeded", null]);
    const wait = Number(refused.headers.get("retry-after"));
    expect(wait).toBeGreaterThanOrEqual(1);
    expect(wait).toBeLessThanOrEqual(60);
    expect((await fetchWith(gateway, free, { model: "up/a" })).status).toBe(200);
    expect(upstream.requests).toHaveLength(3);
  });

  test("gets so many requests at once, and the place of one that ends", async () => {
    const { upstream, gateway } = await withKey({ limits: { concurrency: 1 } });
    const leaving = new AbortController();
    const slow = gateway.ask({ model: "up/slow" }, { signal: leaving.signal, headers: { authorization: `Bearer ${bounded}` } });
    await upstream.request(0);
    expect((await fetchWith(gateway, bounded, { model: "up/a" })).status).toBe(429);
    leaving.abort();
    await expect(slow).rejects.toThrow();
    await expect.poll(async () => (await fetchWith(gateway, bounded, { model: "up/a" })).status).toBe(200);
  });

  test("has spent its budget when it is spent, on winners and losers", async () => {
    const { upstream, gateway } = await withKey({ budget: { usd: 0.11, per: "month" } });
    const body = { model: "exam", max_tokens: 1 };
    const first = await fetchWith(gateway, bounded, body);
    const kept = await gateway.kept(first, bounded);
    expect(first.status).toBe(200);
    expect(kept.costUsd).toBeCloseTo(3 * 0.037);
    const second = await fetchWith(gateway, bounded, body);
    expect([second.status, second.error?.code, second.error?.type]).toEqual([429, "insufficient_quota", "insufficient_quota"]);
    expect([second.headers.get("x-should-retry"), second.headers.get("retry-after")]).toEqual(["false", null]);
    expect(upstream.requests).toHaveLength(3);
    expect((await fetchWith(gateway, free, body)).status).toBe(200);
  });

  test("is told to come back soon when only a running request holds its budget", async () => {
    const { upstream, gateway } = await withKey({ budget: { usd: 0.15, per: "month" } });
    const leaving = new AbortController();
    const headers = { authorization: `Bearer ${bounded}` };
    const slow = gateway.ask({ model: "up/slow", max_tokens: 10 }, { signal: leaving.signal, headers });
    await upstream.request(0);
    const refused = await gateway.ask({ model: "up/a", max_tokens: 10 }, { headers });
    expect([refused.status, refused.error?.code]).toEqual([429, "insufficient_quota"]);
    expect([refused.headers.get("retry-after"), refused.headers.get("x-should-retry")]).toEqual(["1", null]);
    leaving.abort();
    await expect(slow).rejects.toThrow();
  });

  test("counts n where each choice is a call of its own, also behind an alias, and only there", async () => {
    const upstream = await startUpstream({ a: say("42") }, onTestFinished);
    const gateway = await startGateway({
      providers: { one: provider(upstream, { dialect: "groq" }), many: provider(upstream, { dialect: "openai" }) },
      models: { alone: "one/a", all: "many/a" },
      keys: [{ name: "bounded", key: bounded, maxMultiplier: 1 }],
    });
    const statuses: number[] = [];
    for (const model of ["one/a", "alone", "many/a", "all"]) statuses.push((await fetchWith(gateway, bounded, { model, n: 2 })).status);
    expect(statuses.map((status) => status === 403)).toEqual([true, true, false, false]);
  });

  test("does not see the requests of another", async () => {
    const { gateway } = await withKey({});
    const answered = await fetchWith(gateway, free, { model: "up/a" });
    await gateway.kept(answered, free);
    const url = `${gateway.url}/v1/chorale/requests/${answered.id}`;
    expect((await fetch(url, { headers: { authorization: `Bearer ${bounded}` } })).status).toBe(404);
    expect((await fetch(url)).status).toBe(401);
  });
});

test("a record has no text of an answer, whatever the request asked to see", async () => {
  const { gateway } = await setUp(
    { a: say("tea"), b: say("tea") },
    { exam: { kind: "vote", members: ["up/a", "up/b", "up/a"], stop: "none" } },
  );
  for (const model of ["exam", "up/a"]) {
    const answered = await gateway.ask({ model, chorale: { expose: "full" }, messages: user("Coffee or tea?") });
    expect(answered.raw).toContain('"text":"tea"');
    const kept = await gateway.kept(answered);
    expect(JSON.stringify(kept)).not.toMatch(/tea|Coffee/);
    if (model === "exam") expect(kept.decision).toMatchObject({ votes: { "text 1": 3 } });
  }
});

describe("attempts", () => {
  const quick = { baseMs: 0, capMs: 0 };

  test("of one slot are six, however retries and fallbacks nest", async () => {
    const inner = (model: string) => ({ kind: "retry", model, attempts: 4, ...quick });
    const { upstream, gateway } = await setUp(
      { a: broken, b: broken },
      { deep: { kind: "retry", model: { kind: "fallback", members: [inner("up/a"), inner("up/b")] }, attempts: 4, ...quick } },
    );
    const answered = await gateway.ask({ model: "deep" });
    expectHonest(answered, [upstream]);
    expect(answered.status).toBe(502);
    expect(answered.headers.get("x-should-retry")).toBe("false");
    expect(answered.error?.message).toMatch(/up\/a: upstream_error \(HTTP 500\), \d attempts/);
    expect(upstream.requests).toHaveLength(6);
    expectBooked(await gateway.kept(answered), upstream.requests.length);
  });

  test("of each member of a panel are its own", async () => {
    const upstream = await startUpstream({ a: [broken, say("42")], b: [broken, say("42")], c: [broken, say("42")] }, onTestFinished);
    const gateway = await startGateway({
      providers: { up: provider(upstream, { retry: { attempts: 2, ...quick } }) },
      models: { exam: { kind: "vote", members: ["up/a", "up/b", "up/c"], stop: "none" } },
    });
    const answered = await gateway.ask({ model: "exam" });
    expect([answered.status, answered.text]).toEqual([200, "42"]);
    const kept = await gateway.kept(answered);
    expectBooked(kept, 6);
    expect(kept.members.filter(({ status }) => status === "failed")).toHaveLength(3);
  });

  test("are not made against a Retry-After that is too long, nor against a timeout", async () => {
    const limited = once(json(429, errorJson("slow"), { "retry-after": "90" }));
    const upstream = await startUpstream({ limited, slow: once(stall()), a: say("42") }, onTestFinished);
    const timeouts = { firstTokenMs: 60 };
    const gateway = await startGateway({
      providers: {
        up: provider(upstream, { retry: { attempts: 3, ...quick } }),
        hasty: provider(upstream, { timeouts, retry: { attempts: 3, ...quick } }),
      },
      models: { chain: { kind: "fallback", members: ["up/limited", "hasty/slow", "up/a"] } },
    });
    const answered = await gateway.ask({ model: "chain" });
    expect([answered.status, answered.text]).toEqual([200, "42"]);
    expect(upstream.requests.map(({ model }) => model)).toEqual(["limited", "slow", "a"]);
    const alone = await gateway.ask({ model: "up/limited" });
    expect([alone.status, alone.headers.get("retry-after"), alone.headers.get("x-should-retry")]).toEqual([429, "90", "false"]);
  });
});

describe("several choices and seeds", () => {
  const scripts = { a: say("42"), b: say("42") };
  const models = {
    exam: { kind: "vote", members: ["up/a", "up/a", "up/b"], stop: "none" },
    samples: { kind: "vote", model: "up/a", samples: 3, stop: "none" },
  };

  test.each([false, true])("n = 3 of a vote is three votes of their own (stream: %s)", async (stream) => {
    const { upstream, gateway } = await setUp(scripts, models);
    const answered = await gateway.ask({ model: "exam", n: 3, seed: 5, stream });
    expectHonest(answered, [upstream]);
    expect(answered.texts).toEqual(["42", "42", "42"]);
    expect(upstream.requests).toHaveLength(9);
    expect(upstream.requests.every(({ json }) => json["n"] === undefined || json["n"] === 1)).toBe(true);
    expect(new Set(upstream.requests.map(({ json }) => json["seed"])).size).toBe(9);
    expectBooked(await gateway.kept(answered), 9);
  });

  test("derive from the client's seed: different for each sample, the same when repeated", async () => {
    const { upstream, gateway } = await setUp(scripts, models);
    const seeds = async (model: string, seed?: number) => {
      const seen = upstream.requests.length;
      await gateway.ask({ model, ...(seed === undefined ? {} : { seed }) });
      return upstream.requests
        .slice(seen)
        .map(({ model, json }) => `${model} ${String(json["seed"])}`)
        .sort();
    };
    for (const model of ["exam", "samples"]) {
      const first = await seeds(model, 7);
      expect(new Set(first).size).toBe(3);
      expect(await seeds(model, 7)).toEqual(first);
      expect(await seeds(model, 8)).not.toEqual(first);
    }
    expect(new Set(await seeds("samples")).size).toBe(3);
    expect(await seeds("up/a", 7)).toEqual(["a 7"]);
  });
});

test("usage and cost are the sum of all calls, failures and losers included", async () => {
  const { upstream, gateway } = await setUp(
    { a: say("42"), broken },
    { merged: { kind: "fuse", members: ["up/a", "up/broken", "up/a"], writer: "up/a" } },
  );
  for (const stream of [false, true]) {
    const more = stream ? { stream, stream_options: { include_usage: true } } : {};
    const answered = await gateway.ask({ model: "merged", chorale: { expose: "summary" }, ...more });
    expectHonest(answered, [upstream]);
    expect(answered.usage).toMatchObject({ prompt_tokens: 21, completion_tokens: 9, total_tokens: 30 });
    const kept = await gateway.kept(answered);
    expect(summed(kept.members)).toEqual({ prompt: 21, completion: 9 });
    expect(kept.members.find(({ status }) => status === "failed")).toMatchObject({ usd: 0, usage: { total_tokens: 0 } });
    expect([kept.costUsd, kept.costCoverage]).toEqual([expect.closeTo(3 * 0.037), 1]);
    if (!stream) expect(Number(answered.headers.get("x-chorale-cost-usd"))).toBeCloseTo(3 * 0.037);
  }
});
