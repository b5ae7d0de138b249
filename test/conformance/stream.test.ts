import { APIError } from "openai";
import { expect, onTestFinished, test } from "vitest";
import { events, messages, startPair, type PairOptions } from "../support/gateway.ts";
import { accumulate, validateError, validateStream } from "../support/stream-validator.ts";
import { chunkStream, cut, errorJson, frame, json, reset, sse, usage, type Script } from "../support/upstream.ts";

const start = (script: Script, options: Omit<PairOptions, "onFinished"> = {}) =>
  startPair({ s: script }, { onFinished: onTestFinished, ...options });

/** The bytes of a streamed answer. */
async function streamed(script: Script, body: Readonly<Record<string, unknown>> = {}): Promise<string> {
  const { gateway } = await start(script);
  const response = await gateway.chat({ model: "up/s", stream: true, ...body });
  expect(response.status).toBe(200);
  return response.text();
}

const head = { id: "x", object: "chat.completion.chunk", created: 1, model: "m" };
const chunk = (delta: object, reason: string | null = null, more: object = {}) =>
  frame({ ...head, choices: [{ index: 0, delta, logprobs: null, finish_reason: reason }], ...more });
const done = frame("[DONE]");
const role = chunk({ role: "assistant", content: "" });

test("A-STR-01 the usage chunk comes when asked for, and only then", async () => {
  const counted = sse(chunkStream(["4"], { usage: true }));
  const asked = { stream_options: { include_usage: true } };
  const withUsage = await streamed(counted, asked);
  expect(validateStream(withUsage, { usage: true })).toEqual([]);
  expect(events(withUsage).at(-1)).toMatchObject({ choices: [], usage });
  for (const body of [{}, { stream_options: { include_usage: false } }, { stream_options: null }]) {
    const text = await streamed(counted, body);
    expect(validateStream(text, { usage: false })).toEqual([]);
    expect(text).not.toContain("usage");
  }
});

test("A-STR-01 usage that an upstream puts elsewhere still comes last", async () => {
  const asked = { stream_options: { include_usage: true } };
  const odd = [
    [role, chunk({ content: "4" }), chunk({}, "stop", { usage }), done],
    [role, frame({ ...head, choices: [], usage }), chunk({ content: "4" }), chunk({}, "stop"), done],
    [chunk({ role: "assistant", content: "4" }, "stop", { usage }), done],
    [chunk({ role: "assistant", content: "4" }, "stop", { x_groq: { usage } }), done],
  ];
  for (const frames of odd) {
    const text = await streamed(sse(frames), asked);
    expect(validateStream(text, { usage: true })).toEqual([]);
    expect(events(text).at(-1)).toMatchObject({ choices: [], usage });
    expect(validateStream(await streamed(sse(frames)), { usage: false })).toEqual([]);
  }
});

test("A-STR-02 a cut stream ends in an error frame, which clients see", async () => {
  const frames = chunkStream(["2+2", " is", " 4"]);
  const scripts = [
    cut(frames, 3),
    sse(frames.slice(0, 3)),
    sse(frames.slice(0, 3), { ending: "reset" }),
    sse([...frames.slice(0, 3), 'data: {"id']),
  ];
  for (const script of scripts) {
    const { gateway } = await start(script);
    const text = await (await gateway.chat({ model: "up/s", stream: true })).text();
    expect(validateStream(text, { usage: false, end: "error" })).toEqual([]);
    const stream = await gateway.client().chat.completions.create({ model: "up/s", messages: [...messages], stream: true });
    let got = "";
    const read = async () => {
      for await (const part of stream) got += part.choices[0]?.delta.content ?? "";
    };
    await expect(read()).rejects.toBeInstanceOf(APIError);
    expect(got).toBe("2+2 is");
  }
});

