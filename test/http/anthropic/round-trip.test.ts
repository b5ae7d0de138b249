/** What a client of the Messages API has of an answer, and what goes back to the leaf on the next turn. */
import type Anthropic from "@anthropic-ai/sdk";
import { describe, expect, test } from "vitest";
import { answering, streamed, whole, type Answered } from "../../providers/anthropic/wire.ts";
import { completionJson, json, sse } from "../../support/upstream.ts";
import { citation, messageEvents, startMessages, wrongEvents, type Fields } from "./asking.ts";
import { says } from "../../support/answers.ts";

const tools = [{ name: "add", input_schema: { type: "object" } }];
const thinking = { type: "enabled", budget_tokens: 1024 };
const question = { role: "user", content: "What is 2+2?" };
const native = (answered: Answered) => startMessages({ a: answering(answered) }, { provider: { kind: "anthropic" } });

const thought = { type: "thinking", thinking: "Two and two.", signature: "c2ln" };
const later = { type: "thinking", thinking: "And so.", signature: "c2lnMg==" };
const unread = { type: "thinking", thinking: "", signature: "c2lnMw==" };
const hidden = { type: "redacted_thinking", data: "aGlkZGVu" };
const call = { type: "tool_use", id: "toolu_1", name: "add", input: { a: 2, b: 2 } };

/** The blocks of an answer, whole or as the official client folds its events. */
async function blocks(started: Awaited<ReturnType<typeof startMessages>>, body: Fields, stream: boolean): Promise<readonly Fields[]> {
  const asked = { model: "up/a", max_tokens: 4000, messages: [question], ...body } as unknown as Anthropic.MessageCreateParamsNonStreaming;
  const { messages } = started.client();
  const { content } = stream ? await messages.stream(asked).finalMessage() : await messages.create(asked);
  return content as unknown as readonly Fields[];
}

test("a stream that comes in one piece keeps its order", async () => {
  const said = [thought, call, later, hidden, { type: "text", text: "So:" }, unread, { ...call, id: "toolu_2" }];
  const started = await startMessages(
    { a: sse([streamed({ blocks: said, stop: "tool_use" }).join("")]) },
    { provider: { kind: "anthropic" } },
  );
  expect(await blocks(started, { tools, thinking }, true)).toMatchObject(said);
});

