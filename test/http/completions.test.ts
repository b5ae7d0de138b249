/** `POST /v1/completions` over a server that completes text by itself. */
import OpenAI from "openai";
import OpenAI6 from "openai-6";
import { expect, onTestFinished, test } from "vitest";
import { clientKey, quick, readPieces, startPair, type Gateway, type PairOptions } from "../support/gateway.ts";
import { post } from "../support/post.ts";
import { validateError } from "../support/stream-validator.ts";
import { errorJson, frame, html, json, reset, sse, stall, type Script, type Scripts } from "../support/upstream.ts";
import { identity, readText, textJson, textStream, usage } from "./text.ts";

const path = "/v1/completions";
const prompt = "Once upon";

const start = (scripts: Scripts, { provider, ...options }: Omit<PairOptions, "onFinished"> = {}) =>
  startPair(scripts, { onFinished: onTestFinished, ...options, provider: { dialect: "vllm", probe: false, ...provider } });
const ask = (gateway: Gateway, body: object = {}, init: RequestInit = {}) => post(gateway, path, { model: "up/a", prompt, ...body }, init);
const streamed = async (gateway: Gateway, body: object = {}) => (await ask(gateway, { stream: true, ...body })).text();

test("a request and its answer go through with their own digits, under the names of either side", async () => {
  const answer = `{"id":"cmpl-up", "object":"text_completion","created":1,"model":"x","choices":[{"text":" a time","index":0,"logprobs":{"tokens":[" a"],"token_logprobs":[-0.10],"top_logprobs":[{" a":-0.10}],"text_offset":[9]},"finish_reason":"length","stop_reason":null}],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3},"big":12345678901234567890}`;
  const { gateway, upstream } = await start({ a: json(200, answer) });
  const body = `{"prompt":[[1, 2],[3]],"n":1,"suffix":" end","echo":true,"best_of":2,"logprobs":2,"stop":["x"],"model":"up/a","seed":12345678901234567890,"min_p":0.10}`;
  const response = await post(gateway, path, body);
  expect(upstream.requests.map(({ path, body }) => [path, body.toString()])).toEqual([["/v1/completions", body.replace("up/a", "a")]]);
  const text = await response.text();
  const { id, created } = JSON.parse(text) as { id: string; created: number };
  expect(id).toMatch(/^cmpl-[0-9a-f]{32}$/);
  expect(text).toBe(answer.replace("cmpl-up", id).replace('"created":1', `"created":${created}`).replace('"x"', '"up/a"'));
});

test("a stream goes through with its own bytes, and usage only for whom it was asked", async () => {
  const chunk = (choice: string, more: string) =>
    `data: {"id":"cmpl-up","object":"text_completion","created":1,"choices":[${choice}],"model":"x"${more}}\n\n`;
  const frames = [
    chunk(`{"index":0,"text":" a","logprobs":{"tokens":[" a"],"token_logprobs":[-0.10]},"finish_reason":null}`, `,"usage":null`),
    chunk(`{"index":0,"text":"é","logprobs":null,"finish_reason":"stop","stop_reason":null}`, `,"usage":null,"big":12345678901234567890`),
    `data: {"id":"cmpl-up","object":"text_completion","created":1,"model":"x","choices":[],"usage":${JSON.stringify(usage)},"timings":1.0}\n\n`,
  ];
  const { gateway, upstream } = await start({ a: sse([...frames, frame("[DONE]")], { split: 7 }) });
  const asked = await streamed(gateway, { stream_options: { include_usage: true } });
  const { id, created } = JSON.parse(asked.slice(6, asked.indexOf("\n"))) as { id: string; created: number };
  const renamed = (text: string) => text.replace("cmpl-up", id).replace('"created":1', `"created":${created}`).replace('"x"', '"up/a"');
  expect(asked.replace(/^: .*\n\n/gm, "")).toBe([...frames.map(renamed), frame("[DONE]")].join(""));
  const unasked = await streamed(gateway);
  expect(unasked).not.toContain("usage");
  expect(readText(unasked)).toMatchObject({ texts: [" aé"], wrong: [] });
  expect(upstream.requests.map(({ json }) => json["stream_options"])).toEqual([{ include_usage: true }, { include_usage: true }]);
});