test("A-STR-02 an end without [DONE], or a connection that closes behind the end, is a whole answer", async () => {
  const frames = chunkStream(["2+2", " is 4"], { done: false });
  const endings = [
    sse(frames),
    sse(frames, { ending: "cut" }),
    sse(frames, { ending: "reset" }),
    sse([...frames, 'data: {"choices":[],"us']),
  ];
  for (const script of [...endings, sse([...frames.slice(0, -1), frames.at(-1)?.trimEnd() ?? ""]), sse([...frames, "data: [DONE]"])]) {
    const text = await streamed(script);
    expect(validateStream(text, { usage: false })).toEqual([]);
    expect(accumulate(text).choices[0]?.message["content"]).toBe("2+2 is 4");
  }
});

test("A-STR-03 an error inside a stream is one frame with the upstream's words", async () => {
  const frames = chunkStream(["2+2", " is"], { error: { message: "boom", type: "server_error" } });
  const text = await streamed(sse([...frames.slice(0, 2), 30, frames.slice(2).join("")]));
  expect(validateStream(text, { usage: false, end: "error" })).toEqual([]);
  // Text that was read together with the error is not lost.
  expect(events(text).at(-2)).toMatchObject({ choices: [{ delta: { content: " is" } }] });
  const last = events(text).at(-1);
  expect(last).toMatchObject({ error: { message: "boom", type: "server_error" } });
  expect(Object.keys(last?.["error"] as object)).toEqual(["message", "type", "param", "code"]);
});

test.each<readonly [string, string]>([
  ["as a string", frame({ error: "boom" })],
  ["beside choices", frame({ ...head, choices: [{ index: 0, delta: {}, finish_reason: "error" }], error: { message: "boom", code: 502 } })],
  ["as an object of its own", frame({ object: "error", message: "boom", type: "BadRequestError", code: 400 })],
  ["inside a choice", frame({ ...head, choices: [{ index: 0, delta: {}, finish_reason: "error", error: { message: "boom" } }] })],
])("A-STR-03 an error %s is one frame", async (_, bytes) => {
  const text = await streamed(sse([role, chunk({ content: "2" }), 30, bytes, done]));
  expect(validateStream(text, { usage: false, end: "error" })).toEqual([]);
  expect(events(text).at(-1)).toMatchObject({ error: { message: "boom" } });
});

test("A-STR-03 an error before the first token keeps its status", async () => {
  const { gateway } = await start(sse([role, frame({ error: { message: "slow down", type: "rate_limit_error" } })]));
  const response = await gateway.chat({ model: "up/s", stream: true });
  const text = await response.text();
  expect(response.status).toBe(429);
  expect(validateError(text, response.headers)).toEqual([]);
});

test("A-STR-04 a refused stream is an HTTP error, not a stream", async () => {
  for (const script of [json(400, errorJson("no", { param: "messages" })), reset(), json(503, errorJson("busy"))]) {
    const { gateway } = await start(script);
    const response = await gateway.chat({ model: "up/s", stream: true });
    const text = await response.text();
    expect(response.status).toBeGreaterThanOrEqual(400);
    expect(validateError(text, response.headers)).toEqual([]);
  }
});

test("A-STR-05 roles, ids and dates that vary become one of each", async () => {
  const frames = ["2+2", " is", " 4"].map((content, index) =>
    frame({
      id: `id-${index}`,
      object: "chat.completion.chunk",
      created: 1_790_000_000.5 + index,
      model: `m${index}`,
      choices: [{ index: 0, delta: { role: "assistant", content }, finish_reason: null }],
    }),
  );
  const { gateway } = await start(sse([...frames, chunk({ role: "assistant" }, "stop"), done]));
  const text = await (await gateway.chat({ model: "up/s", stream: true })).text();
  expect(validateStream(text, { usage: false })).toEqual([]);
  expect(accumulate(text).choices[0]?.message).toEqual({ role: "assistant", content: "2+2 is 4" });
  const stream = gateway.client().chat.completions.stream({ model: "up/s", messages: [...messages] });
  expect((await stream.finalChatCompletion()).choices[0]?.message).toMatchObject({ role: "assistant", content: "2+2 is 4" });
});

