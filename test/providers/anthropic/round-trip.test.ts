import * as fc from "../../support/properties.ts";
import { expect, test } from "vitest";
import type { ChatBody } from "../../../src/model/request.ts";
import { readAnswer } from "../../../src/providers/anthropic/answer.ts";
import { traitsOf } from "../../../src/providers/anthropic/models.ts";
import { writeRequest } from "../../../src/providers/anthropic/request.ts";
import { newRequest } from "../../support/call.ts";
import { whole } from "./wire.ts";

const filled = fc.string({ unit: "grapheme", minLength: 1 });
const thought = fc.oneof(
  fc.record({ type: fc.constant("thinking"), thinking: fc.string({ unit: "grapheme" }), signature: fc.base64String({ minLength: 4 }) }),
  fc.record({ type: fc.constant("redacted_thinking"), data: fc.base64String({ minLength: 4 }) }),
);
const call = fc.record({ name: fc.constantFrom("f", "g"), input: fc.dictionary(filled, fc.jsonValue()) });

/** Writes the answer to a request that brings these messages back. */
function sentBack(messages: readonly object[]): readonly { readonly role: string; readonly content: unknown }[] {
  const request = newRequest({ messages } as unknown as Partial<ChatBody>);
  const { bytes } = writeRequest(
    request,
    { delivery: "unary" },
    { upstream: "up/c", model: "claude-opus-5", traits: traitsOf("claude-opus-5"), recall: () => undefined },
  );
  return (JSON.parse(bytes.toString()) as { messages: { role: string; content: unknown }[] }).messages;
}

test("an answer that a client sends back is the answer that was given, thoughts and signatures included", () => {
  fc.assert(
    fc.property(
      fc.array(thought, { maxLength: 3 }),
      fc.option(filled),
      fc.array(call, { minLength: 1, maxLength: 3 }),
      (thoughts, text, calls) => {
        const uses = calls.map(({ name, input }, index) => ({ type: "tool_use", id: `toolu_${index}`, name, input }));
        const blocks = [...thoughts, ...(text === null ? [] : [{ type: "text", text }]), ...uses];
        const answer = readAnswer(Buffer.from(JSON.stringify(whole({ blocks, stop: "tool_use" }))), "up/c", () => {});
        // What a client does that appends the message as it came.
        const message = JSON.parse(JSON.stringify(answer.choices[0]?.message)) as object;
        const results = uses.map(({ id }) => ({ role: "tool", tool_call_id: id, content: "ok" }));
        const [, assistant, user] = sentBack([{ role: "user", content: "Go." }, message, ...results]);
        expect(assistant).toEqual({ role: "assistant", content: JSON.parse(JSON.stringify(blocks)) as unknown });
        expect(user).toEqual({ role: "user", content: uses.map(({ id }) => ({ type: "tool_result", tool_use_id: id, content: "ok" })) });
      },
    ),
  );
});

test("whatever the messages are, roles alternate, begin with the user, and say what was said in its order", () => {
  const message = fc.record({
    role: fc.constantFrom("system", "developer", "user", "assistant"),
    content: fc.string({ unit: "grapheme", maxLength: 3 }),
  });
  fc.assert(
    fc.property(fc.array(message, { minLength: 1, maxLength: 8 }), (messages) => {
      const written = sentBack(messages);
      for (const [index, { role }] of written.entries()) expect(role).toBe(index % 2 === 0 ? "user" : "assistant");
    }),
  );
});
