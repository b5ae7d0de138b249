import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { embed } from "ai";
import OpenAI from "openai";
import OpenAI6 from "openai-6";
import { expect, onTestFinished, test } from "vitest";
import { clientKey, startPair, type PairOptions } from "../support/gateway.ts";
import { post } from "../support/post.ts";
import { validateError } from "../support/stream-validator.ts";
import { json, type Script } from "../support/upstream.ts";

const vectors = [
  [0.5, -1.25, 3],
  [1e-7, 0, 0.1],
];
const base64 = (vector: readonly number[]) => Buffer.from(Float32Array.from(vector).buffer).toString("base64");
const rows = (inForm: (vector: readonly number[]) => unknown = (vector) => vector) =>
  vectors.map((vector, index) => ({ object: "embedding", index, embedding: inForm(vector) }));
const usage = { prompt_tokens: 5, total_tokens: 5 };
const listed = (data: readonly unknown[], more: object = {}) => ({ object: "list", data, model: "upstream-e5", usage, ...more });

const start = (script: Script, options: Omit<PairOptions, "onFinished"> = {}) =>
  startPair({ e5: script }, { onFinished: onTestFinished, ...options });
const input = ["one", "two"];

/** As OpenAI does: in the form that it is asked for. */
const asAsked: Script = (exchange) =>
  json(200, listed(rows(exchange.request.json["encoding_format"] === "base64" ? base64 : undefined)))(exchange);

test.for([
  ["openai 7", OpenAI],
  ["openai 6", OpenAI6],
] as const)("A-EMB-01 %s reads the upstream's floats, which travel as base64", async ([, Client]) => {
  for (const dialect of ["vllm", "generic"] as const) {
    const { gateway, upstream } = await start(asAsked, { provider: { dialect, probe: false } });
    const bodies: string[] = [];
    const client = new Client({
      baseURL: gateway.url,
      apiKey: clientKey,
      maxRetries: 0,
      fetch: async (url: string | URL | Request, init?: RequestInit) => {
        const response = await fetch(url, init);
        bodies.push(await response.clone().text());
        return response;
      },
    });
    const answer = await client.embeddings.create({ model: "up/e5", input });
    expect(answer.data.map(({ embedding }) => embedding)).toEqual(vectors.map((vector) => Array.from(Float32Array.from(vector))));
    expect([answer.object, answer.model, answer.usage]).toEqual(["list", "up/e5", usage]);
    expect(JSON.parse(bodies[0] ?? "")).toMatchObject({ data: rows(base64) });
    // A server that is not known to have base64 is not asked for it.
    expect(upstream.requests[0]?.json["encoding_format"]).toBe(dialect === "vllm" ? "base64" : undefined);
  }
});

test("A-EMB-02 100 inputs come back as floats in their order, whatever order the upstream has", async () => {
  const inputs = Array.from({ length: 100 }, (_, i) => `text ${i}`);
  const data = inputs.map((_, index) => ({ object: "embedding", index, embedding: [index, 0.1] })).toReversed();
  const { gateway } = await start(json(200, listed(data)));
  const answer = await gateway.client().embeddings.create({ model: "up/e5", input: inputs, encoding_format: "float" });
  expect(answer.data).toEqual(inputs.map((_, index) => ({ object: "embedding", index, embedding: [index, 0.1] })));
});

test("A-EMB-02 the AI SDK embeds", async () => {
  const { gateway, upstream } = await start(json(200, listed(rows().slice(0, 1))));
  const provider = createOpenAICompatible({ name: "chorale", baseURL: gateway.url, apiKey: clientKey });
  const { embedding } = await embed({ model: provider.embeddingModel("up/e5"), value: "one", maxRetries: 0 });
  expect(embedding).toEqual(vectors[0]);
  expect(upstream.requests[0]?.json).toMatchObject({ input: ["one"], encoding_format: "float" });
});