test.each<readonly [string, readonly string[]]>([
  ["without a role", chunkStream(["4"], { roles: "none" })],
  ["with a role of another name", [chunk({ role: "model", content: "4" }), chunk({}, "stop"), done]],
  ["with error: null", [role, chunk({ content: "4" }, null, { error: null }), chunk({}, "stop", { error: null }), done]],
  ["with an empty first chunk", [frame({ ...head, id: "", choices: [] }), role, chunk({ content: "4" }), chunk({}, "stop"), done]],
  ["with all in one chunk", [chunk({ role: "assistant", content: "4" }, "stop"), done]],
  [
    "with a message in place of a delta",
    [frame({ ...head, choices: [{ index: 0, message: { role: "assistant", content: "4" }, finish_reason: "stop" }] }), done],
  ],
  [
    "with chunks that lack everything else",
    [frame({ choices: [{ delta: { content: "4" } }] }), frame({ choices: [{ delta: {}, finish_reason: "stop" }] }), done],
  ],
  [
    "with empty heartbeats",
    [role, chunk({}), chunk({ content: "4" }), chunk({}), frame({ ...head, choices: [] }), chunk({}, "stop"), done],
  ],
  ["with tool_calls: null", [chunk({ role: "assistant", content: "4", tool_calls: null }), chunk({ tool_calls: null }, "stop"), done]],
  ["with event names", [`event: message\n${role}`, `event: x\n${chunk({ content: "4" })}`, chunk({}, "stop"), done]],
])("A-STR-05 a stream %s becomes canonical", async (_, frames) => {
  const text = await streamed(sse(frames));
  expect(validateStream(text, { usage: false })).toEqual([]);
  expect(accumulate(text).choices[0]?.message["content"]).toBe("4");
});

test("A-STR-05 choice 0 comes first whatever comes first", async () => {
  const at = (index: number, delta: object, reason: string | null = null) =>
    frame({ ...head, choices: [{ index, delta, logprobs: null, finish_reason: reason }] });
  const frames = [
    at(1, { role: "assistant", content: "b" }),
    at(0, { role: "assistant", content: "a" }),
    at(1, {}, "stop"),
    at(0, {}, "stop"),
    done,
  ];
  const text = await streamed(sse(frames), { n: 2 });
  expect(validateStream(text, { usage: false })).toEqual([]);
  expect(accumulate(text).choices.map(({ message }) => message["content"])).toEqual(["a", "b"]);
});

test("A-STR-06 every finish reason becomes one of the five", async () => {
  const table = {
    eos: "stop",
    max_tokens: "length",
    model_length: "length",
    end_turn: "stop",
    tool_use: "tool_calls",
    SAFETY: "stop",
    length: "length",
  };
  for (const [said, reason] of Object.entries(table)) {
    const text = await streamed(sse([role, chunk({ content: "4" }), chunk({}, said), done]));
    expect(validateStream(text, { usage: false })).toEqual([]);
    expect([said, accumulate(text).choices[0]?.finish_reason]).toEqual([said, reason]);
  }
  const empty = await streamed(sse([role, chunk({ content: "4" }, ""), chunk({}, "stop"), done]));
  expect(validateStream(empty, { usage: false })).toEqual([]);
  const never = await streamed(sse([role, chunk({ content: "4" }, ""), done]));
  expect(validateStream(never, { usage: false })).toEqual([]);
  expect(accumulate(never).choices[0]?.finish_reason).toBe("stop");
});

test("A-STR-07 what comes after the end is dropped", async () => {
  const late = chunk({ content: " late" });
  const lates = [
    [role, chunk({ content: "4" }), chunk({}, "stop"), late, chunk({}, "stop"), done],
    [role, chunk({ content: "4" }), chunk({}, "stop"), done, late, frame({ error: { message: "boom" } })],
    [role, chunk({ content: "4" }), late.replace(" late", ""), chunk({}, "stop"), late, late, done, done],
  ];
  for (const frames of lates) {
    for (const options of [{}, { everyMs: 2 }]) {
      const text = await streamed(sse(frames, options));
      expect(validateStream(text, { usage: false })).toEqual([]);
      expect(accumulate(text).choices[0]?.message["content"]).toBe("4");
    }
  }
});

