import OpenAI from "openai";
import { Client } from "undici";
import { describe, expect, onTestFinished, test } from "vitest";
import { accumulate, validateStream } from "./stream-validator.ts";
import {
  after,
  answer,
  chunkStream,
  completionJson,
  cut,
  hangUp,
  html,
  json,
  raw,
  refusedUrl,
  reset,
  sse,
  stall,
  startUpstream,
  usage,
  type Scripts,
  type StreamOptions,
} from "./upstream.ts";

const start = (scripts: Scripts) => startUpstream(scripts, onTestFinished);

const post = (url: string, body: object, init: RequestInit = {}) =>
  fetch(`${url}/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
    ...init,
  });

describe("a scripted upstream", () => {
  test("picks its script by model, and takes one of a list for each request", async () => {
    const { url } = await start({ a: json(200, completionJson("from a")), b: [json(503, {}), json(200, completionJson("from b"))] });
    const statuses: number[] = [];
    for (const model of ["a", "b", "b", "b", "c"]) statuses.push((await post(url, { model })).status);
    expect(statuses).toEqual([200, 503, 200, 200, 404]);
  });

  test("lists its models, and takes a model from a path", async () => {
    const { url, origin } = await start({ a: json(200, {}), "POST /count": json(202, {}), "*": html(502) });
    const list = (await (await fetch(`${url}/models`)).json()) as { data: { id: string }[] };
    expect(list.data.map(({ id }) => id)).toEqual(["a"]);
    expect((await fetch(`${origin}/v1beta/models/a:generateContent`, { method: "POST" })).status).toBe(200);
    expect((await fetch(`${origin}/count?by=1`, { method: "POST" })).status).toBe(202);
    expect((await post(url, { model: "other" })).status).toBe(502);
  });

  test("records requests, and that they shared a connection", async () => {
    const upstream = await start({ a: json(200, completionJson("yes")) });
    const client = new Client(upstream.origin);
    onTestFinished(() => client.destroy());
    for (const text of ["é", "2"]) {
      const response = await client.request({ method: "POST", path: "/v1/chat/completions", body: JSON.stringify({ model: "a", text }) });
      await response.body.dump();
    }
    const [first, second] = upstream.requests;
    expect(first).toMatchObject({ method: "POST", path: "/v1/chat/completions", model: "a", json: { text: "é" }, connection: 0 });
    expect(first?.body).toEqual(Buffer.from('{"model":"a","text":"é"}'));
    expect(second?.connection).toBe(0);
    expect(upstream.connections).toBe(1);
  });

  test("tells that a client left in mid stream", async () => {
    const upstream = await start({ a: sse(chunkStream(["Hel", "lo"]), { ending: "stall" }) });
    const leaving = new AbortController();
    const response = await post(upstream.url, { model: "a" }, { signal: leaving.signal });
    await response.body?.getReader().read();
    const leftMs = performance.now();
    leaving.abort();
    const { atMs, complete } = await (await upstream.request(0)).closed;
    expect(complete).toBe(false);
    expect(atMs).toBeGreaterThanOrEqual(leftMs);
    await expect.poll(() => upstream.open).toBe(0);
  });

  test("writes on time: a pause delays what follows and nothing else", async () => {
    const upstream = await start({ a: sse(["data: 1\n\n", 50, "data: 2\n\n"]) });
    expect(await (await post(upstream.url, { model: "a" })).text()).toBe("data: 1\n\ndata: 2\n\n");
    const [first = 0, second = 0] = upstream.requests[0]?.writesMs ?? [];
    expect(second - first).toBeGreaterThan(45);
  });

  test("writes any head", async () => {
    const { url } = await start({ a: answer({ status: 429, headers: { "retry-after": "7" }, writes: ["slow ", Buffer.from("down")] }) });
    const response = await post(url, { model: "a" });
    expect([response.status, response.headers.get("retry-after"), await response.text()]).toEqual([429, "7", "slow down"]);
  });

  test("runs a script of the test's own, and replaces scripts between requests", async () => {
    const upstream = await start({ a: ({ request, response }) => void response.writeHead(201).end(request.model) });
    expect(await (await post(upstream.url, { model: "a" })).text()).toBe("a");
    upstream.script({ a: html(500) });
    expect((await post(upstream.url, { model: "a" })).headers.get("content-type")).toBe("text/html");
  });

  test.each(["gzip", "br"] as const)("encodes with %s and flushes each write", async (encoding) => {
    const frames = chunkStream(["Hel", "lo"]);
    const { url } = await start({ a: sse(frames, { encoding, everyMs: 5 }) });
    const response = await post(url, { model: "a" });
    expect(response.headers.get("content-encoding")).toBe(encoding);
    expect(await response.text()).toBe(frames.join(""));
  });

  test.each([
    ["cuts in mid stream", cut(chunkStream(["Hel", "lo"]), 2), /terminated/],
    ["resets in mid stream", sse(chunkStream(["Hel"]), { ending: "reset" }), /terminated/],
    ["resets before a head", reset(), /fetch failed/],
    ["hangs up before a head", hangUp(), /fetch failed/],
    ["answers what is not HTTP", raw("SSH-2.0-OpenSSH_9.6\r\n"), /fetch failed/],
  ])("%s", async (_, script, message) => {
    const { url } = await start({ a: script });
    await expect(post(url, { model: "a" }).then((response) => response.text())).rejects.toThrow(message);
  });

  test("delivers what it wrote before it cuts", async () => {
    const frames = chunkStream(["x".repeat(300_000), "y"]);
    const { url } = await start({ a: cut(frames, 2) });
    let length = 0;
    const read = async () => {
      for await (const chunk of (await post(url, { model: "a" })).body as unknown as AsyncIterable<Uint8Array>) length += chunk.length;
    };
    await expect(read()).rejects.toThrow("terminated");
    expect(length).toBe(frames.slice(0, 2).join("").length);
  });

  test.each([
    ["before a head", stall()],
    ["after a head", stall({ after: "head" })],
    ["for longer than one waits", after(60_000, json(200, {}))],
  ])("stalls %s", async (_, script) => {
    const upstream = await start({ a: script });
    const leaving = new AbortController();
    const given = post(upstream.url, { model: "a" }, { signal: leaving.signal }).then((response) => response.text());
    const request = await upstream.request(0);
    leaving.abort();
    await expect(given).rejects.toThrow(/aborted/);
    expect((await request.closed).complete).toBe(false);
  });

  test("has a port that refuses", async () => {
    const error = await post(await refusedUrl(onTestFinished), { model: "a" }).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ cause: { code: "ECONNREFUSED" } });
  });

  test("closes what is open", async () => {
    const upstream = await startUpstream({ a: stall() });
    const given = post(upstream.url, { model: "a" });
    await upstream.request(0);
    await upstream.close();
    await expect(given).rejects.toThrow("fetch failed");
    expect(upstream.open).toBe(0);
  });
});

describe("the stream builder", () => {
  const said = (frames: readonly string[]) => accumulate(frames.join(""));
  const tools = [
    { id: "call_1", name: "add", arguments: ['{"a":', "1}"] },
    { id: "call_2", name: "sub", arguments: ["{}"] },
  ];

  test.each<[string, StreamOptions]>([
    ["plain", {}],
    ["with usage", { usage: true }],
    ["with log-probabilities", { logprobs: true }],
    ["with two choices", { n: 2, usage: true }],
    ["with tool calls", { tools }],
    ["with reasoning", { reasoning: ["so ", "then"] }],
  ])("writes a valid stream: %s", (_, options) => {
    expect(validateStream(chunkStream(["Hel", "lo 😀"], options).join(""), { usage: options.usage === true })).toEqual([]);
  });

  test.each<[string, StreamOptions]>([
    ["CRLF", { newline: "\r\n" }],
    ["CR", { newline: "\r" }],
    ["no space", { space: false }],
    ["comments", { comments: true }],
    ["data over several lines", { pretty: true }],
    ["all of it", { newline: "\r\n", space: false, comments: true, pretty: true }],
  ])("says the same in another style: %s", (_, style) => {
    const texts = ["Hel", "lo 😀\n"];
    expect(said(chunkStream(texts, { ...style, usage: true }))).toEqual(said(chunkStream(texts, { usage: true })));
  });

  test("speaks to the official client, split at every byte", async () => {
    const frames = chunkStream(["Hel", "lo 😀"], { usage: true, tools, logprobs: true });
    const { url } = await start({ a: sse(frames, { split: 1 }) });
    const client = new OpenAI({ baseURL: url, apiKey: "sk-test", maxRetries: 0 });
    const stream = client.chat.completions.stream({ model: "a", messages: [{ role: "user", content: "Hi" }] });
    const completion = await stream.finalChatCompletion();
    const { choices } = accumulate(frames.join(""));
    const calls = tools.map((call) => ({
      id: call.id,
      type: "function",
      function: { name: call.name, arguments: call.arguments.join("") },
    }));
    expect(completion.choices[0]?.message).toMatchObject({ content: "Hello 😀", tool_calls: calls });
    expect(choices[0]?.message).toMatchObject({ content: "Hello 😀", tool_calls: calls });
    expect(completion.choices[0]?.finish_reason).toBe(choices[0]?.finish_reason);
    expect(completion.choices[0]?.logprobs?.content).toHaveLength(2);
    expect(completion.choices[0]?.logprobs).toEqual(choices[0]?.logprobs);
  });

  test("speaks to the official client in one piece", async () => {
    const { url } = await start({ a: json(200, completionJson("Hello")) });
    const client = new OpenAI({ baseURL: url, apiKey: "sk-test", maxRetries: 0 });
    const completion = await client.chat.completions.create({ model: "a", messages: [{ role: "user", content: "Hi" }] });
    expect(completion.choices[0]?.message.content).toBe("Hello");
    expect(completion.usage).toEqual(usage);
  });
});
