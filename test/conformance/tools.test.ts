import * as fc from "../support/properties.ts";
import type { RunnableToolFunctionWithParse } from "openai/lib/RunnableFunction";
import { expect, onTestFinished, test } from "vitest";
import { messages, startPair } from "../support/gateway.ts";
import { accumulate, validateStream } from "../support/stream-validator.ts";
import { chunkStream, completionJson, frame, json, sse, type Scripts } from "../support/upstream.ts";

const start = (scripts: Scripts) => startPair(scripts, { onFinished: onTestFinished });

const head = { id: "x", object: "chat.completion.chunk", created: 1, model: "m" };
const chunk = (delta: object, reason: string | null = null) =>
  frame({ ...head, choices: [{ index: 0, delta, logprobs: null, finish_reason: reason }] });
const done = frame("[DONE]");
const role = chunk({ role: "assistant", content: null });
const call = (fields: object) => chunk({ tool_calls: [fields] });

const parameters = { type: "object", properties: { a: { type: "number" } }, required: ["a"], additionalProperties: false };
const add = { type: "function", function: { name: "add", parameters, strict: true } } as const;

interface Called {
  readonly id: string;
  readonly type: string;
  readonly function: { readonly name: string; readonly arguments: string };
}

/** The calls of a streamed answer, after the checks that every stream has to pass. */
async function calls(frames: readonly string[], options: { readonly split?: number } = {}) {
  const { gateway } = await start({ s: sse(frames, options) });
  const text = await (await gateway.chat({ model: "up/s", stream: true, tools: [add] })).text();
  expect(validateStream(text, { usage: false })).toEqual([]);
  const [choice] = accumulate(text).choices;
  const stream = gateway.client().chat.completions.stream({ model: "up/s", messages: [...messages], tools: [add] });
  const helped = (await stream.finalChatCompletion()).choices[0]?.message.tool_calls ?? [];
  const found = (choice?.message["tool_calls"] ?? []) as readonly Called[];
  expect(helped.map((one) => one.type === "function" && one.function.arguments)).toEqual(found.map((one) => one.function.arguments));
  return { calls: found, content: choice?.message["content"], reason: choice?.finish_reason };
}

test("A-TOOL-01 a call is answered, run and sent back with its id", async () => {
  const called = { tool_calls: [{ id: "call_1", type: "function", function: { name: "add", arguments: '{"a":2}' } }] };
  const first = json(200, completionJson(null, { message: called, choice: { finish_reason: "tool_calls" } }));
  const { gateway, upstream } = await start({ a: [first, json(200, completionJson("4"))] });
  const tool: RunnableToolFunctionWithParse<{ a: number }> = {
    type: "function",
    function: {
      name: "add",
      description: "Adds 2.",
      parameters,
      parse: (text) => JSON.parse(text) as { a: number },
      function: ({ a }) => `${a + 2}`,
    },
  };
  const runner = gateway.client().chat.completions.runTools({ model: "up/a", messages: [...messages], tools: [tool] });
  expect(await runner.finalContent()).toBe("4");
  expect(upstream.requests).toHaveLength(2);
  expect(upstream.requests[1]?.json["messages"]).toMatchObject([
    messages[0],
    { role: "assistant", tool_calls: called.tool_calls },
    { role: "tool", tool_call_id: "call_1", content: "4" },
  ]);
});

test("A-TOOL-02 canonical fragments reach a strict tool parsed", async () => {
  const frames = chunkStream([], { tools: [{ id: "call_1", name: "add", arguments: ['{"', "a", '":', "2}"] }] });
  const { gateway } = await start({ s: sse(frames) });
  const stream = gateway.client().chat.completions.stream({ model: "up/s", messages: [...messages], tools: [add] });
  const [message] = (await stream.finalChatCompletion()).choices;
  expect(message?.message.tool_calls?.[0]).toMatchObject({ id: "call_1", function: { name: "add", parsed_arguments: { a: 2 } } });
  expect(message?.finish_reason).toBe("tool_calls");
});

