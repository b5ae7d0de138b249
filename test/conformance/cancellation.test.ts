import { replacedSockets } from "../../src/upstream/post.ts";
import { connect } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { systemClock } from "../../src/model/clock.ts";
import { openPools } from "../../src/upstream/pools.ts";
import { Exchange } from "../../src/upstream/post.ts";
import { clientKey, messages, parseRaw, quick, readPieces, sendRaw, startPair, type PairOptions } from "../support/gateway.ts";
import { startLoopClock } from "../support/loop-clock.ts";
import { accumulate, validateError, validateStream } from "../support/stream-validator.ts";
import {
  after,
  chunkStream,
  completionJson,
  errorJson,
  frame,
  hangUp,
  json,
  refusedUrl,
  reset,
  sse,
  stall,
  type Scripts,
} from "../support/upstream.ts";

const start = (scripts: Scripts, options: Omit<PairOptions, "onFinished"> = {}) =>
  startPair(scripts, { onFinished: onTestFinished, ...options });

const frames = chunkStream(["2+2", " is", " 4"]);
const forever = sse(frames.slice(0, 2), { ending: "stall" });

test("A-RTY-01 a client that leaves mid stream closes the upstream's socket", async () => {
  const { gateway, upstream } = await start({ s: forever });
  const stream = await gateway.client().chat.completions.create({ model: "up/s", messages: [...messages], stream: true });
  const clock = startLoopClock(onTestFinished);
  let leftMs = 0;
  for await (const chunk of stream) {
    if (!chunk.choices[0]?.delta.content) continue;
    leftMs = performance.now();
    break;
  }
  const { atMs, complete } = await (await upstream.request(0)).closed;
  expect(complete).toBe(false);
  expect(clock.between(leftMs, atMs)).toBeLessThan(100);
  await expect.poll(() => gateway.requestLogs[0]).toMatchObject({ error: "client_closed" });
});

const vote = { models: { exam: { kind: "vote", members: ["up/a", "up/b", "up/c"] } } };

