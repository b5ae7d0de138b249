import { expect, test } from "vitest";
import { collect } from "../../../src/model/collect.ts";
import { batch, type Delta } from "../../../src/model/events.ts";
import type { ChatBody } from "../../../src/model/request.ts";
import { readWhole, type AnswerContext } from "../../../src/providers/bedrock/answer.ts";
import { writeRequest } from "../../../src/providers/bedrock/request.ts";
import { ConverseStream } from "../../../src/providers/bedrock/stream.ts";
import { CallMemory } from "../../../src/providers/translate/call-memory.ts";
import type { Thought } from "../../../src/providers/translate/reasoning.ts";
import { newRequest } from "../../support/call.ts";
import { event } from "./frames.ts";

const model = "anthropic.claude-opus-4-6-v1";
const thought = (text: string) => ({ reasoningContent: { reasoningText: { text, signature: `signed ${text}` } } });
const call = (toolUseId: string) => ({ toolUse: { toolUseId, name: "f", input: {} } });

/** Thoughts before, between and behind texts and calls. */
const content = [
  thought("A"),
  { text: "é😀 one " },
  thought("B"),
  { reasoningContent: { redactedContent: "cmVk" } },
  { text: "two" },
  call("t1"),
  thought("C"),
  call("t2"),
];

function context(): Omit<AnswerContext, "memory"> & { readonly memory: ReturnType<CallMemory<readonly Thought[]>["of"]> } {
  const memory = new CallMemory<readonly Thought[]>((thoughts) => thoughts.length).of("team-a");
  return { upstream: "bed/a", callId: "chatcmpl-abc", format: "anthropic-claude-v1", memory };
}

function wholeMessage(blocks: readonly object[], given: AnswerContext) {
  const body = { output: { message: { role: "assistant", content: blocks } }, stopReason: "tool_use" };
  return readWhole(Buffer.from(JSON.stringify(body)), given).choices[0]?.message;
}

function streamedDeltas(blocks: readonly object[], given: AnswerContext): readonly Delta[] {
  const reader = new ConverseStream(given);
  const events = blocks.flatMap((block, contentBlockIndex) => {
    const { text, toolUse, reasoningContent: thinks } = block as Readonly<Record<string, Readonly<Record<string, unknown>>>>;
    const deltas = thinks
      ? [{ reasoningContent: { ...(thinks["reasoningText"] as object | undefined), ...(thinks["redactedContent"] ? thinks : {}) } }]
      : [toolUse ? { toolUse: { input: "{}" } } : { text }];
    return [
      ...(toolUse ? [event("contentBlockStart", { contentBlockIndex, start: { toolUse } })] : []),
      ...deltas.map((delta) => event("contentBlockDelta", { contentBlockIndex, delta })),
      event("contentBlockStop", { contentBlockIndex }),
    ];
  });
  return reader.read(Buffer.concat([...events, event("messageStop", { stopReason: "tool_use" })]));
}

async function streamedMessage(blocks: readonly object[], given: AnswerContext) {
  const deltas = streamedDeltas(blocks, given);
  async function* events() {
    yield batch(deltas);
    yield { type: "finish" } as const;
  }
  return (await collect(events())).choices[0]?.message;
}

function sentBack(message: object, { memory }: Pick<AnswerContext, "memory"> & { memory: ReturnType<typeof context>["memory"] }): unknown {
  const results = ["t1", "t2"].map((id) => ({ role: "tool", tool_call_id: id, content: "ok" }));
  const messages = [{ role: "user", content: "Go." }, JSON.parse(JSON.stringify(message)) as object, ...results];
  const { bytes } = writeRequest(newRequest({ messages } as unknown as Partial<ChatBody>), { model, upstream: "bed/a", memory });
  return (JSON.parse(bytes.toString()) as { messages: { content: unknown }[] }).messages[1]?.content;
}

const none = { keep: () => {}, recall: () => undefined };

test.for(["whole", "streamed"])("signed thoughts of a %s answer go back between the texts and calls where they stood", async (how) => {
  const given = context();
  const message = await (how === "whole" ? wholeMessage(content, given) : streamedMessage(content, given));
  if (!message) throw new Error("no message");
  expect(sentBack(message, { memory: none })).toEqual(content);
});

test("their places are remembered for a client that sends thoughts without, or none at all", async () => {
  const given = context();
  const message = wholeMessage(content, given);
  if (!message) throw new Error("no message");
  const { reasoning_details: details, ...bare } = message;
  expect(sentBack(bare, given)).toEqual(content);
  const plain = (details as readonly Readonly<Record<string, unknown>>[]).map((detail) => ({ ...detail, place: undefined }));
  expect(sentBack({ ...bare, reasoning_details: plain }, given)).toEqual(content);
  expect(sentBack({ ...bare, reasoning_details: plain }, { memory: none })).toEqual([
    ...content.filter((block) => "reasoningContent" in block),
    { text: "é😀 one two" },
    ...content.filter((block) => "toolUse" in block),
  ]);
});

test("a place outside of what the client sends back loses nothing", () => {
  const details = [
    { type: "reasoning.text", text: "A", signature: "s", format: "anthropic-claude-v1", place: { text: 1, calls: 0 } },
    { type: "reasoning.text", text: "B", signature: "t", format: "anthropic-claude-v1", place: { text: 99, calls: 99 } },
  ];
  const calls = ["t1", "t2"].map((id) => ({ id, type: "function", function: { name: "f", arguments: "{}" } }));
  expect(sentBack({ role: "assistant", content: "😀x", tool_calls: calls, reasoning_details: details }, { memory: none })).toEqual([
    { text: "😀" },
    { reasoningContent: { reasoningText: { text: "A", signature: "s" } } },
    { text: "x" },
    call("t1"),
    call("t2"),
    { reasoningContent: { reasoningText: { text: "B", signature: "t" } } },
  ]);
});

test("a call that comes without an id is given one that no other answer has", async () => {
  const nameless = [thought("A"), { toolUse: { name: "f", input: {} } }, { toolUse: { name: "g", input: {} } }];
  const other = { ...context(), callId: "chatcmpl-def" };
  for (const read of [wholeMessage, streamedMessage]) {
    const given = context();
    const message = await read(nameless, given);
    expect(message?.tool_calls?.map(({ id }) => id)).toEqual(["call_chatcmpl-abc_0", "call_chatcmpl-abc_1"]);
    expect(given.memory.recall("call_chatcmpl-abc_0")).toHaveLength(1);
    expect((await read(nameless, other))?.tool_calls?.[0]?.id).toBe("call_chatcmpl-def_0");
  }
});
