/** Endpoints whose answers go through: `/v1/rerank`, `/v1/moderations`, and what those two share with `/v1/embeddings`. */
import { expect, onTestFinished, test } from "vitest";
import { startPair, type Gateway, type PairOptions } from "../support/gateway.ts";
import { post } from "../support/post.ts";
import { validateError } from "../support/stream-validator.ts";
import { answer, errorJson, html, json, reset, stall, type Script, type Scripts } from "../support/upstream.ts";

const start = (scripts: Scripts, options: Omit<PairOptions, "onFinished"> = {}) =>
  startPair(scripts, { onFinished: onTestFinished, ...options });

const question = { model: "up/a", query: "What is red?", documents: ["the sky", "a rose", "grass"] };
const rerank = (gateway: Gateway, fields: object = {}, init: RequestInit = {}) =>
  post(gateway, "/v1/rerank", { ...question, ...fields }, init);
const ranking = {
  id: "rr-1",
  model: "upstream",
  results: [
    { index: 1, relevance_score: 0.9 },
    { index: 0, relevance_score: 0.5 },
    { index: 2, relevance_score: 0.1 },
  ],
  usage: { prompt_tokens: 9, total_tokens: 9 },
};
const verdict = { id: "modr-1", model: "omni", results: [{ flagged: false, categories: { violence: false }, category_scores: {} }] };

test("a ranking goes through with its own digits, either way", async () => {
  const text = `{"id": "rr","model":"x","results":[{"index":1,"relevance_score":0.90,"document":{"text":"b"}},{"index":0,"relevance_score":1e-3}],"meta":{"big":12345678901234567890}}`;
  const { gateway, upstream } = await start({ a: json(200, text) });
  const body = `{"query":"q","documents":["a",{"text":"b","id":1}],"top_n":2,"model":"up/a","max_tokens_per_doc":1.0}`;
  const response = await post(gateway, "/v1/rerank", body);
  expect(upstream.requests.map(({ path, body }) => [path, body.toString()])).toEqual([["/v1/rerank", body.replace("up/a", "a")]]);
  expect(await response.text()).toBe(text.replace('"x"', '"up/a"'));
});

test.each<readonly [string, object, object, object]>([
  ["in any order", { ...ranking, results: ranking.results.toReversed() }, {}, ranking],
  ["under Voyage's names", { ...ranking, results: undefined, data: ranking.results }, {}, ranking],
  [
    "with scores alone",
    { results: [2, 0, 1].map((index) => ({ index, score: index })) },
    {},
    {
      results: [2, 1, 0].map((index) => ({ index, relevance_score: index })),
    },
  ],
  ["of more than was asked for", ranking, { top_n: 1 }, { ...ranking, results: ranking.results.slice(0, 1) }],
  ["of fewer than there are", { results: ranking.results.slice(0, 2) }, {}, { results: ranking.results.slice(0, 2) }],
  [
    "without the documents",
    ranking,
    { return_documents: true, top_n: 1 },
    {
      ...ranking,
      results: [{ index: 1, relevance_score: 0.9, document: { text: "a rose" } }],
    },
  ],
  [
    "without a document of its own fields",
    ranking,
    { documents: ["x", { text: "y", id: 7 }, "z"], return_documents: true, top_n: 1 },
    {
      ...ranking,
      results: [{ index: 1, relevance_score: 0.9, document: { text: "y", id: 7 } }],
    },
  ],
])("a ranking %s is made canonical", async (_, answer, fields, canonical) => {
  const { gateway } = await start({ a: json(200, answer) });
  expect(await (await rerank(gateway, fields)).json()).toEqual({ ...canonical, model: "up/a" });
});

test.each<readonly [string, unknown]>([
  ["without results", { model: "x" }],
  ["of a document that is not there", { results: [{ index: 3, relevance_score: 1 }] }],
  ["of one document twice", { results: [ranking.results[0], ranking.results[0]] }],
  ["without a score", { results: [{ index: 0 }] }],
  ["that is an array", [{ index: 0, score: 1 }]],
  ["that is a text", "fine"],
])("a ranking %s is the upstream's fault", async (_, answer) => {
  const { gateway } = await start({ a: json(200, answer) });
  const response = await rerank(gateway);
  const text = await response.text();
  expect(validateError(text, response.headers)).toEqual([]);
  expect([response.status, JSON.parse(text)]).toMatchObject([502, { error: { code: "upstream_protocol" } }]);
});