test("A-TOOL-03 calls without index and id get both", async () => {
  const body = (a: number) => ({ type: "function", function: { name: "add", arguments: `{"a":${a}}` } });
  const found = await calls([role, call(body(1)), call(body(2)), chunk({}, "stop"), done]);
  expect(found.calls.map((one) => one.function.arguments)).toEqual(['{"a":1}', '{"a":2}']);
  expect(new Set(found.calls.map(({ id }) => id)).size).toBe(2);
  expect(found.calls.every(({ id }) => id !== "")).toBe(true);
  expect(found.reason).toBe("tool_calls");
});

const opened = (index: number, id: string, text = "") => call({ index, id, type: "function", function: { name: "add", arguments: text } });
const more = (index: number, text: string) => call({ index, function: { arguments: text } });

test("A-TOOL-04 interleaved fragments become one call after the other", async () => {
  const frames = [
    role,
    opened(0, "call_a"),
    opened(1, "call_b"),
    more(0, '{"a"'),
    more(1, '{"a":'),
    more(0, ":1}"),
    more(1, "2}"),
    chunk({}, "tool_calls"),
    done,
  ];
  const found = await calls(frames);
  expect(found.calls.map((one) => [one.id, one.function.arguments])).toEqual([
    ["call_a", '{"a":1}'],
    ["call_b", '{"a":2}'],
  ]);
});

test("A-TOOL-04 calls that wait are told where the upstream gives no finish reason", async () => {
  const frames = [role, opened(0, "call_a"), opened(1, "call_b"), more(0, '{"a"'), more(1, '{"a":2}'), more(0, ":1}"), done];
  const found = await calls(frames);
  expect(found.calls.map((one) => one.function.arguments)).toEqual(['{"a":1}', '{"a":2}']);
  expect(found.reason).toBe("tool_calls");
});

