import { beforeAll, afterAll, describe, expect, test } from "vitest";
import { clientKey, messages, startPair, type Pair } from "../support/gateway.ts";

const boundKey = "sk-chorale-bound-0123456789";
const tool = { type: "function", function: { name: "look_up" } };

describe("POST /v1/chorale/explain", () => {
  let pair: Pair;

  beforeAll(async () => {
    pair = await startPair(
      {},
      {
        onFinished: afterAll,
        provider: { models: ["a", "b"], prices: { a: { in: 1, out: 2 } } },
        config: {
          keys: [
            { name: "team-a", key: clientKey },
            { name: "bound", key: boundKey, models: ["exam", "up/*"], maxMultiplier: 3, limits: { requestsPerMinute: 1 } },
          ],
          models: {
            exam: { kind: "vote", members: ["up/a", "up/b", "up/a"], tools: { policy: "refuse" } },
            mine: {
              kind: "route",
              by: "rules",
              rules: [
                { when: { key: "bound" }, model: "up/b" },
                { when: { header: { "x-tier": "gold" } }, model: "up/b" },
              ],
              else: "up/a",
            },
          },
        },
      },
    );
  });

  async function ask(path: string, body: unknown, headers: Readonly<Record<string, string>> = {}) {
    const response = await fetch(`${pair.gateway.url}${path}`, {
      method: "POST",
      body: typeof body === "string" ? body : JSON.stringify(body),
      headers: { "content-type": "application/json", authorization: `Bearer ${clientKey}`, ...headers },
    });
    return { status: response.status, headers: response.headers, body: (await response.json()) as Readonly<Record<string, unknown>> };
  }

  const explain = (body: unknown, headers?: Readonly<Record<string, string>>) => ask("/chorale/explain", body, headers);

  test("tells the way, the legs, the calls and the worst price of a chat request", async () => {
    const { status, headers, body } = await explain({ model: "exam", messages, max_tokens: 100 });
    expect(status).toBe(200);
    expect(headers.get("x-request-id")).toMatch(/^req_/);
    expect(body).toMatchObject({
      model: "exam",
      kind: "vote",
      plan: { calls: [3, 3], depth: 1, tail: "none", tools: "refused" },
      legs: [
        { model: "up/a", state: "certain", calls: 2 },
        { model: "up/b", state: "certain", calls: 1, worstUsd: null },
      ],
      costCoverage: 2 / 3,
      warnings: ["no price is known of up/b"],
    });
    expect(body["worstUsd"]).toBeGreaterThan(0.0004);
    expect(body["worstUsd"]).toBeLessThan(0.0005);
  });

  test("looks at the headers and the key of the request", async () => {
    const legs = async (headers: Readonly<Record<string, string>>) => (await explain({ model: "mine", messages }, headers)).body["legs"];
    expect(await legs({})).toMatchObject([{ model: "up/a" }]);
    expect(await legs({ "x-tier": "gold" })).toMatchObject([{ model: "up/b" }]);
  });

  test("takes the budget that the request gives itself", async () => {
    const { body } = await explain({ model: "exam", messages, chorale: { budget: { usd: 0.00001, calls: 2 } } });
    expect(body).toMatchObject({ worstUsd: 0.00001, plan: { calls: [2, 2] } });
  });

  test.for([
    ["a body that is not JSON", "{", {}],
    ["a body without messages", { model: "exam" }, {}],
    ["bad tools", { model: "exam", messages, tools: [{ type: "function" }] }, {}],
    ["tools where they are refused", { model: "exam", messages, tools: [tool] }, {}],
    ["an unknown model", { model: "exma", messages }, {}],
    ["a model that the key may not use", { model: "mine", messages }, { authorization: `Bearer ${boundKey}` }],
    ["more choices than the key allows", { model: "exam", messages, n: 2 }, { authorization: `Bearer ${boundKey}` }],
    ["an unknown key of the narrowing field", { model: "exam", messages, chorale: { speed: 1 } }, {}],
    ["no key", { model: "exam", messages }, { authorization: "" }],
    ["a wrong key", { model: "exam", messages }, { authorization: "Bearer sk-wrong" }],
  ] as const)("answers %s with the error of the chat request", async ([, body, headers]) => {
    const [explained, chatted] = [await explain(body, headers), await ask("/chat/completions", body, headers)];
    expect(explained.status).toBeGreaterThanOrEqual(400);
    expect([explained.status, explained.body]).toEqual([chatted.status, chatted.body]);
  });

  test("is no request of its key's: limits do not count it", async () => {
    const bound = { authorization: `Bearer ${boundKey}` };
    for (const _ of [1, 2, 3]) expect((await explain({ model: "exam", messages }, bound)).status).toBe(200);
  });

  test("is only posted, under /v1", async () => {
    expect((await pair.gateway.get("/v1/chorale/explain")).status).toBe(405);
    expect(
      (await fetch(`${pair.gateway.origin}/chorale/explain`, { method: "POST", headers: { authorization: `Bearer ${clientKey}` } })).status,
    ).toBe(404);
  });

  test("sends nothing", () => {
    expect(pair.upstream.connections).toBe(0);
  });
});
