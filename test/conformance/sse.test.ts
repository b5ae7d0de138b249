import { createServer } from "node:http";
import { connect, type AddressInfo } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { SseResponse } from "../../src/http/openai/sse.ts";
import { systemClock } from "../../src/model/clock.ts";
import { clientKey, events, messages, readPieces, startPair, type PairOptions } from "../support/gateway.ts";
import { accumulate, validateStream } from "../support/stream-validator.ts";
import { after, chunkStream, errorJson, frame, json, sse, type Scripts, type StreamOptions } from "../support/upstream.ts";

const start = (scripts: Scripts, options: Omit<PairOptions, "onFinished"> = {}) =>
  startPair(scripts, { onFinished: onTestFinished, ...options });

test("A-SSE-01 the head says event stream, and nothing compresses or buffers it", async () => {
  const { gateway } = await start({ s: sse(chunkStream(["4"])) });
  const response = await gateway.chat({ model: "up/s", stream: true }, { headers: { "accept-encoding": "gzip" } });
  const { headers } = response;
  expect(Object.fromEntries(["content-type", "cache-control", "x-accel-buffering"].map((name) => [name, headers.get(name)]))).toEqual({
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-cache, no-transform",
    "x-accel-buffering": "no",
  });
  expect([headers.get("content-length"), headers.get("content-encoding")]).toEqual([null, null]);
  await response.text();
});

test("A-SSE-02 each piece leaves when it comes", async () => {
  const texts = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];
  const { gateway, upstream } = await start({ s: sse(chunkStream(texts), { everyMs: 40 }) });
  const { pieces } = await readPieces(await gateway.chat({ model: "up/s", stream: true }));
  const writes = upstream.requests[0]?.writesMs ?? [];
  for (const [index, text] of texts.entries()) {
    const seen = pieces.find((piece) => piece.text.includes(`"content":"${text}"`))?.atMs ?? Infinity;
    expect(seen - (writes[index + 1] ?? 0)).toBeLessThan(50);
  }
});

test("A-SSE-03 a silent upstream is bridged by comments that clients survive", async () => {
  const [role = "", ...rest] = chunkStream(["2+2", " is 4"]);
  const silent = sse([role, rest[0] ?? "", 900, ...rest.slice(1)]);
  const { gateway } = await start({ s: silent });
  const text = await (await gateway.chat({ model: "up/s", stream: true })).text();
  expect(text.match(/^:.*\n\n/gm)?.length).toBeGreaterThanOrEqual(3);
  expect(validateStream(text, { usage: false })).toEqual([]);
  expect(accumulate(text).choices[0]?.message["content"]).toBe("2+2 is 4");
  const client = gateway.client();
  const stream = client.chat.completions.stream({ model: "up/s", messages: [...messages] });
  expect((await stream.finalChatCompletion()).choices[0]?.message.content).toBe("2+2 is 4");
  let raw = "";
  for await (const chunk of await client.chat.completions.create({ model: "up/s", messages: [...messages], stream: true }))
    raw += chunk.choices[0]?.delta.content ?? "";
  expect(raw).toBe("2+2 is 4");
});

test("A-SSE-03 before the first token too, once the head had to go out", async () => {
  const { gateway } = await start({ s: sse([700, ...chunkStream(["4"])]) }, { config: { server: { commitAfterMs: 100 } } });
  const response = await gateway.chat({ model: "up/s", stream: true });
  const { text, pieces } = await readPieces(response);
  expect(pieces[0]?.text).toMatch(/^:/);
  expect(text.match(/^: keep-alive\n\n/gm)?.length).toBeGreaterThanOrEqual(2);
  expect(validateStream(text, { usage: false })).toEqual([]);
});

test("A-SSE-03 a failure after the head went out is an error frame", async () => {
  const late = after(250, json(500, errorJson("boom")));
  const { gateway } = await start({ s: late }, { config: { server: { commitAfterMs: 100 } } });
  const response = await gateway.chat({ model: "up/s", stream: true });
  expect(response.status).toBe(200);
  expect(validateStream(await response.text(), { usage: false, end: "error" })).toEqual([]);
});

test("A-SSE-03 heartbeats may be empty chunks", async () => {
  const [role = "", ...rest] = chunkStream(["2+2", " is 4"]);
  const { gateway } = await start({ s: sse([role, rest[0] ?? "", 500, ...rest.slice(1)]) }, { config: { server: { heartbeat: "data" } } });
  const text = await (await gateway.chat({ model: "up/s", stream: true })).text();
  expect(events(text).filter(({ choices }) => JSON.stringify(choices).includes('"delta":{}'))).toHaveLength(3);
  expect(validateStream(text, { usage: false })).toEqual([]);
  const stream = gateway.client().chat.completions.stream({ model: "up/s", messages: [...messages] });
  expect((await stream.finalChatCompletion()).choices[0]?.message.content).toBe("2+2 is 4");
});

