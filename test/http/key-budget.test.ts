import { describe, expect, onTestFinished, test } from "vitest";
import { clientKey, startPair } from "../support/gateway.ts";
import { completionJson, json, stall, type Script, type Scripts } from "../support/upstream.ts";

/** Answers with this many tokens. */
const wrote = (tokens: number): Script =>
  json(200, completionJson("42", { usage: { prompt_tokens: 0, completion_tokens: tokens, total_tokens: tokens } }));

/** A token of an answer costs a tenth of a cent, a prompt nothing. */
const price = { in: 0, out: 1000 };

const models = {
  chain: { kind: "fallback", members: ["up/dear", "up/a"] },
  exam: { kind: "vote", members: ["up/a", "up/a", "up/a"], stop: "none" },
  merged: { kind: "fuse", members: ["up/a", "up/a"], writer: "up/a" },
};

async function withBudget(usd: number, scripts: Scripts) {
  const { upstream, gateway } = await startPair(scripts, {
    onFinished: onTestFinished,
    provider: { prices: { a: price, slow: price, dear: { in: 0, out: 100_000 } } },
    config: { models, keys: [{ name: "team-a", key: clientKey, budget: { usd, per: "month" } }] },
  });
  const ask = async (body: object) => {
    const response = await gateway.chat({ ...body });
    const read = (await response.json()) as { readonly error?: { readonly message: string; readonly code: string } };
    return { status: response.status, headers: response.headers, error: read.error };
  };
  return { upstream, gateway, ask };
}

describe("a key's budget", () => {
  test("says what is left where one call may cost more", async () => {
    const { upstream, ask } = await withBudget(0.01, { a: wrote(4) });
    expect((await ask({ max_tokens: 10 })).status).toBe(200);
    const refused = await ask({ max_tokens: 7 });
    expect([refused.status, refused.error?.code, refused.error?.message]).toEqual([
      429,
      "insufficient_quota",
      "This request may cost $0.007, and the budget of this key has $0.006 left. A smaller 'max_tokens' bounds the price.",
    ]);
    expect(upstream.requests).toHaveLength(1);
    expect((await ask({ max_tokens: 6 })).status).toBe(200);
  });

  test("says that it is spent only when it is, and what others hold", async () => {
    const { upstream, gateway, ask } = await withBudget(0.01, { a: wrote(10), slow: stall() });
    const leaving = new AbortController();
    const slow = gateway.chat({ model: "up/slow", max_tokens: 8 }, { signal: leaving.signal });
    await upstream.request(0);
    const held = await ask({ max_tokens: 5 });
    expect([held.status, held.headers.get("retry-after")]).toEqual([429, "1"]);
    expect(held.error?.message).toBe("Running requests hold the $0.01 that the budget of this key has left.");
    leaving.abort();
    await expect(slow).rejects.toThrow();
    await expect.poll(async () => (await ask({ max_tokens: 10 })).status).toBe(200);
    const spent = await ask({ max_tokens: 1 });
    expect([spent.status, spent.headers.get("retry-after")]).toEqual([429, null]);
    expect(spent.error?.message).toBe("The budget of this key is spent for now.");
  });

  test("sends a fallback on to what it still pays for", async () => {
    const { upstream, ask } = await withBudget(0.01, { a: wrote(4), dear: wrote(4) });
    expect((await ask({ model: "chain", max_tokens: 10 })).status).toBe(200);
    expect(upstream.requests.map(({ model }) => model)).toEqual(["a"]);
  });

  test("degrades a panel, whose parallel members do not overshoot it", async () => {
    const { upstream, ask } = await withBudget(0.025, { a: wrote(10) });
    const answered = await ask({ model: "exam", max_tokens: 10 });
    expect([answered.status, answered.headers.get("x-chorale-cost-usd")]).toEqual([200, "0.02"]);
    expect(answered.headers.get("x-chorale-degraded")).toBe("members: budget_denied, 1 of 3");
    expect(upstream.requests).toHaveLength(2);
  });

  test("is not overshot by requests that come at once", async () => {
    const { upstream, ask } = await withBudget(0.1, { a: wrote(10) });
    const all = await Promise.all(Array.from({ length: 20 }, () => ask({ model: "exam", max_tokens: 10 })));
    expect(upstream.requests.length).toBeLessThanOrEqual(10);
    expect(all.filter(({ status }) => status === 200).length).toBeGreaterThanOrEqual(3);
    expect(all.every(({ status }) => status === 200 || status === 429)).toBe(true);
  });

  test("pays for more than was leased as long as it has more", async () => {
    // Nobody bounds the answers, which are far longer than what is assumed.
    const { upstream, ask } = await withBudget(100, { a: wrote(5000) });
    const answered = await ask({ model: "merged" });
    expect([answered.status, answered.headers.get("x-chorale-cost-usd")]).toEqual([200, "15"]);
    expect(answered.headers.get("x-chorale-degraded")).toBeNull();
    expect(upstream.requests).toHaveLength(3);
  });

  test("stops a panel whose answers were longer than anybody could foresee", async () => {
    const { upstream, ask } = await withBudget(10, { a: wrote(5000) });
    const answered = await ask({ model: "merged" });
    expect([answered.status, answered.headers.get("x-chorale-cost-usd")]).toEqual([200, "10"]);
    expect(answered.headers.get("x-chorale-degraded")).toContain("writer");
    expect(upstream.requests).toHaveLength(2);
  });

  test("is joined by the budget of a request: the smaller one holds", async () => {
    const { upstream, ask } = await withBudget(0.025, { a: wrote(10) });
    const narrowed = await ask({ model: "exam", max_tokens: 10, chorale: { budget: { calls: 1 } } });
    expect([narrowed.status, upstream.requests.length]).toEqual([200, 1]);
    const wide = await ask({ model: "exam", max_tokens: 10, chorale: { budget: { usd: 5 } } });
    expect([wide.status, upstream.requests.length]).toEqual([200, 2]);
  });
});
