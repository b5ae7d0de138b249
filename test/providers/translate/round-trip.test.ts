import * as fc from "../../support/properties.ts";
import { expect, test } from "vitest";
import type { ChatBody, ChatRequest } from "../../../src/model/request.ts";
import type { Completion } from "../../../src/model/completion.ts";
import { readWhole as readConverse } from "../../../src/providers/bedrock/answer.ts";
import { familyOf } from "../../../src/providers/bedrock/families.ts";
import { writeRequest as writeConverse } from "../../../src/providers/bedrock/request.ts";
import { writeRequest as writeContents } from "../../../src/providers/gemini/request.ts";
import { readWhole as readContents } from "../../../src/providers/gemini/stream.ts";
import { newRequest } from "../../support/call.ts";

const filled = fc.string({ unit: "grapheme", minLength: 1 });
const call = fc.record({ name: fc.constantFrom("f", "g"), args: fc.dictionary(filled, fc.jsonValue()) });
const answer = fc.record({
  text: fc.option(filled),
  calls: fc.array(call, { minLength: 1, maxLength: 3 }),
  signature: fc.base64String({ minLength: 4 }),
});

/** The request that brings an answer back, as a client sends it that appends the message as it came. */
function sentBack({ choices }: Completion, ids: readonly string[]): ChatRequest {
  const message = JSON.parse(JSON.stringify(choices[0]?.message)) as object;
  const results = ids.map((id) => ({ role: "tool", tool_call_id: id, content: "ok" }));
  return newRequest({ messages: [{ role: "user", content: "Go." }, message, ...results] } as unknown as Partial<ChatBody>);
}

const plain = (value: unknown) => JSON.parse(JSON.stringify(value)) as unknown;

test("an answer of Gemini's that a client sends back is the answer that was given, its signature included", () => {
  fc.assert(
    fc.property(answer, ({ text, calls, signature }) => {
      const ids = calls.map((_, index) => `id_${index}`);
      const parts = [
        ...(text === null ? [] : [{ text }]),
        ...calls.map(({ name, args }, index) => ({
          functionCall: { id: ids[index], name, args },
          ...(index === 0 ? { thoughtSignature: signature } : {}),
        })),
      ];
      const body = { candidates: [{ content: { role: "model", parts }, finishReason: "STOP" }] };
      const read = readContents(Buffer.from(JSON.stringify(body)), { upstream: "up/g", callId: "chatcmpl-1" });
      const written = writeContents(sentBack(read, ids), { upstream: "up/g", model: "gemini-3-pro" });
      const { contents } = JSON.parse(written.bytes.toString()) as { readonly contents: readonly unknown[] };
      expect(contents[1]).toEqual(plain({ role: "model", parts }));
    }),
  );
});

test("an answer of Converse's that a client sends back is the answer that was given, its signed thought included", () => {
  const model = "anthropic.claude-sonnet-4-5";
  fc.assert(
    fc.property(answer, filled, ({ text, calls, signature }, thought) => {
      const ids = calls.map((_, index) => `tooluse_${index}`);
      const content = [
        { reasoningContent: { reasoningText: { text: thought, signature } } },
        ...(text === null || text.trim() === "" ? [] : [{ text }]),
        ...calls.map(({ name, args }, index) => ({ toolUse: { toolUseId: ids[index], name, input: args } })),
      ];
      const body = { output: { message: { role: "assistant", content } }, stopReason: "tool_use" };
      const read = readConverse(Buffer.from(JSON.stringify(body)), {
        upstream: "up/b",
        callId: "chatcmpl-1",
        format: familyOf(model).thoughts,
      });
      const written = writeConverse(sentBack(read, ids), { upstream: "up/b", model });
      const { messages } = JSON.parse(written.bytes.toString()) as { readonly messages: readonly unknown[] };
      expect(messages[1]).toEqual(plain({ role: "assistant", content }));
    }),
  );
});