test("a canonical stream leaves byte for byte except id, model and created", async () => {
  const frames = chunkStream(["2+2", ' "is" \\ \n', "4 😀é", " data: x"], { reasoning: ["hm"] });
  const text = await streamed(sse(frames.map((bytes) => bytes.replace('"delta"', '"x": [ 1.10,\t12345678901234567890 ],"delta"'))));
  const { id, created } = events(text)[0] as { id: string; created: number };
  const expected = frames
    .map((bytes) => bytes.replace('"delta"', '"x": [ 1.10,\t12345678901234567890 ],"delta"'))
    .join("")
    .replaceAll('"id":"chatcmpl-upstream"', `"id":"${id}"`)
    .replaceAll('"model":"upstream-model"', '"model":"up/s"')
    .replaceAll(/"created":\d+/g, `"created":${created}`);
  expect(text.replace(/^: .*\n\n/m, "")).toBe(expected);
});

test.each(["summary", "full"])(
  "the extension %s rides on the usage chunk when asked for, else on the last end, and in a whole answer",
  async (expose) => {
    const { gateway } = await start(sse(chunkStream(["4", " data: {"], { usage: true })));
    const chorale = { expose };
    const known = { strategy: [], members: [{ model: "up/s", status: "ok", usage }] };
    const plain = await (await gateway.chat({ model: "up/s", stream: true, chorale })).text();
    expect(validateStream(plain, { usage: false })).toEqual([]);
    const carriers = events(plain).filter((event) => "chorale" in event);
    expect(carriers).toMatchObject([{ chorale: known, choices: [{ finish_reason: "stop" }] }]);
    const counted = await (await gateway.chat({ model: "up/s", stream: true, chorale, stream_options: { include_usage: true } })).text();
    expect(validateStream(counted, { usage: true })).toEqual([]);
    expect(events(counted).filter((event) => "chorale" in event)).toMatchObject([{ chorale: known, choices: [], usage }]);
    const stream = gateway.client().chat.completions.stream({ model: "up/s", messages: [...messages], chorale } as never);
    expect((await stream.finalChatCompletion()).choices[0]?.message.content).toBe("4 data: {");
    expect(Object.keys(carriers[0]?.["chorale"] ?? {}).includes("trace")).toBe(expose === "full");
  },
);

test("the extension survives an end that shares its chunk with text that looks like a frame", async () => {
  const { gateway } = await start(sse([role, chunk({ content: "a data: {b" }, "stop"), done]));
  const text = await (await gateway.chat({ model: "up/s", stream: true }, { headers: { "x-chorale-expose": "summary" } })).text();
  expect(validateStream(text, { usage: false })).toEqual([]);
  expect(accumulate(text).choices[0]?.message["content"]).toBe("a data: {b");
  expect(events(text).filter((event) => "chorale" in event)).toHaveLength(1);
});

test("the cost and the source of a stream are told in headers, a comment and the log", async () => {
  const { gateway } = await start(sse(chunkStream(["4"], { usage: true })), { provider: { prices: { s: { in: 1, out: 2 } } } });
  const response = await gateway.chat({ model: "up/s", stream: true });
  expect([response.headers.get("x-chorale-strategy"), response.headers.get("x-chorale-model")]).toEqual(["leaf", "up/s"]);
  expect(await response.text()).toContain(": chorale cost-usd=0.000013\n\ndata: [DONE]\n\n");
  await expect
    .poll(() => gateway.requestLogs[0])
    .toMatchObject({ status: 200, stream: true, leaf: "up/s", usd: 0.000013, completionTokens: 3 });
});
