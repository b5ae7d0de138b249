import * as fc from "../support/properties.ts";
import { expect, onTestFinished, test } from "vitest";
import { events, messages, startPair } from "../support/gateway.ts";
import { accumulate, validateError, validateStream } from "../support/stream-validator.ts";
import { chunkStream, completionJson, json, sse, type Script, type StreamOptions, type StreamStyle } from "../support/upstream.ts";

const start = (script: Script) => startPair({ s: script }, { onFinished: onTestFinished });

const texts = ["2+2", " é😀\u2028", ' "q" \\n \n', " is 4"];
const shape: StreamOptions = { reasoning: ["hm"], tools: [{ id: "call_1", name: "add", arguments: ['{"é":', '"😀"}'] }], usage: true };

/** What a client reads of a stream, without what differs from request to request. */
function said(text: string): unknown {
  expect(validateStream(text, { usage: true })).toEqual([]);
  return events(text).map((event) => ({ ...event, id: "", created: 0 }));
}

const asked = { model: "up/s", stream: true, stream_options: { include_usage: true } };

const styles: readonly StreamStyle[] = (["\n", "\r\n", "\r"] as const).flatMap((newline) =>
  [true, false].flatMap((space) => [
    { newline, space },
    { newline, space, comments: true },
    { newline, space, pretty: true },
  ]),
);

test("A-ING-01 line ends, spaces, comments and lines of data make no difference", async () => {
  const { gateway, upstream } = await start(sse(chunkStream(texts, shape)));
  const wanted = said(await (await gateway.chat(asked)).text());
  for (const style of styles) {
    for (const split of [undefined, 1000]) {
      const frames = chunkStream(texts, { ...shape, ...style });
      upstream.script({ s: sse(["\ufeff", ...frames], split === undefined ? {} : { split }) });
      expect(said(await (await gateway.chat(asked)).text())).toEqual(wanted);
    }
  }
});

test("A-ING-02 a stream cut at any byte reads the same", async () => {
  const frames = chunkStream(texts, shape);
  const { gateway, upstream } = await start(sse(frames));
  const wanted = said(await (await gateway.chat(asked)).text());
  const size = Buffer.byteLength(frames.join(""));
  // Every boundary once, twelve requests at a time: each has its own script.
  const boundaries = Array.from({ length: Math.ceil(size / 3) }, (_, index) => index * 3 + 1);
  while (boundaries.length > 0) {
    const some = boundaries.splice(0, 24);
    upstream.script(Object.fromEntries(some.map((at) => [`s${at}`, sse(frames, { split: [at, at + 1, at + 2] })])));
    const got = await Promise.all(some.map(async (at) => said(await (await gateway.chat({ ...asked, model: `up/s${at}` })).text())));
    const unnamed = (value: unknown) => JSON.stringify(value).replaceAll(/"model":"up\/s\d*"/g, '"model":"x"');
    for (const one of got) expect(unnamed(one)).toBe(unnamed(wanted));
  }
});

test("A-ING-02 a stream in random small writes reads the same", async () => {
  const frames = chunkStream(texts, shape);
  const { gateway, upstream } = await start(sse(frames));
  const wanted = said(await (await gateway.chat(asked)).text());
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 1, max: 7 }), fc.constantFrom(...styles), async (split, style) => {
      upstream.script({ s: sse(chunkStream(texts, { ...shape, ...style }), { split }) });
      expect(said(await (await gateway.chat(asked)).text())).toEqual(wanted);
    }),
    { numRuns: 15 },
  );
});

test("A-ING-03 plain JSON in answer to a stream request becomes a stream", async () => {
  const message = { reasoning_content: "hm", tool_calls: [{ id: "call_1", type: "function", function: { name: "add", arguments: "{}" } }] };
  const { gateway } = await start(json(200, completionJson("4", { message })));
  const text = await (await gateway.chat({ model: "up/s", stream: true })).text();
  expect(validateStream(text, { usage: false })).toEqual([]);
  expect(accumulate(text).choices[0]).toMatchObject({ message: { content: "4", ...message }, finish_reason: "tool_calls" });
  const counted = await (await gateway.chat(asked)).text();
  expect(validateStream(counted, { usage: true })).toEqual([]);
  const stream = gateway.client().chat.completions.stream({ model: "up/s", messages: [...messages] });
  expect((await stream.finalChatCompletion()).choices[0]?.message.content).toBe("4");
});

test("A-ING-03 a stream that was not asked for is read as one", async () => {
  const { gateway } = await start(sse(chunkStream(["2+2", " is 4"], { usage: true })));
  const response = await gateway.chat({ model: "up/s" });
  expect(response.headers.get("content-type")).toBe("application/json");
  expect(await response.json()).toMatchObject({
    choices: [{ message: { content: "2+2 is 4" }, finish_reason: "stop" }],
    usage: { total_tokens: 10 },
  });
});

test("A-ING-04 no encoding is asked for, and one that comes is an error", async () => {
  for (const encoding of ["gzip", "br"] as const) {
    const { gateway, upstream } = await start(sse(chunkStream(["4"]), { encoding }));
    const response = await gateway.chat({ model: "up/s", stream: true }, { headers: { "accept-encoding": "gzip, br" } });
    const text = await response.text();
    expect(response.status).toBe(502);
    expect(validateError(text, response.headers)).toEqual([]);
    expect(upstream.requests[0]?.headers["accept-encoding"]).toBe("identity");
  }
});

test("bytes that are no UTF-8 become U+FFFD", async () => {
  const frames = chunkStream(["x@y"]).map((bytes) => Buffer.from(bytes));
  for (const bytes of frames) for (let at = bytes.indexOf("@"); at >= 0; at = bytes.indexOf("@", at + 1)) bytes[at] = 0xff;
  const { gateway } = await start(sse(frames));
  const text = await (await gateway.chat({ model: "up/s", stream: true })).text();
  expect(validateStream(text, { usage: false })).toEqual([]);
  expect(accumulate(text).choices[0]?.message["content"]).toBe("x\ufffdy");
});

test("an event that never ends is refused, in linear time and bounded memory", async () => {
  const { gateway } = await start(sse(['data: {"x":"', ...Array.from({ length: 300 }, () => "x".repeat(64 * 1024))], { ending: "stall" }));
  const startMs = performance.now();
  const response = await gateway.chat({ model: "up/s", stream: true });
  const text = await response.text();
  expect(response.status).toBe(502);
  expect(validateError(text, response.headers)).toEqual([]);
  expect(performance.now() - startMs).toBeLessThan(3000);
});