const shapes: Readonly<Record<string, readonly [readonly string[], StreamOptions]>> = {
  canonical: [["2+2", " is", " 4 😀"], {}],
  tool: [[], { tools: [{ id: "call_1", name: "add", arguments: ['{"a":', "2}"] }] }],
  two: [["a", "b"], { n: 2 }],
  usage: [["a", "b"], { usage: true }],
  logprobs: [["a", "b"], { logprobs: true }],
  reasoning: [["4"], { reasoning: ["2", " and 2"] }],
  length: [["4"], { finish: "length" }],
};

test.each(Object.keys(shapes))("A-SSE-04 a stream of the shape %s is valid, with and without usage", async (name) => {
  const [texts, options] = shapes[name] ?? [[], {}];
  const { gateway } = await start({ s: sse(chunkStream(texts, options)) });
  const whole = await (await gateway.chat({ model: "up/s", stream: true })).text();
  expect(validateStream(whole, { usage: false })).toEqual([]);
  if (!options.usage) return;
  const counted = await (await gateway.chat({ model: "up/s", stream: true, stream_options: { include_usage: true } })).text();
  expect(validateStream(counted, { usage: true })).toEqual([]);
});

test("A-SSE-04 a refusal streams", async () => {
  const head = { id: "x", object: "chat.completion.chunk", created: 1, model: "m" };
  const chunk = (delta: object, reason: string | null = null) => frame({ ...head, choices: [{ index: 0, delta, finish_reason: reason }] });
  const frames = [
    chunk({ role: "assistant", content: "", refusal: null }),
    chunk({ refusal: "I" }),
    chunk({ refusal: " can not" }),
    chunk({}, "stop"),
  ];
  const { gateway } = await start({ s: sse([...frames, frame("[DONE]")]) });
  const text = await (await gateway.chat({ model: "up/s", stream: true })).text();
  expect(validateStream(text, { usage: false })).toEqual([]);
  expect(accumulate(text).choices[0]?.message["refusal"]).toBe("I can not");
});

test("A-SSE-05 the last bytes are [DONE] and the answer ends at once, on a connection that lives on or closes", async () => {
  const { gateway } = await start({ s: sse([...chunkStream(["4"]), 300]) });
  const { text, pieces, endMs } = await readPieces(await gateway.chat({ model: "up/s", stream: true }));
  expect(text.endsWith("data: [DONE]\n\n")).toBe(true);
  expect(endMs - (pieces.at(-1)?.atMs ?? 0)).toBeLessThan(100);
  const body = JSON.stringify({ model: "up/s", messages, stream: true });
  const socket = connect(gateway.port, "127.0.0.1");
  const closed = new Promise<{ text: string; lastMs: number; endMs: number }>((resolve) => {
    let text = "";
    let lastMs = 0;
    socket.on("data", (chunk: Buffer) => {
      text += chunk.toString("latin1");
      lastMs = performance.now();
    });
    socket.on("end", () => resolve({ text, lastMs, endMs: performance.now() }));
  });
  socket.write(
    `POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${clientKey}\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
  );
  const ended = await closed;
  expect(ended.text).toContain("data: [DONE]\n\n");
  expect(ended.endMs - ended.lastMs).toBeLessThan(100);
});

test("A-SSE-05 a slow reader holds the upstream back and gets everything", async () => {
  const big = "x".repeat(64 * 1024);
  const frames = chunkStream(Array.from({ length: 200 }, () => big));
  const { gateway, upstream } = await start({ s: sse(frames) });
  const body = JSON.stringify({ model: "up/s", messages, stream: true });
  const socket = connect(gateway.port, "127.0.0.1");
  onTestFinished(() => void socket.destroy());
  socket.pause();
  socket.write(
    `POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${clientKey}\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
  );
  const request = await upstream.request(0);
  // While nobody reads, the writes stop: what is in flight is bounded by the buffers of four sockets.
  let before = -1;
  await expect
    .poll(
      () => {
        const stopped = request.writesMs.length === before;
        before = request.writesMs.length;
        return stopped && before > 0;
      },
      { interval: 300, timeout: 5000 },
    )
    .toBe(true);
  expect(request.writesMs.length).toBeLessThan(frames.length);
  let size = 0;
  socket.on("data", (chunk: Buffer) => {
    size += chunk.length;
  });
  socket.resume();
  await new Promise((resolve) => socket.once("end", resolve));
  expect(size).toBeGreaterThan(200 * big.length);
});

test("an event stream ends once, and nothing comes after its end", async () => {
  const server = createServer((_, raw) => {
    const { signal } = new AbortController();
    using out = new SseResponse(raw, { head: () => [], clock: systemClock, signal, heartbeatMs: 1000, heartbeat: undefined });
    void out.write("data: 1\n\n");
    out.done("");
    expect(out.write("data: 2\n\n")).toBeUndefined();
    out.fail({ message: "late", type: "api_error", param: null, code: null });
    out.done("");
  });
  onTestFinished(() => void server.close());
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const response = await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  expect(await response.text()).toBe("data: 1\n\ndata: [DONE]\n\n");
});
