import { expect, test } from "vitest";
import { collect } from "../../src/model/collect.ts";
import type { Completion } from "../../src/model/completion.ts";
import { flush } from "../../src/panel/flush.ts";
import { newCall } from "../support/call.ts";

const completion: Completion = {
  choices: [
    {
      index: 0,
      message: {
        role: "assistant",
        content: "text",
        refusal: "and no",
        reasoning_content: "thought",
        tool_calls: [
          { id: "1", type: "function", function: { name: "f", arguments: "{}" }, signature: "s" },
          { id: "2", type: "custom", custom: { name: "g", input: "in" } },
        ],
        annotations: [{ type: "url" }],
      },
      finishReason: "tool_calls",
      logprobs: { content: [{ token: "t", logprob: -1 }], refusal: null },
      extra: { stop_reason: "x" },
    },
  ],
  bytes: Buffer.from("{}"),
};

async function* events(given: Completion) {
  yield* flush(given, newCall(), { agreement: 0.5 });
}

test("a flushed stream folds to the completion that it was", async () => {
  const { choices } = await collect(events(completion));
  expect(choices).toEqual(completion.choices);
});

test("a whole answer is passed as it is", () => {
  const [finish] = [...flush(completion, newCall({ delivery: "unary" }), { agreement: 0.5 })];
  expect(finish).toEqual({ type: "finish", completion, agreement: 0.5 });
  expect(finish?.type === "finish" && finish.completion).toBe(completion);
});