test.for<readonly [string, object, string]>([
  ["no input", { input: undefined }, "input"],
  ["input null", { input: null }, "input"],
  ["an empty input", { input: "" }, "input"],
  ["an empty array", { input: [] }, "input"],
  ["an empty text among others", { input: ["a", ""] }, "input[1]"],
  ["an empty array of tokens among others", { input: [[1], []] }, "input[1]"],
  ["texts and tokens together", { input: ["a", [1]] }, "input[0]"],
  ["a token that is no integer", { input: [[1], [1.5]] }, "input[1]"],
  ["an object", { input: { text: "a" } }, "input"],
  ["2,049 inputs", { input: Array.from({ length: 2049 }, () => "a") }, "input"],
  ["dimensions 0", { dimensions: 0 }, "dimensions"],
  ["dimensions a string", { dimensions: "3" }, "dimensions"],
  ["an unknown encoding_format", { encoding_format: "int8" }, "encoding_format"],
  ["user a number", { user: 7 }, "user"],
  ["stream", { stream: true }, "stream"],
  ["no model", { model: undefined }, "model"],
])("A-EMB-03 %s is refused by name", async ([, fields, param]) => {
  const { gateway, upstream } = await start(asAsked);
  const response = await post(gateway, "/v1/embeddings", { model: "up/e5", input, ...fields });
  const text = await response.text();
  expect(validateError(text, response.headers)).toEqual([]);
  expect([response.status, JSON.parse(text)]).toMatchObject([400, { error: { param } }]);
  expect(upstream.requests).toHaveLength(0);
});

test("A-EMB-03 2,048 inputs, token arrays, nulls and unknown fields travel as they were written", async () => {
  const count: Script = (exchange) => {
    const { input } = exchange.request.json as { input: readonly unknown[] };
    const n = typeof input[0] === "number" ? 1 : input.length;
    return json(200, listed(Array.from({ length: n }, (_, index) => ({ object: "embedding", index, embedding: [1] }))))(exchange);
  };
  const { gateway, upstream } = await start(count);
  const bodies = [
    `{"model":"up/e5","input":${JSON.stringify(Array.from({ length: 2048 }, () => "a"))}}`,
    '{"input":[1, 2, 3], "dimensions": null, "model":"up/e5"}',
    '{"input":[[1,2],[3]],"model":"up/e5","truncate":true,"big":12345678901234567890,"dimensions":2,"user":"ada"}',
  ];
  for (const body of bodies) expect((await post(gateway, "/v1/embeddings", body)).status).toBe(200);
  expect(upstream.requests.map(({ path, body }) => [path, body.toString()])).toEqual(
    bodies.map((body) => ["/v1/embeddings", body.replace("up/e5", "e5")]),
  );
});

test("an answer that is right goes out with the upstream's own digits, under the model's name", async () => {
  const text = `{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.10,1e-3]}],"model":"x","extra":12345678901234567890,"usage":{"prompt_tokens":1,"total_tokens":1}}`;
  const { gateway } = await start(json(200, text));
  const response = await post(gateway, "/v1/embeddings", { model: "up/e5", input: "a" });
  expect(await response.text()).toBe(text.replace('"x"', '"up/e5"'));
  expect(response.headers.get("content-type")).toBe("application/json");
});

test.for<readonly [string, unknown]>([
  ["a vector too few", listed(rows().slice(1))],
  ["one index twice", listed([rows()[0], rows()[0]])],
  ["a vector without numbers", listed(rows(() => [null]))],
  ["base64 of half a float", listed(rows(() => "AAA="))],
  ["no data", { object: "list" }],
  ["an array", []],
])("%s from an upstream is its fault", async ([, answer]) => {
  const { gateway } = await start(json(200, answer));
  const response = await post(gateway, "/v1/embeddings", { model: "up/e5", input });
  const text = await response.text();
  expect(validateError(text, response.headers)).toEqual([]);
  expect([response.status, JSON.parse(text)]).toMatchObject([502, { error: { code: "upstream_protocol" } }]);
});