describe.each([false, true])("streamed: %s", (stream) => {
  test.each<[string, Answered["blocks"]]>([
    ["a thought before a call", [thought, call]],
    ["a thought that only its server can read", [hidden, call]],
    ["thoughts of both kinds", [thought, hidden, { type: "text", text: "So:" }, call]],
    ["two thoughts in a row", [thought, { ...thought, thinking: "And so.", signature: "c2lnMg==" }, call]],
    ["thoughts between calls", [thought, call, later, { ...call, id: "toolu_2" }]],
    [
      "thoughts between calls that nobody can read",
      [hidden, call, unread, { ...call, id: "toolu_2" }, { ...unread, signature: "c2lnNA==" }],
    ],
    ["thoughts between texts and calls", [thought, { type: "text", text: "So: " }, later, hidden, { type: "text", text: "é😀" }, call]],
    ["a text before any thought", [{ type: "text", text: "So: " }, later, call]],
  ])("%s comes as it is, and goes back as it came", async (_, said) => {
    const started = await native({ blocks: said, stop: "tool_use" });
    const told = await blocks(started, { tools, thinking }, stream);
    expect(told).toMatchObject(said);
    expect(told).toHaveLength(said.length);
    const ids = said.flatMap(({ type, id }) => (type === "tool_use" ? [id] : []));
    const result = { role: "user", content: ids.map((id) => ({ type: "tool_result", tool_use_id: id, content: "4" })) };
    await blocks(started, { tools, thinking, messages: [question, { role: "assistant", content: told }, result] }, stream);
    const { upstream } = started;
    expect(upstream.requests[0]?.json).toMatchObject({ thinking, max_tokens: 4000 });
    const sent = upstream.requests[1]?.json["messages"] as Fields[];
    expect(sent).toEqual([question, { role: "assistant", content: said }, result]);
  });

  test("thoughts are not told to a client that did not ask for them", async () => {
    const started = await native({ blocks: [thought, { type: "text", text: "4" }] });
    expect(await blocks(started, {}, stream)).toMatchObject([{ type: "text", text: "4" }]);
    const omitting = { ...thinking, display: "omitted" };
    expect(await blocks(started, { thinking: omitting }, stream)).toMatchObject([{ type: "text", text: "4" }]);
  });

  test("a thought without a signature goes back to a leaf of the OpenAI API as its reasoning", async () => {
    const started = await startMessages({ a: says("4", { reasoning: ["two ", "and two"] }) });
    const told = await blocks(started, { thinking }, stream);
    expect(told).toMatchObject([
      { type: "thinking", thinking: "two and two", signature: "" },
      { type: "text", text: "4" },
    ]);
    await blocks(started, { thinking, messages: [question, { role: "assistant", content: told }, question] }, stream);
    expect(started.upstream.requests[1]?.json["messages"]).toEqual([
      question,
      { role: "assistant", content: "4", reasoning_content: "two and two" },
      question,
    ]);
  });

  test("what a leaf wants back and no block has a place for travels in a block that nobody reads", async () => {
    const details = [{ type: "reasoning.encrypted", data: "xyz", format: "google-gemini-v1" }];
    const chatCall = {
      id: "toolu_1",
      type: "function",
      function: { name: "add", arguments: "{}" },
      extra_content: { google: { sign: 1 } },
    };
    const message = { content: null, reasoning_details: details, tool_calls: [chatCall] };
    const answer = json(200, completionJson(null, { message, choice: { finish_reason: "tool_calls" } }));
    const started = await startMessages({ a: [answer, says("4")] });
    const told = await blocks(started, { tools }, stream);
    expect(told.map(({ type }) => type)).toEqual(["tool_use", "redacted_thinking"]);
    const result = { role: "user", content: [{ type: "tool_result", tool_use_id: "toolu_1", content: "4" }] };
    await blocks(started, { tools, messages: [question, { role: "assistant", content: told }, result] }, stream);
    expect(started.upstream.requests[1]?.json["messages"]).toEqual([
      question,
      { role: "assistant", content: null, reasoning_details: details, tool_calls: [chatCall] },
      { role: "tool", tool_call_id: "toolu_1", content: "4" },
    ]);
  });

  test.each<[string, Partial<Answered>, Fields]>([
    ["end_turn", {}, { stop_reason: "end_turn", stop_sequence: null }],
    ["stop_sequence", { stop: "stop_sequence", sequence: "5" }, { stop_reason: "stop_sequence", stop_sequence: "5" }],
    ["max_tokens", { stop: "max_tokens" }, { stop_reason: "max_tokens" }],
    [
      "refusal",
      { stop: "refusal", details: { type: "refusal", category: "bio", explanation: "No." } },
      { stop_reason: "refusal", stop_details: { type: "refusal", category: "bio", explanation: "No." } },
    ],
    [
      "refusal without a word",
      { stop: "refusal", details: { type: "refusal", category: "cyber", explanation: null } },
      { stop_reason: "refusal", stop_details: { type: "refusal", category: "cyber", explanation: null } },
    ],
  ])("an upstream's %s is the client's", async (_, answered, ending) => {
    const { ask, upstream } = await native({ blocks: [{ type: "text", text: "It is" }], ...answered });
    const response = await ask({ stream, stop_sequences: ["5"] });
    const text = await response.text();
    expect(stream ? messageEvents(text).at(-2)?.["delta"] : JSON.parse(text)).toMatchObject(ending);
    expect(upstream.requests[0]?.json).toMatchObject({ stop_sequences: ["5"] });
  });

  test("citations stand on the text that they are about", async () => {
    const started = await native({ blocks: [{ type: "text", text: "It is 4.", citations: [citation] }] });
    expect(await blocks(started, {}, stream)).toEqual([{ type: "text", text: "It is 4.", citations: [citation] }]);
  });

  test("what a tool is given keeps its digits, its order and its white space, there and back", async () => {
    const input = '{"b": 12345678901234567890, "a":[1.10 , 1e400],"2":"\\u00e9é😀","1":0}';
    const odd = (text: string) => text.replace('"input":{"a":2,"b":2}', `"input":${input}`);
    const start = async () => {
      if (!stream) return startMessages({ a: json(200, odd(JSON.stringify(whole({ blocks: [call], stop: "tool_use" })))) }, claude);
      const pieces = streamed({ blocks: [call], stop: "tool_use" }).filter(
        (frame) => !/"partial_json":"[^"]/.test(frame.replaceAll('\\"', "'")),
      );
      const delta = { type: "content_block_delta", index: 0, delta: { type: "input_json_delta", partial_json: input } };
      const at = pieces.findIndex((frame) => frame.startsWith("event: content_block_stop"));
      const frames = [...pieces.slice(0, at), `event: content_block_delta\ndata: ${JSON.stringify(delta)}\n\n`, ...pieces.slice(at)];
      return startMessages({ a: sse(frames) }, claude);
    };
    const claude = { provider: { kind: "anthropic" } };
    const { ask, send, upstream } = await start();
    const text = await (await ask({ stream, tools })).text();
    if (stream) {
      const events = messageEvents(text);
      expect(wrongEvents(events)).toEqual([]);
      expect(events.map(({ delta }) => (delta as { partial_json?: string } | undefined)?.partial_json ?? "").join("")).toBe(input);
    } else expect(text).toContain(`"input":${input}`);
    const turns =
      `[{"role":"user","content":"x"},{"role":"assistant","content":[{"type":"text","text":"\\"input\\": }{"},` +
      `{"id":"toolu_1", "type":"tool_use","name":"add","input": ${input} }]},` +
      `{"role":"user","content":[{"type":"tool_result","tool_use_id":"toolu_1","content":"4"}]}]`;
    await send("/messages", `{"model":"up/a","max_tokens":9,"tools":${JSON.stringify(tools)},"messages":${turns}}`);
    expect(upstream.requests[1]?.body.toString()).toContain(`"input":${input}`);
  });
});