test("a server that reranks in words of its own is asked in them, and refuses by name what it would not be told", async () => {
  const tei: Script = json(200, [
    { index: 1, score: 0.2 },
    { index: 0, score: 0.7 },
  ]);
  const { gateway, upstream } = await start({ a: tei, "*": tei }, { provider: { dialect: "tei", probe: false } });
  const two = { documents: ["x", { text: "y" }] };
  const response = await rerank(gateway, { ...two, return_documents: true, chorale: { expose: "summary" } });
  expect(await response.json()).toEqual({
    id: expect.stringMatching(/^rerank-/),
    model: "up/a",
    results: [
      { index: 0, relevance_score: 0.7, document: { text: "x" } },
      { index: 1, relevance_score: 0.2, document: { text: "y" } },
    ],
    usage: { prompt_tokens: expect.any(Number), total_tokens: expect.any(Number) },
    chorale: expect.objectContaining({ strategy: expect.anything() }),
  });
  expect(upstream.requests.map(({ path, json }) => [path, json])).toEqual([
    ["/rerank", { model: "a", query: question.query, texts: ["x", "y"] }],
  ]);
  expect(((await (await rerank(gateway, { ...two, top_n: 1 })).json()) as { results: unknown[] }).results).toHaveLength(1);
  for (const [fields, param] of [
    [{ max_tokens_per_doc: 3 }, "max_tokens_per_doc"],
    [{ documents: ["x", { image: "y" }] }, "documents[1]"],
    [{ query: { image: "y" } }, "query"],
  ] as const) {
    const refused = await rerank(gateway, { ...two, ...fields });
    expect([refused.status, await refused.json()]).toMatchObject([400, { error: { param, code: "unsupported_parameter" } }]);
  }
});

test.each<readonly [string, string, object, string]>([
  ["no query", "rerank", { query: undefined }, "query"],
  ["an empty query", "rerank", { query: "" }, "query"],
  ["a query of numbers", "rerank", { query: [1] }, "query"],
  ["no documents", "rerank", { documents: undefined }, "documents"],
  ["an empty list of documents", "rerank", { documents: [] }, "documents"],
  ["a document that is a number", "rerank", { documents: ["a", 1] }, "documents[1]"],
  ["top_n 0", "rerank", { top_n: 0 }, "top_n"],
  ["return_documents of text", "rerank", { return_documents: "yes" }, "return_documents"],
  ["a stream", "rerank", { stream: true }, "stream"],
  ["no model", "rerank", { model: undefined }, "model"],
  ["no input", "moderations", { input: undefined }, "input"],
  ["an empty list of inputs", "moderations", { input: [] }, "input"],
  ["an input that is a number", "moderations", { input: ["a", 1] }, "input[1]"],
  ["a part without a type", "moderations", { input: [{ text: "a" }] }, "input[0]"],
  ["a stream", "moderations", { stream: true }, "stream"],
])("%s in /v1/%s is refused by name", async (_, endpoint, fields, param) => {
  const { gateway, upstream } = await start({ a: json(200, ranking) });
  const response = await post(gateway, `/v1/${endpoint}`, { ...question, input: "a", ...fields });
  const text = await response.text();
  expect(validateError(text, response.headers)).toEqual([]);
  expect([response.status, JSON.parse(text)]).toMatchObject([400, { error: { param } }]);
  expect(upstream.requests).toHaveLength(0);
});

test("the official client moderates texts and parts, with and without a model", async () => {
  const { gateway, upstream } = await start(
    { a: json(200, verdict), "omni-moderation-latest": json(200, verdict) },
    { provider: { models: ["omni-moderation-latest", "a"] } },
  );
  const client = gateway.client();
  const parts = [
    { type: "text" as const, text: "a" },
    { type: "image_url" as const, image_url: { url: "data:image/png;base64,AA==" } },
  ];
  expect(await client.moderations.create({ model: "up/a", input: parts })).toEqual({ ...verdict, model: "up/a" });
  expect(await client.moderations.create({ input: ["a", "b"] })).toEqual({ ...verdict, model: "omni-moderation-latest" });
  expect(upstream.requests.map(({ path, json }) => [path, json])).toEqual([
    ["/v1/moderations", { model: "a", input: parts }],
    ["/v1/moderations", { model: "omni-moderation-latest", input: ["a", "b"] }],
  ]);
});

test("a verdict without results is the upstream's fault", async () => {
  const { gateway } = await start({ a: json(200, { id: "x", model: "y" }) });
  const response = await post(gateway, "/v1/moderations", { model: "up/a", input: "a" });
  expect([response.status, await response.json()]).toMatchObject([502, { error: { code: "upstream_protocol" } }]);
});

const endpoints = [
  ["rerank", question, ranking],
  ["moderations", { model: "up/a", input: "a" }, verdict],
  ["embeddings", { model: "up/a", input: "a" }, { object: "list", data: [{ object: "embedding", index: 0, embedding: [1] }], model: "x" }],
] as const;

test.each([...endpoints, ["completions", { model: "up/a", prompt: "a" }, {}] as const])(
  "/v1/%s refuses what is no request",
  async (endpoint, body) => {
    const { gateway, upstream } = await start({ a: json(500, {}) });
    const text = JSON.stringify(body);
    const nested = "[".repeat(300) + "]".repeat(300);
    for (const [sent, param] of [
      ["", null],
      ["{oops", null],
      ["[]", null],
      ['"text"', null],
      ["null", null],
      [text.replace("{", '{"model":"up/b",'), "model"],
      [text.replace("{", String.raw`{"\u006dodel":"up/b",`), "model"],
      [text.replace("{", `{"deep":${nested},`), null],
    ] as const) {
      const response = await post(gateway, `/v1/${endpoint}`, sent);
      const said = await response.text();
      expect(validateError(said, response.headers)).toEqual([]);
      expect([response.status, JSON.parse(said)]).toMatchObject([400, { error: { param } }]);
    }
    expect(upstream.requests).toHaveLength(0);
    expect((await gateway.get(`/v1/${endpoint}`)).status).toBe(405);
  },
);