test("A-TOOL-04 words in the middle of a call come after it, in the chat, in responses and in messages", async () => {
  const frames = [
    role,
    opened(0, "call_a"),
    chunk({ content: "\n" }),
    more(0, '{"a"'),
    chunk({ content: "Hm", reasoning_content: "so" }),
    chunk({ content: "" }),
    chunk({ content: "," }),
    more(0, ":1}"),
    chunk({ content: "?" }),
    opened(1, "call_b", '{"a":'),
    chunk({ content: "!" }),
    more(1, "2}"),
    chunk({}, "tool_calls"),
    done,
  ];
  const found = await calls(frames);
  const whole = ['{"a":1}', '{"a":2}'];
  expect(found.calls.map((one) => one.function.arguments)).toEqual(whole);
  expect(found.content).toBe("\nHm,?!");
  const { gateway } = await start({ s: sse(frames) });
  const ask = async (path: string, body: object) => {
    const init = {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ model: "up/s", stream: true, ...body }),
    };
    return (await gateway.get(path, init)).text();
  };
  const responses = await ask("/v1/responses", { input: "Hi" });
  const told = [...responses.matchAll(/^data: (\{"type":"response\.function_call_arguments\.done".*)$/gm)];
  expect(told.map(([, data]) => (JSON.parse(data ?? "") as { readonly arguments: string }).arguments)).toEqual(whole);
  expect(responses).toContain("event: response.completed");
  const said = await ask("/v1/messages", { max_tokens: 100, messages: [...messages] });
  const pieces = [...said.matchAll(/"index":(\d+),"delta":\{"type":"input_json_delta","partial_json":("(?:[^"\\]|\\.)*")/g)];
  const blocks = new Map<string, string>();
  for (const [, index = "", text = '""'] of pieces) blocks.set(index, (blocks.get(index) ?? "") + (JSON.parse(text) as string));
  expect([...blocks.values()]).toEqual(whole);
});

test("A-TOOL-04 a call that goes on after it was whole is an error, white space is nothing", async () => {
  const { gateway } = await start({
    bad: sse([role, opened(0, "call_a", "{}"), opened(1, "call_b", "{}"), more(0, "}"), chunk({}, "tool_calls"), done]),
    good: sse([role, opened(0, "call_a", "{}"), opened(1, "call_b", "{}"), more(0, "\n"), chunk({}, "tool_calls"), done]),
  });
  const read = async (model: string) => (await gateway.chat({ model: `up/${model}`, stream: true })).text();
  expect(await read("bad")).toContain("which is over");
  const text = await read("good");
  expect(validateStream(text, { usage: false })).toEqual([]);
});

test.each<readonly [string, readonly string[]]>([
  ["id and name in every fragment", [opened(0, "call_a", '{"a"'), opened(0, "call_a", ":1}")]],
  [
    "empty id and name in later ones",
    [opened(0, "call_a"), call({ index: 0, id: "", type: "function", function: { name: "", arguments: '{"a":1}' } })],
  ],
  [
    "null id and name in later ones",
    [opened(0, "call_a"), call({ index: 0, id: null, type: null, function: { name: null, arguments: '{"a":1}' } })],
  ],
  ["no type", [call({ index: 0, id: "call_a", function: { name: "add", arguments: '{"a":1}' } })]],
  ["an index from 1", [opened(1, "call_a", '{"a":1}')]],
  ["arguments as an object", [call({ index: 0, id: "call_a", type: "function", function: { name: "add", arguments: { a: 1 } } })]],
  [
    "arguments null, then text",
    [call({ index: 0, id: "call_a", type: "function", function: { name: "add", arguments: null } }), more(0, '{"a":1}')],
  ],
  ["arguments missing at first", [call({ index: 0, id: "call_a", type: "function", function: { name: "add" } }), more(0, '{"a":1}')]],
  ["an index as text", [call({ index: "0", id: "call_a", type: "function", function: { name: "add", arguments: '{"a":1}' } })]],
])("A-TOOL-04 a call with %s becomes canonical", async (_, frames) => {
  const found = await calls([role, ...frames, chunk({}, "tool_calls"), done]);
  expect(found.calls).toMatchObject([{ id: "call_a", type: "function", function: { name: "add", arguments: '{"a":1}' } }]);
});

test("A-TOOL-04 two calls on one index become two", async () => {
  const found = await calls([role, opened(0, "call_a", '{"a":1}'), opened(0, "call_b", '{"a":2}'), chunk({}, "tool_calls"), done]);
  expect(found.calls.map(({ id }) => id)).toEqual(["call_a", "call_b"]);
});

test("A-TOOL-04 a call without arguments has an empty object", async () => {
  const found = await calls([role, opened(0, "call_a"), chunk({}, "tool_calls"), done]);
  expect(found.calls[0]?.function.arguments).toBe("{}");
});

test("A-TOOL-06 text before a call is told, streamed and whole", async () => {
  const frames = chunkStream(["Let me add."], { tools: [{ id: "call_1", name: "add", arguments: ['{"a":2}'] }] });
  expect(await calls(frames)).toMatchObject({ content: "Let me add.", calls: [{ id: "call_1" }], reason: "tool_calls" });
  const message = { tool_calls: [{ id: "call_1", type: "function", function: { name: "add", arguments: '{"a":2}' } }] };
  const { gateway } = await start({ a: json(200, completionJson("Let me add.", { message, choice: { finish_reason: "tool_calls" } })) });
  const [choice] = (await gateway.client().chat.completions.create({ model: "up/a", messages: [...messages] })).choices;
  expect(choice?.message).toMatchObject({ content: "Let me add.", ...message });
});

test("A-TOOL-07 a whole call with role and finish in one chunk, and eight calls", async () => {
  const whole = (index: number) => ({ index, id: `call_${index}`, type: "function", function: { name: "add", arguments: '{"a":1}' } });
  const one = await calls([chunk({ role: "assistant", content: null, tool_calls: [whole(0)] }, "tool_calls"), done]);
  expect(one.calls).toHaveLength(1);
  const eight = Array.from({ length: 8 }, (_, index) => whole(index));
  const together = await calls([chunk({ role: "assistant", content: null, tool_calls: eight }, "tool_calls"), done]);
  expect(together.calls.map(({ id }) => id)).toEqual(eight.map(({ id }) => id));
  const apart = await calls([role, ...eight.map((each) => call(each)), chunk({}, "tool_calls"), done]);
  expect(apart.calls).toEqual(together.calls);
});

/** What it gives, and the milliseconds of this process that it costs: what else the machine does is not counted. */
async function measured<T>(run: () => Promise<T>): Promise<{ readonly value: T; readonly ms: number }> {
  const before = process.cpuUsage();
  const value = await run();
  const { user, system } = process.cpuUsage(before);
  return { value, ms: (user + system) / 1000 };
}

test.each([
  [1, 100_000],
  [4, 50_000],
])("A-TOOL-07 arguments in single characters cost linear time (%i calls, %i characters)", { timeout: 300_000 }, async (count, most) => {
  const few = 12_500;
  const stream = (characters: number) => {
    const text = `{"a":"${"x".repeat(characters / count)}"}`;
    const opening = (index: number) => [opened(index, `call_${index}`), ...Array.from(text, (unit) => more(index, unit))];
    const frames = Array.from({ length: count }, (_, index) => opening(index));
    return sse([role, ...frames.flat(), chunk({}, "tool_calls"), done].join("").match(/[^]{1,65536}/g) ?? []);
  };
  const { gateway } = await start({ small: stream(few), large: stream(most) });
  const read = (model: string) => measured(async () => (await gateway.chat({ model: `up/${model}`, stream: true })).text());
  const small = [await read("small"), await read("small")];
  const large = await read("large");
  // As many times as much when linear; the square of that when every fragment costs as much as all before it.
  expect(large.ms / Math.min(...small.map(({ ms }) => ms))).toBeLessThan((2.5 * most) / few);
  for (const { value } of small) expect(validateStream(value, { usage: false })).toEqual([]);
  expect(large.value.split('"arguments":"x"').length - 1, "each character once").toBe(most);
});

test("A-TOOL-08 stop with calls is tool_calls, streamed and whole", async () => {
  const frames = chunkStream([], { tools: [{ id: "call_1", name: "add", arguments: ["{}"] }], finish: "stop" });
  expect((await calls(frames)).reason).toBe("tool_calls");
  const message = { tool_calls: [{ id: "call_1", type: "function", function: { name: "add", arguments: "{}" } }] };
  const { gateway } = await start({ a: json(200, completionJson(null, { message })) });
  const [choice] = (await gateway.client().chat.completions.create({ model: "up/a", messages: [...messages] })).choices;
  expect(choice?.finish_reason).toBe("tool_calls");
});

test("odd calls of a whole answer become canonical", async () => {
  const message = {
    tool_calls: [{ function: { name: "add", arguments: { a: 1 } } }, { id: "", type: "function", function: { name: "add" } }],
  };
  const { gateway } = await start({ a: json(200, completionJson(null, { message })) });
  const [choice] = (await gateway.client().chat.completions.create({ model: "up/a", messages: [...messages] })).choices;
  const found = choice?.message.tool_calls ?? [];
  expect(found).toMatchObject([
    { type: "function", function: { name: "add", arguments: '{"a":1}' } },
    { type: "function", function: { name: "add", arguments: "{}" } },
  ]);
  expect(new Set(found.map(({ id }) => id)).size).toBe(2);
});

test("any interleaving of any calls is one call after the other, and nothing is lost", async () => {
  const { gateway, upstream } = await start({});
  const piece = fc.integer({ min: 1, max: 6 });
  const plan = fc.record({
    calls: fc.array(fc.tuple(fc.json({ maxDepth: 1 }), fc.array(piece, { minLength: 1, maxLength: 4 })), { minLength: 1, maxLength: 4 }),
    order: fc.array(fc.nat(), { minLength: 40, maxLength: 40 }),
    repeats: fc.boolean(),
    split: fc.integer({ min: 1, max: 500 }),
  });
  await fc.assert(
    fc.asyncProperty(plan, async ({ calls: wanted, order, repeats, split }) => {
      const queues = wanted.map(([text, sizes], index) => {
        const fragments: string[] = [opened(index, `call_${index}`)];
        for (let at = 0, i = 0; at < text.length; i += 1) {
          const size = sizes[i % sizes.length] ?? 1;
          const part = text.slice(at, at + size);
          fragments.push(repeats ? opened(index, `call_${index}`, part) : more(index, part));
          at += size;
        }
        return fragments;
      });
      const frames: string[] = [];
      // Calls start in order; after that anything goes.
      for (const queue of queues) frames.push(queue.shift() ?? "");
      for (let i = 0; queues.some((queue) => queue.length > 0); i += 1) {
        const full = queues.filter((queue) => queue.length > 0);
        frames.push(full[(order[i % order.length] ?? 0) % full.length]?.shift() ?? "");
      }
      upstream.script({ s: sse([role, ...frames, chunk({}, "tool_calls"), done], { split }) });
      const text = await (await gateway.chat({ model: "up/s", stream: true })).text();
      expect(validateStream(text, { usage: false })).toEqual([]);
      const found = (accumulate(text).choices[0]?.message["tool_calls"] ?? []) as readonly Called[];
      expect(found.map((one) => [one.id, one.function.arguments])).toEqual(wanted.map(([json], index) => [`call_${index}`, json]));
    }),
    { numRuns: 60 },
  );
});

test("a call that was told whole keeps its other fields in a stream", async () => {
  const signed = { id: "call_1", type: "function", function: { name: "add", arguments: '{"a":2}' }, extra_content: { signature: "s" } };
  const whole = json(200, completionJson(null, { message: { tool_calls: [signed] }, choice: { finish_reason: "tool_calls" } }));
  const { gateway } = await start({ s: whole });
  const text = await (await gateway.chat({ model: "up/s", stream: true, tools: [add] })).text();
  expect(validateStream(text, { usage: false })).toEqual([]);
  expect(text).toContain('"extra_content":{"signature":"s"}');
});

test("A-TOOL-09 deprecated functions are answered in their own shape, by a leaf and by the owner of a panel", async () => {
  const function_call = { name: "add", arguments: '{"a":2}' };
  const called = json(200, completionJson(null, { message: { function_call }, choice: { finish_reason: "function_call" } }));
  const { gateway, upstream } = await startPair(
    { a: [called, json(200, completionJson("4"))], b: json(200, completionJson("4")), c: json(200, completionJson("4")) },
    { onFinished: onTestFinished, config: { models: { exam: { kind: "vote", members: ["up/a", "up/b", "up/c"] } } } },
  );
  const functions = [{ name: "add", parameters }];
  for (const model of ["up/a", "exam"]) {
    upstream.script({ a: [called, json(200, completionJson("4"))] });
    const first = (await (await gateway.chat({ model, functions, function_call: "auto" })).json()) as object;
    expect(first).toMatchObject({ choices: [{ finish_reason: "function_call", message: { content: null, function_call } }] });
    expect(upstream.requests.at(-1)?.json).toEqual({ model: "a", messages, functions, function_call: "auto" });
    const turns = [...messages, { role: "assistant", content: null, function_call }, { role: "function", name: "add", content: "4" }];
    const second = (await (await gateway.chat({ model, functions, messages: turns })).json()) as object;
    expect(second).toMatchObject({ choices: [{ finish_reason: "stop", message: { content: "4" } }] });
    expect(upstream.requests.at(-1)?.json).toEqual({ model: "a", messages: turns, functions });
  }
});