test.each<readonly [string, string, boolean, Scripts]>([
  ["before the head", "up/a", false, { a: stall() }],
  ["before the head of a stream", "up/a", true, { a: stall() }],
  ["between head and first token", "up/a", true, { a: stall({ after: "head" }) }],
  ["while a vote of three waits", "exam", false, { a: stall(), b: stall(), c: stall({ after: "head" }) }],
  ["while a streamed vote waits for its last", "exam", true, { a: json(200, completionJson("A")), b: stall(), c: stall() }],
])("A-RTY-01 a client that leaves %s closes every upstream socket", async (_, model, stream, scripts) => {
  const { gateway, upstream } = await start(scripts, { config: vote });
  const body = JSON.stringify({ model, messages, stream });
  const socket = connect(gateway.port, "127.0.0.1");
  socket.write(
    `POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${clientKey}\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
  );
  const count = model === "exam" ? 3 : 1;
  const requests = await Promise.all(Array.from({ length: count }, (_, index) => upstream.request(index)));
  const pending = requests.filter((request) => scripts[request.model ?? ""] !== scripts["a"] || count === 1 || !stream);
  const clock = startLoopClock(onTestFinished);
  const leftMs = performance.now();
  socket.destroy();
  for (const request of pending) {
    const { atMs, complete } = await request.closed;
    expect(complete).toBe(false);
    expect(clock.between(leftMs, atMs)).toBeLessThan(100);
  }
  await expect.poll(() => gateway.requestLogs).toHaveLength(1);
  expect(gateway.requestLogs[0]).toMatchObject({ status: 499, error: "client_closed" });
});

test("A-RTY-02 a refused connection is 502 at once", async () => {
  const baseUrl = await refusedUrl(onTestFinished);
  const { gateway } = await start({}, { provider: { baseUrl, timeouts: quick } });
  for (const stream of [false, true]) {
    const startMs = performance.now();
    const response = await gateway.chat({ stream });
    const text = await response.text();
    expect(response.status).toBe(502);
    expect(validateError(text, response.headers, [new URL(baseUrl).port])).toEqual([]);
    expect(performance.now() - startMs).toBeLessThan(1000);
  }
});

test.each([false, true])("A-RTY-02 an upstream that never answers is 504 at the limit (stream: %s)", async (stream) => {
  const { gateway, upstream } = await start(
    { a: stall(), h: stall({ after: "head" }) },
    { provider: { timeouts: { ...quick, firstTokenMs: 300 } } },
  );
  for (const [index, model] of (stream ? ["up/a", "up/h"] : ["up/a"]).entries()) {
    const startMs = performance.now();
    const response = await gateway.chat({ model, stream });
    const text = await response.text();
    expect(response.status).toBe(504);
    expect(validateError(text, response.headers)).toEqual([]);
    expect(performance.now() - startMs).toBeGreaterThan(290);
    expect(performance.now() - startMs).toBeLessThan(1000);
    expect((await (await upstream.request(index)).closed).complete).toBe(false);
  }
});

test("A-RTY-02 a request's own deadline is 504, and can not be widened", async () => {
  const { gateway, upstream } = await start({ a: stall() });
  const response = await gateway.chat({ chorale: { deadlineMs: 150 } });
  const text = await response.text();
  expect([response.status, (JSON.parse(text) as { error: { code: string } }).error.code]).toEqual([504, "deadline_exceeded"]);
  expect(validateError(text, response.headers)).toEqual([]);
  await (
    await upstream.request(0)
  ).closed;
});

test("the error of one model tells how often it was tried", async () => {
  const config = { models: { stubborn: { kind: "retry", model: "up/a", attempts: 3, baseMs: 0 } } };
  const { gateway, upstream } = await start({ a: json(500, errorJson("boom")) }, { config });
  const response = await gateway.chat({ model: "stubborn" });
  const text = await response.text();
  expect(response.status).toBe(502);
  expect(validateError(text, response.headers)).toEqual([]);
  expect(upstream.requests.length).toBeGreaterThan(1);
  expect(text).toContain(`It was tried ${upstream.requests.length} times.`);
});

test("A-RTY-03 fallback goes to the next, once each", async () => {
  const config = { models: { safe: { kind: "fallback", members: ["up/a", "up/b"] } } };
  for (const bad of [
    json(503, errorJson("busy")),
    json(500, errorJson("boom")),
    reset(),
    hangUp(),
    json(401, errorJson("key")),
    json(404, errorJson("who")),
  ]) {
    const { gateway, upstream } = await start({ a: bad, b: json(200, completionJson("4")) }, { config });
    const response = await gateway.chat({ model: "safe" });
    expect([response.status, response.headers.get("x-chorale-model")]).toEqual([200, "up/b"]);
    expect(await response.json()).toMatchObject({ model: "safe", choices: [{ message: { content: "4" } }] });
    expect(upstream.requests.map(({ model }) => model)).toEqual(["a", "b"]);
  }
});

test("A-RTY-03 a stream that fails before its first token is rescued, one that fails after is not", async () => {
  const config = { models: { safe: { kind: "fallback", members: ["up/a", "up/b"] } } };
  const { gateway, upstream } = await start({ a: sse(frames.slice(0, 1), { ending: "cut" }), b: sse(frames) }, { config });
  const rescued = await (await gateway.chat({ model: "safe", stream: true })).text();
  expect(validateStream(rescued, { usage: false })).toEqual([]);
  expect(accumulate(rescued).choices[0]?.message["content"]).toBe("2+2 is 4");
  upstream.script({ a: sse([...frames.slice(0, 2), 30], { ending: "cut" }) });
  const cut = await (await gateway.chat({ model: "safe", stream: true })).text();
  expect(validateStream(cut, { usage: false, end: "error" })).toEqual([]);
});

test("A-RTY-04 a stream that falls silent ends in an error frame and closes its socket", async () => {
  const { gateway, upstream } = await start({ s: forever }, { provider: { timeouts: { ...quick, idleMs: 300 } } });
  const { text } = await readPieces(await gateway.chat({ model: "up/s", stream: true }));
  expect(validateStream(text, { usage: false, end: "error" })).toEqual([]);
  expect(text).toContain("upstream_timeout");
  expect((await (await upstream.request(0)).closed).complete).toBe(false);
});

test("A-RTY-04 heartbeats of the upstream are no sign of life", async () => {
  const beats = Array.from({ length: 20 }, () => [50, ": ping\n\n"]).flat();
  const { gateway } = await start({ s: sse([...frames.slice(0, 2), ...beats]) }, { provider: { timeouts: { ...quick, idleMs: 300 } } });
  const { text } = await readPieces(await gateway.chat({ model: "up/s", stream: true }));
  expect(validateStream(text, { usage: false, end: "error" })).toEqual([]);
});

test("A-RTY-04 an answer that ended is whole although its connection hangs", async () => {
  const { gateway, upstream } = await start(
    { s: sse(chunkStream(["4"], { done: false }), { ending: "stall" }) },
    { provider: { timeouts: { ...quick, idleMs: 200 } } },
  );
  const { text } = await readPieces(await gateway.chat({ model: "up/s", stream: true }));
  expect(validateStream(text, { usage: false })).toEqual([]);
  await (
    await upstream.request(0)
  ).closed;
});

test("A-RTY-05 a gateway that shuts down ends its streams with an error frame and refuses new requests", async () => {
  const { gateway, upstream } = await start({ s: forever, slow: after(50, json(200, completionJson("4"))) });
  const response = await gateway.chat({ model: "up/s", stream: true });
  const reading = readPieces(response);
  const ending = gateway.chat({ model: "up/slow" });
  await upstream.request(1);
  const closing = gateway.close();
  await expect(
    fetch(`${gateway.origin}/ready`).then(
      ({ status }) => status,
      () => "refused",
    ),
  ).resolves.toSatisfy((status: unknown) => status === 503 || status === "refused");
  expect((await ending).status).toBe(200);
  const { text } = await reading;
  expect(validateStream(text, { usage: false, end: "error" })).toEqual([]);
  expect(text).toContain("server_is_shutting_down");
  await closing;
  expect(await sendRaw(gateway.port, ["GET /health HTTP/1.1\r\nhost: x\r\n\r\n"])).toBe("");
  await (
    await upstream.request(0)
  ).closed;
});

test("a reused socket that the upstream has closed is replaced once, silently", async () => {
  const before = replacedSockets.count;
  const once = json(200, completionJson("4"));
  const { gateway, upstream } = await start({ a: [once, hangUp(), once] });
  expect((await gateway.chat({})).status).toBe(200);
  expect((await gateway.chat({})).status).toBe(200);
  expect(upstream.requests.map(({ connection }) => connection)).toEqual([0, 0, 1]);
  expect(replacedSockets.count - before).toBe(1);
  await expect.poll(() => gateway.requestLogs.map(({ legs }) => legs)).toEqual([1, 1]);
});

test("a replaced socket that fails too is a failure", async () => {
  const { gateway, upstream } = await start({ a: [json(200, completionJson("4")), hangUp()] });
  expect((await gateway.chat({})).status).toBe(200);
  expect((await gateway.chat({})).status).toBe(502);
  expect(upstream.requests).toHaveLength(3);
});

test("a first connection that fails is not replaced", async () => {
  const { gateway, upstream } = await start({ a: hangUp() });
  expect((await gateway.chat({})).status).toBe(502);
  expect(upstream.requests).toHaveLength(1);
});

/** A client that asks for a stream without end and never reads. */
async function deaf(more: Readonly<Record<string, unknown>>, config: object = {}) {
  const big = frame({
    id: "x",
    choices: [{ index: 0, delta: { role: "assistant", content: "x".repeat(256 * 1024) }, finish_reason: null }],
  });
  const flood = sse(
    Array.from({ length: 400 }, () => big),
    { ending: "stall" },
  );
  const pair = await start({ s: flood }, { provider: { timeouts: { ...quick, idleMs: 200, totalMs: 60_000 } }, ...config });
  const body = JSON.stringify({ model: "up/s", messages, stream: true, ...more });
  const socket = connect(pair.gateway.port, "127.0.0.1");
  onTestFinished(() => void socket.destroy());
  socket.on("error", () => {});
  socket.pause();
  socket.write(
    `POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${clientKey}\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
  );
  const request = await pair.upstream.request(0);
  return { ...pair, request };
}

test("A-RTY-05 a client that does not read does not hold up the end", { timeout: 20_000 }, async () => {
  const patient = { connectMs: 20_000, firstTokenMs: 20_000, idleMs: 60_000, totalMs: 60_000 };
  const { gateway, request } = await deaf({}, { provider: { timeouts: patient } });
  // Every buffer on the way is full once the upstream has written nothing for many turns of the loop that all three share.
  let seen = 0;
  for (let quiet = 0; quiet < 500 || seen < 4; quiet += 1) {
    await new Promise((resolve) => setImmediate(resolve));
    if (request.writesMs.length !== seen) quiet = 0;
    seen = request.writesMs.length;
  }
  expect(seen).toBeLessThan(400);
  await gateway.close();
  expect(gateway.requestLogs).toMatchObject([{ error: "shutting_down" }]);
  await request.closed;
});

test("A-RTY-02 a client that does not read has its deadline, and its upstream is not blamed", async () => {
  const { gateway, request } = await deaf({ chorale: { deadlineMs: 1000 } });
  await request.closed;
  await expect.poll(() => gateway.requestLogs, { timeout: 5000 }).toMatchObject([{ error: "deadline_exceeded" }]);
});

test("A-RTY-04 empty deltas are no sign of life", async () => {
  const empty = frame({ id: "x", choices: [{ index: 0, delta: {}, finish_reason: null }] });
  const beats = Array.from({ length: 40 }, () => [50, empty]).flat();
  const { gateway } = await start({ s: sse([...frames.slice(0, 2), ...beats]) }, { provider: { timeouts: { ...quick, idleMs: 300 } } });
  const { text } = await readPieces(await gateway.chat({ model: "up/s", stream: true }));
  expect(text).toContain("upstream_timeout");
});

test("a connection whose answer ends soon after [DONE] is used again", async () => {
  const { gateway, upstream } = await start({ s: sse([...frames, 5]) });
  for (let i = 0; i < 5; i += 1) {
    const text = await (await gateway.chat({ model: "up/s", stream: true })).text();
    expect(validateStream(text, { usage: false })).toEqual([]);
    await new Promise((resolve) => setTimeout(resolve, 30));
  }
  expect(upstream.connections).toBe(1);
});

test("a connection that goes on and on after [DONE] is closed", async () => {
  const { gateway, upstream } = await start({ s: sse(frames, { ending: "stall" }) });
  const { pieces, endMs } = await readPieces(await gateway.chat({ model: "up/s", stream: true }));
  expect(endMs - (pieces.at(-1)?.atMs ?? 0)).toBeLessThan(100);
  expect((await (await upstream.request(0)).closed).complete).toBe(false);
});

test("A-RTY-05 a request that comes while the gateway shuts down is refused in our own words, and its connection closed", async () => {
  const { gateway, upstream } = await start({ s: forever }, { config: { server: { drainMs: 1000 } } });
  const reading = readPieces(await gateway.chat({ model: "up/s", stream: true }));
  await upstream.request(0);
  const socket = connect(gateway.port, "127.0.0.1");
  const text = new Promise<string>((resolve) => {
    let all = "";
    socket.on("data", (chunk: Buffer) => (all += chunk.toString("latin1"))).on("close", () => resolve(all));
  });
  const body = JSON.stringify({ model: "up/s", messages });
  const head = `POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${clientKey}\r\ncontent-type: application/json\r\n`;
  await new Promise((resolve) => socket.write(`${head}content-length: ${body.length}\r\n\r\n${body.slice(0, 5)}`, resolve));
  await gateway.get("/health");
  const closing = gateway.close();
  await new Promise((resolve) => setTimeout(resolve, 50));
  socket.write(body.slice(5));
  const { status, headers, body: refused } = parseRaw(await text);
  expect([status, headers["connection"], refused]).toEqual([503, "close", expect.stringContaining("server_is_shutting_down")]);
  await reading;
  await closing;
});

test("a request that can not be written is a failure of our own", async () => {
  const pools = openPools();
  onTestFinished(() => pools.close());
  const exchange = new Exchange({
    pool: pools.of("http://127.0.0.1:9"),
    method: "POST",
    path: "/",
    headers: ["authorization", "Bearer a\nb"],
    body: undefined,
    timeouts: quick,
    clock: systemClock,
    signal: new AbortController().signal,
    upstream: "up/a",
  });
  await expect(exchange.head()).rejects.toMatchObject({ code: "internal" });
  exchange.close();
});
