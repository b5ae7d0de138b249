/** `POST /v1/completions` over models that chat: each prompt is what a user says. */
import { expect, onTestFinished, test } from "vitest";
import { quick, readPieces, startPair, type Gateway, type PairOptions } from "../support/gateway.ts";
import { post } from "../support/post.ts";
import { validateError } from "../support/stream-validator.ts";
import { chunkStream, completionJson, errorJson, frame, json, sse, stall, usage, type Script, type Scripts } from "../support/upstream.ts";
import { readText } from "./text.ts";

const prompt = "Once upon";

const start = (scripts: Scripts, options: Omit<PairOptions, "onFinished"> = {}) =>
  startPair(scripts, { onFinished: onTestFinished, ...options });
const ask = (gateway: Gateway, body: object = {}) => post(gateway, "/v1/completions", { model: "up/a", prompt, ...body });
const streamed = async (gateway: Gateway, body: object = {}) => (await ask(gateway, { stream: true, ...body })).text();

/** Says what it was asked, in as many choices as were asked for. */
const echo: Script = (exchange) => {
  const { messages, stream, n = 1 } = exchange.request.json as { messages: { content: string }[]; stream?: boolean; n?: number };
  const text = `${messages.at(-1)?.content}!`;
  if (stream) return sse(chunkStream([text], { n, usage: true }))(exchange);
  const choice = { message: { role: "assistant", content: text, refusal: null }, logprobs: null, finish_reason: "stop" };
  return json(200, { ...completionJson(text), choices: Array.from({ length: n }, (_, index) => ({ index, ...choice })) })(exchange);
};

