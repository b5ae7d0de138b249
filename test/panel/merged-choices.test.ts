import { expect, test } from "vitest";
import { completionPieces } from "../../src/http/openai/completion.ts";
import type { Completion } from "../../src/model/completion.ts";
import { MergedChoices } from "../../src/panel/merged-choices.ts";
import { answerPaths, readAnswer } from "../../src/providers/openai/answer.ts";
import * as fc from "../support/properties.ts";

const context = { upstream: "up/a", callId: "chatcmpl-0123456789abcdef01234567", wallMs: () => 0 };
const identity = { id: "chatcmpl-own", model: "smärt", created: 7 };
const usage = { promptTokens: 30, completionTokens: 9 };

/** An answer in the compact form, which is not read, or with white space, which is. */
function answer(content: string, isCompact: boolean, logprobs: object = { logprobs: null }): Completion {
  const choice = { index: 0, message: { role: "assistant", content, refusal: null }, ...logprobs, finish_reason: "stop" };
  const told = { prompt_tokens: 10, completion_tokens: 3, total_tokens: 13 };
  const body = { id: "x", object: "chat.completion", created: 1, model: "m", choices: [choice], usage: told };
  return readAnswer(Buffer.from(JSON.stringify(body, undefined, isCompact ? 0 : 1)), context);
}

function sent(completion: Completion): unknown {
  const pieces = completionPieces(completion, { identity, usage, summed: true, extension: { requestId: "req_1" } });
  const bytes = Buffer.concat(pieces.map((piece) => (typeof piece === "string" ? Buffer.from(piece, "latin1") : piece)));
  return JSON.parse(bytes.toString("utf8"));
}

const content = fc.oneof(
  fc.constantFrom('"', "\\", "\n", '],"usage":{', '"choices":[{"index":0', "é😀", ""),
  fc.string({ unit: "grapheme" }),
);

test("choices that nobody read are sent as those that somebody did", () => {
  fc.assert(
    fc.property(fc.array(content, { minLength: 1, maxLength: 4 }), (contents) => {
      const before = answerPaths.unread;
      const unread = new MergedChoices(contents.map((text) => answer(text, true)));
      expect(answerPaths.unread - before).toBe(contents.length);
      const read = new MergedChoices(contents.map((text) => answer(text, false)));
      expect(unread.unread).toHaveLength(contents.length);
      expect(read.unread).toBe(undefined);
      expect(sent(unread)).toEqual(sent(read));
      expect(unread.choices).toEqual(read.choices);
      expect(sent(unread)).toMatchObject({
        ...identity,
        object: "chat.completion",
        choices: contents.map((text, index) => ({ index, message: { role: "assistant", content: text }, finish_reason: "stop" })),
        usage: { prompt_tokens: 30, completion_tokens: 9, total_tokens: 39 },
        chorale: { requestId: "req_1" },
      });
    }),
  );
});

test("one that was read makes all of them read", () => {
  const mixed = new MergedChoices([answer("a", true), answer("b", false)]);
  expect(mixed.unread).toBe(undefined);
  expect(mixed.choices.map(({ index, message }) => [index, message.content])).toEqual([
    [0, "a"],
    [1, "b"],
  ]);
});

test("every choice tells that it has no log-probabilities, also where its server does not", () => {
  const without = new MergedChoices([answer("a", true, {}), answer("b", true)]);
  expect(without.unread).toBe(undefined);
  expect(sent(without)).toMatchObject({ choices: [{ logprobs: null }, { logprobs: null }] });
});