test("rows without index or object, and an answer without usage, are made canonical", async () => {
  const { gateway } = await start(json(200, { data: vectors.map((embedding) => ({ embedding })), model: "x" }));
  const answer = await gateway.client().embeddings.create({ model: "up/e5", input, encoding_format: "float" });
  expect(answer).toMatchObject({ object: "list", data: rows(), model: "up/e5" });
  expect(answer.usage.total_tokens).toBeGreaterThan(0);
});

test("vectors are billed, logged and kept like chats", async () => {
  const config = { providers: {}, models: { vectors: "up/e5" } };
  const { gateway, upstream } = await start(asAsked, { config, provider: { prices: { e5: { in: 100, out: 0 } } } });
  const response = await post(gateway, "/v1/embeddings", { model: "vectors", input, chorale: { expose: "summary" } });
  const id = response.headers.get("x-request-id") ?? "";
  expect(Object.fromEntries(response.headers)).toMatchObject({ "x-chorale-model": "up/e5", "x-chorale-cost-usd": "0.0005" });
  expect(await response.json()).toMatchObject({ model: "vectors", chorale: { costUsd: 0.0005, members: [{ model: "up/e5" }] } });
  expect(upstream.requests[0]?.json).toEqual({ model: "e5", input });
  await expect.poll(() => gateway.requestLogs).toMatchObject([{ model: "vectors", status: 200, legs: 1, promptTokens: 5, usd: 0.0005 }]);
  const record = await gateway.get(`/v1/chorale/requests/${id}`);
  expect([record.status, await record.json()]).toMatchObject([200, { costUsd: 0.0005 }]);
});

test("an upstream's refusal keeps its words, and a failure is retried", async () => {
  const refusal = { error: { message: "dimensions is not supported", type: "invalid_request_error", param: "dimensions", code: null } };
  const { gateway, upstream } = await start(json(400, refusal), { provider: { retry: { attempts: 2, baseMs: 1 } } });
  const refused = await post(gateway, "/v1/embeddings", { model: "up/e5", input, dimensions: 3 });
  expect([refused.status, await refused.json()]).toMatchObject([400, refusal]);
  upstream.script({ e5: [json(500, {}), asAsked] });
  expect((await post(gateway, "/v1/embeddings", { model: "up/e5", input })).status).toBe(200);
  expect(upstream.requests).toHaveLength(3);
});

test("a model that does not embed, a panel and an unknown name are 404, with the model to blame", async () => {
  const config = {
    models: { panel: { kind: "vote", members: ["up/e5", "up/e5"] } },
    providers: { claude: { kind: "anthropic", apiKey: "x" } },
  };
  const { gateway, upstream } = await start(asAsked, { config });
  for (const model of ["panel", "claude/any", "nobody"]) {
    const response = await post(gateway, "/v1/embeddings", { model, input });
    expect([response.status, await response.json()]).toMatchObject([404, { error: { param: "model", code: "model_not_found" } }]);
  }
  expect(upstream.requests).toHaveLength(0);
});

test("a leaf that embeds texts alone refuses by name what it would not be told", async () => {
  const { gateway } = await start(asAsked, { config: { providers: { demo: { kind: "demo" } } } });
  const model = "demo/alto";
  const client = gateway.client();
  const floats = await client.embeddings.create({ model, input, encoding_format: "float" });
  const decoded = await client.embeddings.create({ model, input });
  expect(decoded.data).toEqual(floats.data);
  expect(floats.data.map(({ index }) => index)).toEqual([0, 1]);
  for (const [fields, param] of [
    [{ input: [1, 2] }, "input"],
    [{ dimensions: 3 }, "dimensions"],
    [{ input_type: "query" }, "input_type"],
  ] as const) {
    const response = await post(gateway, "/v1/embeddings", { model, input, ...fields });
    expect([response.status, await response.json()]).toMatchObject([400, { error: { param, code: "unsupported_parameter" } }]);
  }
});
