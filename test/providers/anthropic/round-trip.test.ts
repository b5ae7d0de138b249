import * as fc from "../../support/properties.ts";
import { expect, test } from "vitest";
import type { ChatBody } from "../../../src/model/request.ts";
import { readAnswer } from "../../../src/providers/anthropic/answer.ts";
import { traitsOf } from "../../../src/providers/anthropic/models.ts";
import { writeRequest } from "../../../src/providers/anthropic/request.ts";
import { newRequest } from "../../support/call.ts";
import { whole, type Block } from "./wire.ts";

type Fields = Readonly<Record<string, unknown>>;

const context = { upstream: "up/c", answer: "msg_9", keep: () => {} };

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

/** White space alone is no text to the API: such blocks are not sent back. */
const spoken = (blocks: readonly Fields[]) => blocks.filter(({ type, text }) => type !== "text" || String(text).trim() !== "");

test("an answer that a client sends back is the answer that was given, thoughts and signatures included", () => {
  fc.assert(
    fc.property(
      fc.array(thought, { maxLength: 3 }),
      fc.option(filled),
      fc.array(call, { minLength: 1, maxLength: 3 }),
      (thoughts, text, calls) => {
        const uses = calls.map(({ name, input }, index) => ({ type: "tool_use", id: `toolu_${index}`, name, input }));
        const blocks = [...thoughts, ...(text === null ? [] : [{ type: "text", text }]), ...uses];
        const answer = readAnswer(Buffer.from(JSON.stringify(whole({ blocks, stop: "tool_use" }))), {
          upstream: "up/c",
          answer: "msg_9",
          keep: () => {},
        });
        // What a client does that appends the message as it came.
        const message = JSON.parse(JSON.stringify(answer.choices[0]?.message)) as object;
        const results = uses.map(({ id }) => ({ role: "tool", tool_call_id: id, content: "ok" }));
        const [, assistant, user] = sentBack([{ role: "user", content: "Go." }, message, ...results]);
        expect(assistant).toEqual({ role: "assistant", content: JSON.parse(JSON.stringify(spoken(blocks))) as unknown });
        expect(user).toEqual({ role: "user", content: uses.map(({ id }) => ({ type: "tool_result", tool_use_id: id, content: "ok" })) });
      },
    ),
  );
});

test("thoughts between texts and calls go back in their order", () => {
  const said = fc.record({ text: fc.option(filled), calls: fc.array(call, { maxLength: 2 }) });
  const step = fc.record({ thoughts: fc.array(thought, { minLength: 1, maxLength: 2 }), said });
  fc.assert(
    fc.property(said, fc.array(step, { maxLength: 4 }), (first, steps) => {
      let count = 0;
      const saying = ({ text, calls }: typeof first): readonly Fields[] => [
        ...(text === null ? [] : [{ type: "text", text }]),
        ...calls.map(({ name, input }) => ({ type: "tool_use", id: `toolu_${count++}`, name, input })),
      ];
      const last = { type: "tool_use", id: "toolu_last", name: "f", input: {} };
      const blocks = [...saying(first), ...steps.flatMap(({ thoughts, said }): readonly Fields[] => [...thoughts, ...saying(said)]), last];
      const answer = readAnswer(Buffer.from(JSON.stringify(whole({ blocks: blocks as Block[], stop: "tool_use" }))), context);
      const message = JSON.parse(JSON.stringify(answer.choices[0]?.message)) as object;
      const results = blocks.flatMap(({ type, id }) => (type === "tool_use" ? [{ role: "tool", tool_call_id: id, content: "ok" }] : []));
      const [, assistant] = sentBack([{ role: "user", content: "Go." }, message, ...results]);
      expect(assistant?.content).toEqual(JSON.parse(JSON.stringify(spoken(blocks))) as unknown);
    }),
  );
});

test("an answer that comes back in several messages keeps its thoughts in order", () => {
  const detail = (signature: string, place?: object) => ({
    type: "reasoning.text",
    text: signature,
    signature,
    format: "anthropic-claude-v1",
    ...(place ? { place } : {}),
  });
  const use = (id: string) => ({ id, type: "function", function: { name: "f", arguments: "{}" } });
  const told = (messages: readonly object[]) =>
    sentBack([{ role: "user", content: "Go." }, ...messages])
      .slice(1, 2)
      .flatMap(({ content }) => content as readonly Fields[])
      .map(({ signature, text, id }) => signature ?? text ?? id);
  const result = { role: "tool", tool_call_id: "c", content: "ok" };
  const split = [
    { role: "assistant", content: "So:" },
    { role: "assistant", tool_calls: [use("c")], reasoning_details: [detail("s1"), detail("s2", { text: 3, calls: 0 })] },
    result,
  ];
  expect(told(split)).toEqual(["s1", "So:", "s2", "c"]);
  const two = [
    { role: "assistant", content: "So:", reasoning_details: [detail("s1")] },
    { role: "assistant", content: "Then:", tool_calls: [use("c")], reasoning_details: [detail("s2"), detail("s3", { text: 5, calls: 1 })] },
    result,
  ];
  expect(told(two)).toEqual(["s1", "So:", "s2", "Then:", "c", "s3"]);
});

test("whatever places a client tells, all is said once", () => {
  const place = fc.record({ text: fc.double({ noNaN: true }), calls: fc.double({ noNaN: true }) });
  fc.assert(
    fc.property(fc.array(fc.oneof(place, fc.record({ text: fc.integer({ min: -2, max: 9 }), calls: fc.nat(3) }))), (places) => {
      const details = places.map((place, index) => ({
        type: "reasoning.encrypted",
        data: `d${index}`,
        format: "anthropic-claude-v1",
        place,
      }));
      const use = { id: "c", type: "function", function: { name: "f", arguments: "{}" } };
      const message = { role: "assistant", content: "So: é😀", tool_calls: [use], reasoning_details: details };
      const [, assistant] = sentBack([{ role: "user", content: "Go." }, message, { role: "tool", tool_call_id: "c", content: "ok" }]);
      const blocks = assistant?.content as readonly Fields[];
      expect(blocks.flatMap(({ data }) => data ?? [])).toEqual(details.map(({ data }) => data));
      expect(
        blocks
          .map(({ text }) => (text ?? "") as string)
          .join("")
          .replaceAll(" ", ""),
      ).toBe("So:é😀");
      expect(blocks.filter(({ type }) => type === "tool_use")).toHaveLength(1);
    }),
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