test.each([
  ["openai 7", OpenAI],
  ["openai 6", OpenAI6 as unknown as typeof OpenAI],
] as const)("A-CMP-01 %s completes whole and as a stream, with n and usage", async (_, Client) => {
  const script: Script = (exchange) => {
    const isStream = exchange.request.json["stream"] === true;
    return (isStream ? sse(textStream([" a", " time"], { n: 2, usage: true })) : json(200, textJson([" a time", " a time"])))(exchange);
  };
  const { gateway } = await start({ a: script });
  const client = new Client({ baseURL: gateway.url, apiKey: clientKey, maxRetries: 0 });
  const whole = await client.completions.create({ model: "up/a", prompt, n: 2 });
  expect(whole).toMatchObject({ object: "text_completion", model: "up/a", usage });
  expect(whole.choices.map(({ text, index, finish_reason: end }) => [index, text, end])).toEqual([
    [0, " a time", "stop"],
    [1, " a time", "stop"],
  ]);
  const texts = ["", ""];
  let counted: unknown;
  const options = { include_usage: true };
  for await (const chunk of await client.completions.create({ model: "up/a", prompt, n: 2, stream: true, stream_options: options })) {
    for (const { index, text } of chunk.choices) texts[index] += text;
    if (chunk.usage) counted = chunk.usage;
  }
  expect([texts, counted]).toEqual([[" a time", " a time"], usage]);
});

test("text is billed, logged and kept as chats are", async () => {
  const script: Script = (exchange) =>
    (exchange.request.json["stream"] === true ? sse(textStream([" a"], { usage: true })) : json(200, textJson([" a"])))(exchange);
  const { gateway } = await start(
    { a: script },
    { provider: { prices: { a: { in: 100, out: 1000 } } }, config: { log: { content: true }, models: { text: "up/a" } } },
  );
  const whole = await ask(gateway, { model: "text", chorale: { expose: "summary" } });
  expect(Object.fromEntries(whole.headers)).toMatchObject({ "x-chorale-model": "up/a", "x-chorale-cost-usd": "0.0037" });
  expect(await whole.json()).toMatchObject({ model: "text", choices: [{ text: " a" }], chorale: { costUsd: 0.0037 } });
  const response = await ask(gateway, { model: "text", stream: true, chorale: { expose: "summary" } });
  const text = await response.text();
  expect(readText(text)).toMatchObject({ texts: [" a"], wrong: [] });
  expect(text).toContain(": chorale cost-usd=0.0037\n\ndata: [DONE]\n\n");
  const last = text.split("\n\n").findLast((event) => event.startsWith("data: {")) ?? "";
  expect(JSON.parse(last.slice(6))).toMatchObject({ choices: [{ finish_reason: "stop" }], chorale: { costUsd: 0.0037 } });
  const line = { model: "text", leaf: "up/a", status: 200, legs: 1, promptTokens: 7, completionTokens: 3, usd: 0.0037 };
  const said = { messages: prompt, answer: " a" };
  await expect
    .poll(() => gateway.requestLogs)
    .toMatchObject([
      { ...line, ...said, stream: false },
      { ...line, ...said, stream: true },
    ]);
  const record = await gateway.get(`/v1/chorale/requests/${whole.headers.get("x-request-id")}`);
  expect([record.status, await record.json()]).toMatchObject([200, { costUsd: 0.0037 }]);
});

test("the log keeps the first of several answers, whole and streamed", async () => {
  const scripts = { a: json(200, textJson(["a", "b"])), s: sse(textStream(["a", "c"], { n: 2 })) };
  const { gateway } = await start(scripts, { config: { log: { content: true } } });
  await (await ask(gateway, { n: 2 })).text();
  await streamed(gateway, { model: "up/s", n: 2 });
  await expect.poll(() => gateway.requestLogs).toMatchObject([{ answer: "a" }, { answer: "ac" }]);
});

const chatLogprobs = (token: string) => ({ content: [{ token, logprob: -0.5, bytes: [1], top_logprobs: [{ token: "x", logprob: -2 }] }] });
const columns = (token: string, from: number) => ({
  tokens: [token],
  token_logprobs: [-0.5],
  top_logprobs: [{ [token]: -0.5, x: -2 }],
  text_offset: [from],
});