test.each(endpoints)("/v1/%s keeps what it does not know, whatever its name", async (endpoint, body, answer) => {
  const { gateway, upstream } = await start({ a: json(200, answer) });
  const odd = String.raw`{"__proto__":{"a":1},"constructor":1,"half":"\ud800","big":1e400,`;
  expect(
    (
      await post(
        gateway,
        `/v1/${endpoint}`,
        JSON.stringify(body).replace("{", () => odd),
      )
    ).status,
  ).toBe(200);
  expect(upstream.requests[0]?.body.toString()).toBe(JSON.stringify({ ...body, model: "a" }).replace("{", () => odd));
});

test.each(endpoints)("/v1/%s is only for upstream models that have it, and says so by name", async (endpoint, body) => {
  const config = {
    models: { panel: { kind: "vote", members: ["up/a", "up/b"] }, alias: "up/a" },
    providers: { claude: { kind: "anthropic", apiKey: "x" }, deepseek: { kind: "openai", dialect: "deepseek", apiKey: "x" } },
  };
  const { gateway, upstream } = await start({ a: json(500, {}) }, { config });
  for (const model of ["panel", "claude/any", "deepseek/any", "nobody"]) {
    const response = await post(gateway, `/v1/${endpoint}`, { ...body, model });
    expect([response.status, await response.json()]).toMatchObject([404, { error: { param: "model", code: "model_not_found" } }]);
  }
  expect(upstream.requests).toHaveLength(0);
  expect((await post(gateway, `/v1/${endpoint}`, { ...body, model: "alias" })).status).toBe(502);
  expect(upstream.requests).toHaveLength(1);
});

test.each(endpoints)("/v1/%s is billed, limited, logged and kept, and says what it was asked to", async (endpoint, body, answer) => {
  const usage = { prompt_tokens: 40, total_tokens: 40 };
  const key = "sk-chorale-limited-0123456789";
  const config = { keys: [{ name: "slow", key, limits: { requestsPerMinute: 1 } }] };
  const { gateway } = await start({ a: json(200, { ...answer, usage }) }, { config, provider: { prices: { a: { in: 100, out: 0 } } } });
  const init = { headers: { authorization: `Bearer ${key}` } };
  const response = await post(gateway, `/v1/${endpoint}`, { ...body, chorale: { expose: "summary" } }, init);
  expect(Object.fromEntries(response.headers)).toMatchObject({ "x-chorale-model": "up/a", "x-chorale-cost-usd": "0.004" });
  expect(await response.json()).toMatchObject({ model: "up/a", chorale: { costUsd: 0.004 } });
  await expect.poll(() => gateway.requestLogs).toMatchObject([{ model: "up/a", status: 200, legs: 1, promptTokens: 40, usd: 0.004 }]);
  const again = await post(gateway, `/v1/${endpoint}`, body, init);
  expect([again.status, again.headers.get("retry-after")]).toEqual([429, expect.stringMatching(/^\d+$/)]);
  const record = await gateway.get(`/v1/chorale/requests/${response.headers.get("x-request-id")}`, init);
  expect([record.status, await record.json()]).toMatchObject([200, { costUsd: 0.004 }]);
});

test.each(endpoints)("/v1/%s tells a failure, tries again, and ends with its client", async (endpoint, body, whole) => {
  const send = (gateway: Gateway, init?: RequestInit) => post(gateway, `/v1/${endpoint}`, body, init);
  const text = JSON.stringify(whole);
  const cut = answer({ headers: { "content-type": "application/json" }, writes: [text.slice(0, -4)], ending: "cut" });
  const { gateway, upstream } = await start({ a: cut });
  for (const [script, status] of [
    [cut, 502],
    [html(200), 502],
    [json(200, text.slice(0, -4)), 502],
    [json(400, errorJson("no", { param: "input" })), 400],
    [json(429, errorJson("slow down"), { "retry-after": "7" }), 429],
  ] as const) {
    upstream.script({ a: script });
    const response = await send(gateway);
    const said = await response.text();
    expect(validateError(said, response.headers)).toEqual([]);
    expect(response.status).toBe(status);
  }
  const patient = await start({ a: [reset(), json(503, {}), json(200, whole)] }, { provider: { retry: { attempts: 3, baseMs: 1 } } });
  expect((await send(patient.gateway)).status).toBe(200);
  upstream.script({ a: stall() });
  const leave = new AbortController();
  const left = send(gateway, { signal: leave.signal });
  const { closed } = await upstream.request(5);
  leave.abort();
  await expect(left).rejects.toThrow();
  expect((await closed).complete).toBe(false);
});