test("a prompt is one message of the user's, and every other field stays what it was", async () => {
  const { gateway, upstream } = await start({ a: echo });
  const fields = `"max_tokens":5,"temperature":0.50,"stop":["x"],"seed":12345678901234567890,"user":"ada","min_p":0.10`;
  const nothing = `"n":1,"echo":false,"suffix":null,"best_of":1,"logprobs":null`;
  const response = await post(gateway, "/v1/completions", `{"model":"up/a","prompt":"Once upon",${fields},${nothing}}`);
  expect(await response.json()).toEqual({
    id: expect.stringMatching(/^cmpl-[0-9a-f]{32}$/),
    object: "text_completion",
    created: expect.any(Number),
    model: "up/a",
    choices: [{ text: "Once upon!", index: 0, logprobs: null, finish_reason: "stop" }],
    usage,
  });
  const [request] = upstream.requests;
  expect(request?.path).toBe("/v1/chat/completions");
  expect(request?.json).toMatchObject({ model: "a", messages: [{ role: "user", content: prompt }] });
  const sent = request?.body.toString() ?? "";
  for (const field of fields.split(/,(?=")/)) expect(sent).toContain(field);
  expect(sent).not.toMatch(/prompt|echo|suffix|best_of|logprobs/);
});

test("A-CMP-01 a chat's stream is told as text, for a leaf and for a panel", async () => {
  const config = {
    models: {
      pair: { kind: "fuse", members: ["up/a", "up/b"], writer: "up/w" },
      exam: { kind: "vote", members: ["up/a", "up/b", "up/c"] },
    },
  };
  const words = sse(chunkStream(["two ", "words"], { usage: true }));
  const { gateway } = await start({ a: echo, b: echo, c: echo, s: words, w: words }, { config });
  for (const [model, text] of [
    ["up/s", "two words"],
    ["pair", "two words"],
    ["exam", "Once upon!"],
  ] as const) {
    const answer = await streamed(gateway, { model, stream_options: { include_usage: true } });
    const { texts, ends, usage, wrong } = readText(answer);
    expect([texts, ends, wrong]).toEqual([[text], ["stop"], []]);
    expect(usage).toHaveProperty("total_tokens");
    const whole = await gateway.client().completions.create({ model: model === "up/s" ? "up/a" : model, prompt });
    expect([whole.object, whole.choices.length, whole.choices[0]?.finish_reason]).toEqual(["text_completion", 1, "stop"]);
  }
  expect(readText(await streamed(gateway, { model: "up/s" })).usage).toBeUndefined();
});

test("a refusal is text, what was thought is left out, and an end of a chat's own is a stop", async () => {
  const refused = { message: { content: null, refusal: "No." }, choice: { finish_reason: "content_filter" } };
  const frames = chunkStream(["a"], { reasoning: ["hm"], finish: "function_call" });
  const { gateway } = await start({ a: json(200, completionJson(null, refused)), s: sse(frames) });
  const whole = await gateway.client().completions.create({ model: "up/a", prompt });
  expect(whole.choices).toEqual([{ text: "No.", index: 0, logprobs: null, finish_reason: "content_filter" }]);
  expect(readText(await streamed(gateway, { model: "up/s" }))).toEqual({ texts: ["a"], ends: ["stop"], usage: undefined, wrong: [] });
});

test("log-probabilities are columns, whose offsets go on from chunk to chunk", async () => {
  const { gateway, upstream } = await start({ a: sse(chunkStream(["ab", "🙂", "c"], { logprobs: true }), { everyMs: 10 }) });
  const found: unknown[] = [];
  for await (const chunk of await gateway.client().completions.create({ model: "up/a", prompt, logprobs: 1, stream: true }))
    found.push(...chunk.choices.flatMap(({ logprobs }) => (logprobs ? [logprobs] : [])));
  const column = (token: string, from: number) => ({
    tokens: [token],
    token_logprobs: [-0.25],
    top_logprobs: [{ [token]: -0.25 }],
    text_offset: [from],
  });
  expect(found).toEqual([column("ab", 0), column("🙂", 2), column("c", 3)]);
  expect(upstream.requests[0]?.json).toMatchObject({ logprobs: true, top_logprobs: 1 });
});

const three = { prompt: ["one", "two", "three"], n: 2 };
const said = ["one!", "one!", "two!", "two!", "three!", "three!"];

test("several prompts are as many chats, whose answers follow one another", async () => {
  const { gateway, upstream } = await start({ a: echo }, { provider: { prices: { a: { in: 100, out: 1000 } } } });
  const response = await ask(gateway, { ...three, chorale: { expose: "summary" } });
  const whole = (await response.json()) as { choices: { text: string; index: number }[] };
  expect(whole.choices.map(({ text }) => text)).toEqual(said);
  expect(whole.choices.map(({ index }) => index)).toEqual([0, 1, 2, 3, 4, 5]);
  expect(whole).toMatchObject({ usage: { prompt_tokens: 21, completion_tokens: 9, total_tokens: 30 }, chorale: { costUsd: 0.0111 } });
  expect(response.headers.get("x-chorale-cost-usd")).toBe("0.0111");
  const options = { include_usage: true };
  const text = await streamed(gateway, { ...three, stream_options: options, chorale: { expose: "summary" } });
  expect(readText(text)).toMatchObject({ texts: said, usage: { total_tokens: 30 }, wrong: [] });
  expect(text).toContain(": chorale cost-usd=0.0111\n\n");
  expect(upstream.requests).toHaveLength(6);
  expect(upstream.requests.every(({ json }) => json["n"] === 2)).toBe(true);
  const line = { legs: 3, promptTokens: 21, completionTokens: 9, usd: 0.0111 };
  await expect.poll(() => gateway.requestLogs).toMatchObject([line, { ...line, stream: true }]);
});

test("several prompts over a panel are as many panels", async () => {
  const config = { models: { exam: { kind: "vote", members: ["up/a", "up/b", "up/c"] } } };
  const { gateway } = await start({ a: echo, b: echo, c: echo }, { config });
  const { choices } = await gateway.client().completions.create({ model: "exam", prompt: ["one", "two"] });
  expect(choices.map(({ text, index }) => [index, text])).toEqual([
    [0, "one!"],
    [1, "two!"],
  ]);
});

test("one prompt without an answer fails them all, and ends the others", async () => {
  const script: Script = (exchange) =>
    (exchange.request.body.includes("bad") ? json(400, errorJson("no", { param: "messages" })) : stall())(exchange);
  const { gateway, upstream } = await start({ a: script });
  const response = await ask(gateway, { prompt: ["slow", "bad"] });
  expect([response.status, await response.json()]).toMatchObject([400, { error: { message: "no", param: "prompt" } }]);
  const slow = upstream.requests.find(({ body }) => body.includes("slow"));
  expect((await slow?.closed)?.complete).toBe(false);
});

test("a client that leaves ends every prompt", async () => {
  const { gateway, upstream } = await start({ a: stall() });
  const leave = new AbortController();
  const left = gateway.client().completions.create({ model: "up/a", prompt: ["one", "two", "three"] }, { signal: leave.signal });
  const asked = await Promise.all([0, 1, 2].map((index) => upstream.request(index)));
  leave.abort();
  await expect(left).rejects.toThrow();
  for (const { closed } of asked) expect((await closed).complete).toBe(false);
  await expect.poll(() => gateway.requestLogs).toMatchObject([{ error: "client_closed", legs: 3 }]);
});

test("heartbeats that are data are about an answer that has not ended", async () => {
  const script: Script = (exchange) =>
    (exchange.request.body.includes("slow") ? sse([150, ...chunkStream(["b"])]) : sse(chunkStream(["a"])))(exchange);
  const { gateway } = await start({ a: script }, { config: { server: { heartbeat: "data", heartbeatMs: 30 } } });
  const text = await streamed(gateway, { prompt: ["quick", "slow"] });
  expect(readText(text)).toMatchObject({ texts: ["a", "b"], ends: ["stop", "stop"], wrong: [] });
  expect(text).toContain('{"text":"","index":1,"logprobs":null,"finish_reason":null}');
});

test("not more than eight prompts are under way at once", async () => {
  let open = 0;
  let most = 0;
  const waiting: (() => void)[] = [];
  const script: Script = async (exchange) => {
    open += 1;
    most = Math.max(most, open);
    // Each of the first eight waits for the eighth.
    await new Promise<void>((resolve) => {
      waiting.push(resolve);
      if (waiting.length >= 8) for (const go of waiting) go();
    });
    open -= 1;
    await echo(exchange);
  };
  const { gateway } = await start({ a: script });
  const prompts = Array.from({ length: 20 }, (_, index) => `p${index}`);
  const { choices } = await gateway.client().completions.create({ model: "up/a", prompt: prompts });
  expect(choices.map(({ text }) => text)).toEqual(prompts.map((prompt) => `${prompt}!`));
  expect(most).toBe(8);
});

test.for<readonly [string, Script, object?]>([
  ["cut in mid text", sse(chunkStream(["a", "b"]).slice(0, 2), { ending: "cut" })],
  ["that says an error", sse([...chunkStream(["a"]).slice(0, 2), 20, frame({ error: { message: "no" } })])],
  ["cut in its second prompt", echo, { prompt: ["one", "cut"] }],
])("a stream %s never looks whole", async ([, script, body = {}]) => {
  const cut = sse(chunkStream(["c"]).slice(0, 2), { ending: "cut" });
  const either: Script = (exchange) => (exchange.request.body.includes('"cut"') ? cut : script)(exchange);
  const { gateway } = await start({ a: either }, { provider: { timeouts: quick } });
  const { text } = await readPieces(await ask(gateway, { stream: true, ...body }));
  expect(text).not.toContain("[DONE]");
  expect(text).toMatch(/data: \{"error":\{.*\}\}\n\n$/);
  await expect.poll(() => gateway.requestLogs).toMatchObject([{ stream: true, error: expect.any(String) }]);
});

test.each<readonly [string, object, string]>([
  ["a suffix", { suffix: " end" }, "suffix"],
  ["echo", { echo: true }, "echo"],
  ["best_of", { best_of: 3 }, "best_of"],
  ["max_tokens 0", { max_tokens: 0 }, "max_tokens"],
  ["tokens", { prompt: [1, 2] }, "prompt"],
  ["lists of tokens", { prompt: [[1], [2]] }, "prompt"],
  ["129 chats", { prompt: ["a", "b", "c"], n: 43 }, "prompt"],
  ["tools", { tools: [{ type: "function", function: { name: "add" } }] }, "tools"],
  ["audio", { modalities: ["audio"] }, "modalities"],
  ["log-probabilities where there are none", { model: "mistral/a", logprobs: 1 }, "logprobs"],
])("what a chat can not do is refused by name: %s", async (_, fields, param) => {
  const config = { providers: { mistral: { kind: "openai", dialect: "mistral", baseUrl: "http://127.0.0.1:9/v1", apiKey: "x" } } };
  const { gateway, upstream } = await start({ a: echo }, { config });
  for (const stream of [false, true]) {
    const response = await ask(gateway, { ...fields, stream });
    const text = await response.text();
    expect(validateError(text, response.headers)).toEqual([]);
    expect([response.status, JSON.parse(text)]).toMatchObject([400, { error: { param } }]);
  }
  expect(upstream.requests).toHaveLength(0);
});

test("an upstream's words on messages are told as words on the prompt", async () => {
  const long = errorJson("This model's maximum context length is 10 tokens, see 'messages'.", {
    param: "messages",
    code: "context_length_exceeded",
  });
  const { gateway } = await start({ a: json(400, long) });
  const response = await ask(gateway);
  expect([response.status, await response.json()]).toMatchObject([400, { error: { param: "prompt", code: "context_length_exceeded" } }]);
});

test("a key's budget holds what the prompts may cost together, and no more", async () => {
  // 100 prompts of 1,000 bytes and 10 tokens to each: 0.026 for the prompts, 0.01 for the answers.
  const prices = { a: { in: 1, out: 10 } };
  const key = "sk-chorale-budget-0123456789";
  const config = { keys: [{ name: "small", key, budget: { usd: 0.05, per: "day" } }] };
  const { gateway } = await start({ a: echo }, { provider: { prices }, config });
  const init = { headers: { authorization: `Bearer ${key}` } };
  const send = (max_tokens: number) =>
    post(gateway, "/v1/completions", { model: "up/a", prompt: Array.from({ length: 100 }, () => "x".repeat(1000)), max_tokens }, init);
  expect((await send(10)).status).toBe(200);
  const refused = await send(1000);
  expect([refused.status, await refused.json()]).toMatchObject([429, { error: { code: "insufficient_quota" } }]);
});

test("limits of a key count a request for text as any other", async () => {
  const key = "sk-chorale-limited-0123456789";
  const config = { keys: [{ name: "slow", key, models: ["up/a"], limits: { requestsPerMinute: 1 } }] };
  const { gateway } = await start({ a: echo, b: echo }, { config });
  const init = { headers: { authorization: `Bearer ${key}` } };
  const send = (model: string) => post(gateway, "/v1/completions", { model, prompt }, init);
  expect([(await send("up/b")).status, (await send("up/a")).status, (await send("up/a")).status]).toEqual([404, 200, 429]);
});
