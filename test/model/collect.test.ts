import { expect, test } from "vitest";
import { collect } from "../../src/model/collect.ts";
import type { Completion } from "../../src/model/completion.ts";
import { batch, type Delta, type ModelEvent } from "../../src/model/events.ts";

async function* stream(...events: readonly ModelEvent[]): AsyncGenerator<ModelEvent> {
  yield* events;
}

function folded(...deltas: readonly Delta[]): Promise<Completion> {
  return collect(stream(...deltas.map((delta) => batch([delta])), { type: "finish" }));
}

const end: Delta = { type: "end", choice: 0, reason: "stop" };

test("joins the text of each choice, in the order of the choices", async () => {
  const completion = await folded(
    { type: "text", choice: 1, text: "b" },
    { type: "text", choice: 0, text: "a" },
    { type: "text", choice: 1, text: "b" },
    { type: "end", choice: 1, reason: "length" },
    end,
  );
  expect(completion.choices).toEqual([
    {
      index: 0,
      message: { role: "assistant", content: "a", refusal: null },
      finishReason: "stop",
      logprobs: null,
    },
    {
      index: 1,
      message: { role: "assistant", content: "bb", refusal: null },
      finishReason: "length",
      logprobs: null,
    },
  ]);
});

test("puts tool calls together from their fragments", async () => {
  const completion = await folded(
    { type: "tool-call", choice: 0, index: 1, id: "call_2", name: "sub", custom: true, text: "x" },
    {
      type: "tool-call",
      choice: 0,
      index: 0,
      id: "call_1",
      name: "add",
      text: '{"a"',
      extra: { signature: "s" },
    },
    { type: "tool-call", choice: 0, index: 0, text: ":1}" },
    { ...end, reason: "tool_calls" },
  );
  expect(completion.choices[0]?.message).toEqual({
    role: "assistant",
    content: null,
    refusal: null,
    tool_calls: [
      {
        id: "call_1",
        type: "function",
        function: { name: "add", arguments: '{"a":1}' },
        signature: "s",
      },
      { id: "call_2", type: "custom", custom: { name: "sub", input: "x" } },
    ],
  });
});

test("keeps a refusal, with no content beside it", async () => {
  const completion = await folded({ type: "refusal", choice: 0, text: "No." }, end);
  expect(completion.choices[0]?.message).toEqual({
    role: "assistant",
    content: null,
    refusal: "No.",
  });
});

test("keeps reasoning, log-probabilities and fields that nobody knows", async () => {
  const token = { token: "a", logprob: -0.5, bytes: [97], top_logprobs: [] };
  const completion = await folded(
    { type: "reasoning", choice: 0, text: "Hm" },
    { type: "reasoning", choice: 0, text: "m." },
    { type: "extra", choice: 0, fields: { annotations: [1] } },
    { type: "text", choice: 0, text: "a" },
    { type: "logprobs", choice: 0, content: [token], refusal: [] },
    { ...end, extra: { stop_reason: 7 } },
  );
  expect(completion.choices[0]).toEqual({
    index: 0,
    message: {
      role: "assistant",
      content: "a",
      refusal: null,
      reasoning_content: "Hmm.",
      annotations: [1],
    },
    finishReason: "stop",
    logprobs: { content: [token], refusal: null },
    extra: { stop_reason: 7 },
  });
});

test("takes identity from the start, and usage from the finish", async () => {
  const usage = { promptTokens: 3, completionTokens: 1 };
  const completion = await collect(
    stream({ type: "start", id: "x", model: "m", created: 7 }, batch([end]), {
      type: "finish",
      usage,
    }),
  );
  expect(completion).toMatchObject({ id: "x", model: "m", created: 7, usage });
});

test("passes a whole answer through as it is", async () => {
  const whole = await folded(end);
  expect(await collect(stream({ type: "finish", completion: whole }))).toBe(whole);
});

test.for<readonly [string, readonly ModelEvent[]]>([
  ["a stream without a finish", [batch([end])]],
  ["a choice without an end", [batch([{ type: "text", choice: 0, text: "a" }]), { type: "finish" }]],
  ["an answer without choices", [{ type: "finish" }]],
])("refuses %s", async ([, events]) => {
  await expect(collect(stream(...events))).rejects.toMatchObject({ code: "upstream_protocol" });
});