test("log-probabilities in the shape of a chat become columns, whole and streamed", async () => {
  const choice = (token: string, end: string | null) => ({ text: token, index: 0, logprobs: chatLogprobs(token), finish_reason: end });
  const chunks = [choice("a", null), choice("🙂b", null), choice("c", "length")].map((choice) => frame({ ...identity, choices: [choice] }));
  const { gateway } = await start({
    a: json(200, { ...textJson([]), choices: [choice("a", "stop")], timings: { ms: 1 } }),
    s: sse([...chunks, frame("[DONE]")]),
  });
  const whole = await gateway.client().completions.create({ model: "up/a", prompt, logprobs: 1 });
  expect(whole).toMatchObject({
    object: "text_completion",
    choices: [{ text: "a", logprobs: columns("a", 0) }],
    timings: { ms: 1 },
    usage,
  });
  const found: unknown[] = [];
  for await (const chunk of await gateway.client().completions.create({ model: "up/s", prompt, logprobs: 1, stream: true }))
    found.push(...chunk.choices.map(({ logprobs }) => logprobs));
  expect(found).toEqual([columns("a", 0), columns("🙂b", 1), columns("c", 3)]);
});

const chunkOf = (choice: object, more: object = {}) => frame({ ...identity, choices: [choice], ...more });
const full = { text: "", index: 0, logprobs: null, finish_reason: null };

test.each<readonly [string, readonly string[], object]>([
  ["without an index", [frame({ choices: [{ text: "a" }] }), frame({ choices: [{ text: "", finish_reason: "stop" }] })], {}],
  ["with an end of its own words", [chunkOf({ ...full, text: "a", finish_reason: "max_tokens" })], { ends: ["length"] }],
  ["with an unknown end", [chunkOf({ ...full, text: "a", finish_reason: "eos_token" })], {}],
  ["that begins with a null", ["data: null\n\n", ...textStream(["a"], { done: false })], {}],
  ["that goes on after its end", [...textStream(["a"], { done: false }), chunkOf({ ...full, text: "b" })], {}],
  ["with comments and events", [": hi\n\nevent: x\n\n", ...textStream(["a"], { done: false })], {}],
  ["in lines of its own", [`data: {"choices":\ndata: [{"text":"a","finish_reason":"stop"}]}\n\n`], {}],
])("a stream %s is made canonical", async (_, frames, more) => {
  const { gateway } = await start({ a: sse([...frames, frame("[DONE]")]) });
  const text = await streamed(gateway);
  expect(readText(text)).toEqual({ texts: ["a"], ends: ["stop"], usage: undefined, wrong: [], ...more });
  for (const event of text.split("\n\n").filter((event) => event.startsWith("data: {")))
    for (const choice of (JSON.parse(event.slice(6)) as { choices: object[] }).choices)
      expect(Object.keys(choice).toSorted()).toEqual(["finish_reason", "index", "logprobs", "text"]);
});

test.each<readonly [string, Script]>([
  ["[DONE] without an end", sse([...textStream(["a"], { finish: null })])],
  ["an end without [DONE]", sse(textStream(["a"], { done: false }))],
  ["an end, and then a reset", sse(textStream(["a"], { done: false }), { ending: "reset" })],
  ["an end, and then half of a usage chunk", sse([...textStream(["a"], { done: false }), 'data: {"choices":[],"usa'], { ending: "cut" })],
  ["an end without its blank line", sse([textStream(["a"], { done: false }).join("").trimEnd()])],
  ["a whole answer where a stream was asked for", json(200, textJson(["a"]))],
  ["the same over several lines", json(200, JSON.stringify(textJson(["a"]), null, 2).replaceAll("\n", "\r\n"))],
])("%s is a whole answer", async (_, script) => {
  const { gateway } = await start({ a: script });
  const text = await streamed(gateway);
  expect(text).not.toContain("\r");
  expect(readText(text)).toMatchObject({ texts: ["a"], ends: ["stop"], wrong: [] });
});

test.each([[[null, ""]], [[","]], [{ a: 1 }], [7], [null], ['","'], ["[{"]])("an answer whose id is %j gets another", async (id) => {
  const chat = {
    ...textJson([]),
    id,
    object: "chat.completion",
    choices: [{ index: 0, message: { role: "assistant", content: "a" }, finish_reason: "stop" }],
  };
  const { gateway } = await start({ a: json(200, textJson(["a"], { id })), c: json(200, chat) });
  expect(await (await ask(gateway)).json()).toMatchObject({ id: expect.stringMatching(/^cmpl-/), choices: [{ text: "a" }], usage });
  const told = await (await gateway.chat({ model: "up/c" })).json();
  expect(told).toMatchObject({ id: expect.stringMatching(/^chatcmpl-/), choices: [{ message: { content: "a" } }], usage });
});

