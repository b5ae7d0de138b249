import { expect, onTestFinished, test } from "vitest";
import { messages, startPair } from "../support/gateway.ts";
import { completionJson, json, type Script } from "../support/upstream.ts";

const vectors: Script = (exchange) => {
  const input = exchange.request.json["input"] as readonly string[];
  const embedding = (text: string) => [text.includes("poem") ? 1 : 0, text.includes("sum") ? 1 : 0, 0.1];
  return json(200, {
    data: input.map((text, index) => ({ index, embedding: embedding(text) })),
    usage: { prompt_tokens: 11, total_tokens: 11 },
  })(exchange);
};

const config = {
  models: {
    ruled: { kind: "route", by: "rules", rules: [{ when: { header: { "x-tier": "gold" } }, model: "up/b" }], else: "up/a" },
    near: {
      kind: "route",
      by: "embedding",
      members: ["up/a", "up/b"],
      embedder: "up/e",
      labelled: [
        { text: "a poem", best: "up/a" },
        { text: "a sum", best: "up/b" },
      ],
      k: 1,
    },
  },
};

const start = () =>
  startPair(
    { a: json(200, completionJson("from a")), b: json(200, completionJson("from b")), e: vectors },
    { onFinished: onTestFinished, provider: { prices: { e: { in: 1, out: 0 }, b: { in: 1, out: 1 } } }, config },
  );

interface Answer {
  readonly choices: readonly { readonly message: { readonly content: string } }[];
  readonly usage: unknown;
}

async function ask(gateway: Awaited<ReturnType<typeof start>>["gateway"], body: object, headers: Readonly<Record<string, string>> = {}) {
  const response = await gateway.chat({ messages, ...body }, { headers });
  const answer = (await response.json()) as Answer;
  return { text: answer.choices[0]?.message.content, usage: answer.usage, headers: response.headers };
}

test("a header of the client's chooses the model where the config asks for it", async () => {
  const { gateway } = await start();
  expect((await ask(gateway, { model: "ruled" })).text).toBe("from a");
  const { text, headers } = await ask(gateway, { model: "ruled" }, { "X-Tier": "gold" });
  expect([text, headers.get("x-chorale-model"), headers.get("x-chorale-strategy")]).toEqual(["from b", "up/b", "route"]);
});

test("the embedder's call is in the usage and in the price, and one decision holds for a whole loop", async () => {
  const { gateway, upstream } = await start();
  const asked = { model: "near", messages: [{ role: "user", content: "the sum?" }] };
  const { text, usage, headers } = await ask(gateway, asked);
  // 7 and 3 tokens of the answer, 11 of the embedder.
  expect([text, usage]).toMatchObject(["from b", { prompt_tokens: 18, completion_tokens: 3 }]);
  expect(Number(headers.get("x-chorale-cost-usd"))).toBeCloseTo((11 + 7 + 3) / 1_000_000, 9);
  const call = { id: "call_1", type: "function", function: { name: "add", arguments: "{}" } };
  const loop = [
    ...asked.messages,
    { role: "assistant", content: null, tool_calls: [call] },
    { role: "tool", tool_call_id: "call_1", content: "a poem" },
  ];
  expect((await ask(gateway, { model: "near", messages: loop })).text).toBe("from b");
  expect(upstream.requests.filter(({ path }) => path === "/v1/embeddings")).toHaveLength(1);
});
