import { describe, expect, test } from "vitest";
import { estimatedTokens, hasImages, viewOf } from "../../src/panel/route/view.ts";

const system = { role: "system", content: "Be kind." };
const first = { role: "user", content: "Hello" };
const reply = { role: "assistant", content: "Hi" };
const second = { role: "user", content: [{ type: "text", text: "What" }, { type: "image_url" }, { type: "text", text: "is it?" }] };
const tool = { role: "tool", tool_call_id: "1", content: "42" };

describe("viewOf", () => {
  test("reads up to the user's last message, and not what follows it", () => {
    const view = viewOf({ model: "x", messages: [system, first, reply, second, reply, tool] }, "turn");
    expect(view).toEqual({ messages: [system, first, reply, second], text: "What\nis it?" });
  });

  test("reads up to the first where a conversation is to stay", () => {
    expect(viewOf({ model: "x", messages: [system, first, reply, second] }, "conversation")).toEqual({
      messages: [system, first],
      text: "Hello",
    });
  });

  test("sees a request without a message of the user whole", () => {
    expect(viewOf({ model: "x", messages: [system] }, "turn")).toEqual({ messages: [system], text: "" });
  });
});

test("tokens are estimated from letters, signs, images and tool calls", () => {
  expect(estimatedTokens([{ role: "user", content: "x".repeat(400) }])).toBe(104);
  expect(estimatedTokens([{ role: "user", content: "語".repeat(100) }])).toBe(104);
  expect(estimatedTokens([second])).toBeGreaterThan(700);
  expect(
    estimatedTokens([{ role: "assistant", content: null, tool_calls: [{ id: "1", function: { arguments: "x".repeat(400) } }] }]),
  ).toBeGreaterThan(100);
});

test("an image is a part, not a word", () => {
  expect([hasImages([first, second]), hasImages([{ role: "user", content: "image_url" }])]).toEqual([true, false]);
});