test("the usage of each choice is summed where none is told of all", async () => {
  const ends = [0, 1].map((index) => chunkOf({ ...full, text: "a", index, finish_reason: "stop" }, { usage }));
  const { gateway } = await start({ a: sse([...ends, frame("[DONE]")]) });
  const text = await streamed(gateway, { prompt: ["a", "b"], stream_options: { include_usage: true } });
  const { usage: sum } = readText(text);
  expect(sum).toMatchObject({ prompt_tokens: 14, completion_tokens: 6, total_tokens: 20 });
  expect(text.match(/"usage":\{/g)).toHaveLength(1);
});

/** Text that the client has before the rest is read. */
const shown = [...textStream(["a"]).slice(0, 1), 20];

test.for<readonly [string, Script, object?]>([
  ["cut in mid text", sse(textStream(["a", "b"]).slice(0, 1), { ending: "cut" })],
  ["closed in mid text", sse(textStream(["a", "b"]).slice(0, 2), {})],
  ["reset in mid text", sse(textStream(["a", "b"]).slice(0, 1), { ending: "reset" })],
  ["closed before its second choice", sse(textStream(["a"], { done: false })), { n: 2 }],
  ["closed before its second prompt", sse(textStream(["a"], { done: false })), { prompt: ["a", "b"] }],
  ["that says an error", sse([...shown, frame(errorJson("no more"))])],
  ["that says an error in one piece with its text", sse([...shown, chunkOf({ ...full, text: "b" }) + frame(errorJson("no more"))])],
  ["that ends with an error", sse([...shown, chunkOf({ ...full, finish_reason: "error" }), frame("[DONE]")])],
  ["of garbage after its text", sse([...shown, "data: {oops\n\n", frame("[DONE]")])],
  ["of something else before [DONE]", sse([...shown, frame({ detail: null }), frame("[DONE]")])],
  ["of a chat after its text", sse([...shown, chunkOf({ index: 0, delta: { content: "b" } }), frame("[DONE]")])],
  ["silent in mid text", sse(textStream(["a"]).slice(0, 1), { ending: "stall" })],
])("a stream %s never looks whole", async ([, script, body = {}]) => {
  const { gateway } = await start({ a: script }, { provider: { timeouts: { ...quick, idleMs: 150 } } });
  const { text, broken } = await readPieces(await ask(gateway, { stream: true, ...body }));
  expect(broken).toBe(false);
  expect(text).not.toContain("[DONE]");
  const datas = text.split("\n\n").filter((event) => event.startsWith("data: "));
  expect(JSON.parse(datas.at(-1)?.slice(6) ?? "")).toMatchObject({ error: { message: expect.any(String), type: expect.any(String) } });
  expect(datas.length).toBeGreaterThan(1);
  await expect.poll(() => gateway.requestLogs).toMatchObject([{ stream: true, error: expect.any(String), legs: 1 }]);
  const reading = async () => {
    for await (const _ of await gateway.client().completions.create({ model: "up/a", prompt, ...body, stream: true })) continue;
  };
  await expect(reading()).rejects.toThrow();
});

test.each<readonly [string, Script, number, string]>([
  ["a page", html(200), 502, "upstream_protocol"],
  ["no JSON", json(200, "oops"), 502, "upstream_protocol"],
  ["a chat's answer", json(200, { choices: [{ index: 0, message: { content: "a" } }] }), 502, "upstream_protocol"],
  ["no choices", json(200, { ...identity, choices: [] }), 502, "upstream_protocol"],
  ["a choice that is none", json(200, { ...identity, choices: [{ text: "a" }, null] }), 502, "upstream_protocol"],
  ["an error with status 200", json(200, errorJson("no", { code: "bad" })), 400, "bad"],
  ["a refusal", json(400, errorJson("no", { param: "best_of", code: "bad" })), 400, "bad"],
])("%s from an upstream is told as a failure, whole and streamed", async (_, script, status, code) => {
  const { gateway } = await start({ a: script });
  for (const stream of [false, true]) {
    const response = await ask(gateway, { stream });
    const text = await response.text();
    expect(validateError(text, response.headers)).toEqual([]);
    expect([response.status, JSON.parse(text)]).toMatchObject([status, { error: { code } }]);
  }
});

test("what fails before its text is tried again", async () => {
  const { gateway, upstream } = await start(
    { a: [reset(), json(500, {}), sse(textStream(["a"]))] },
    { provider: { retry: { attempts: 3, baseMs: 1 } } },
  );
  expect(readText(await streamed(gateway))).toMatchObject({ texts: ["a"], wrong: [] });
  expect(upstream.requests).toHaveLength(3);
});

test("a client that leaves closes the upstream's socket, before and in mid text", async () => {
  const { gateway, upstream } = await start({ a: stall(), s: sse(textStream(["a"]).slice(0, 1), { ending: "stall" }) });
  const leave = new AbortController();
  const whole = ask(gateway, {}, { signal: leave.signal });
  const { closed } = await upstream.request(0);
  leave.abort();
  await expect(whole).rejects.toThrow();
  expect((await closed).complete).toBe(false);
  for await (const chunk of await gateway.client().completions.create({ model: "up/s", prompt, stream: true })) {
    expect(chunk.choices[0]?.text).toBe("a");
    break;
  }
  expect((await (await upstream.request(1)).closed).complete).toBe(false);
  const gone = { error: "client_closed" };
  await expect.poll(() => gateway.requestLogs).toMatchObject([gone, { ...gone, completionTokens: 1 }]);
});

test.each<readonly [string, object, string]>([
  ["no prompt", { prompt: undefined }, "prompt"],
  ["messages in place of a prompt", { prompt: undefined, messages: [] }, "prompt"],
  ["an empty array", { prompt: [] }, "prompt"],
  ["a prompt that is an object", { prompt: {} }, "prompt"],
  ["texts and tokens together", { prompt: ["a", [1]] }, "prompt[0]"],
  ["a token that is no integer", { prompt: [[1], [0.5]] }, "prompt[1]"],
  ["2,049 prompts", { prompt: Array.from({ length: 2049 }, () => "a") }, "prompt"],
  ["max_tokens -1", { max_tokens: -1 }, "max_tokens"],
  ["logprobs 6", { logprobs: 6 }, "logprobs"],
  ["logprobs true", { logprobs: true }, "logprobs"],
  ["best_of 21", { best_of: 21 }, "best_of"],
  ["best_of below n", { n: 2, best_of: 1 }, "best_of"],
  ["best_of of a stream", { best_of: 2, stream: true }, "best_of"],
  ["n 129", { n: 129 }, "n"],
  ["echo of text", { echo: "yes" }, "echo"],
  ["a suffix that is no text", { suffix: 1 }, "suffix"],
  ["temperature 3", { temperature: 3 }, "temperature"],
  ["five stops", { stop: ["1", "2", "3", "4", "5"] }, "stop"],
  ["stream_options without a stream", { stream_options: { include_usage: true } }, "stream_options"],
  ["include_usage of text", { stream: true, stream_options: { include_usage: "yes" } }, "stream_options.include_usage"],
  ["max_completion_tokens 0", { max_completion_tokens: 0 }, "max_completion_tokens"],
  ["stream of text", { stream: "yes" }, "stream"],
  ["no model", { model: undefined }, "model"],
])("%s is refused by name", async (_, fields, param) => {
  const { gateway, upstream } = await start({ a: json(200, textJson(["a"])) });
  const response = await ask(gateway, fields);
  const text = await response.text();
  expect(validateError(text, response.headers)).toEqual([]);
  expect([response.status, JSON.parse(text)]).toMatchObject([400, { error: { param } }]);
  expect(upstream.requests).toHaveLength(0);
});

test("the bound of a chat is told by the name that it has here", async () => {
  const { gateway, upstream } = await start({ a: json(200, textJson(["a"])) });
  for (const body of [{ max_completion_tokens: 7 }, { max_completion_tokens: 7, max_tokens: 3 }]) await ask(gateway, body);
  const bounds = upstream.requests.map(({ json }) => [json["max_tokens"], json["max_completion_tokens"]]);
  expect(bounds).toEqual([
    [7, undefined],
    [3, undefined],
  ]);
});

test("a field that a server takes and does not heed is refused by name", async () => {
  const { gateway, upstream } = await start({ a: json(200, textJson(["a"])) }, { provider: { dialect: "llama.cpp" } });
  for (const [fields, param] of [
    [{ echo: true }, "echo"],
    [{ suffix: "x" }, "suffix"],
    [{ best_of: 2 }, "best_of"],
  ] as const) {
    const response = await ask(gateway, fields);
    expect([response.status, await response.json()]).toMatchObject([400, { error: { param, code: "unsupported_parameter" } }]);
  }
  expect((await ask(gateway, { echo: false, suffix: "", best_of: 1 })).status).toBe(200);
  expect(upstream.requests).toHaveLength(1);
});
