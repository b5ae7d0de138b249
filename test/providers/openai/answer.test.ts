import * as fc from "../../support/properties.ts";
import { describe, expect, test } from "vitest";
import { GatewayError } from "../../../src/model/errors.ts";
import { answerPaths, readAnswer } from "../../../src/providers/openai/answer.ts";
import { completionJson } from "../../support/upstream.ts";

const context = { upstream: "up/a", callId: "chatcmpl-0123456789abcdef01234567", wallMs: () => 0 };
const read = (body: unknown) => readAnswer(Buffer.from(typeof body === "string" ? body : JSON.stringify(body)), context);

/** Without what is a getter on one side and absent on the other. */
const plain = ({ id, model, created, choices, usage }: ReturnType<typeof read>) => ({ id, model, created, choices, usage });

const text = fc.oneof(fc.constantFrom('"', "\\", "\n", '"},"finish_reason":"stop"', "é😀", ""), fc.string({ unit: "grapheme" }));

describe("readAnswer", () => {
  test("understands an answer that it did not read as one that it did", () => {
    fc.assert(
      fc.property(text, fc.constantFrom("stop", "length"), fc.integer({ min: 0, max: 9 }), (content, reason, cached) => {
        const usage = { prompt_tokens: 7, completion_tokens: 3, total_tokens: 10, prompt_tokens_details: { cached_tokens: cached } };
        const message = { role: "assistant", content, refusal: null };
        const body = (choice: object) => ({ id: "x", object: "chat.completion", created: 1, model: "m", choices: [choice], usage });
        const compact = body({ index: 0, message, finish_reason: reason, logprobs: null });
        const before = { ...answerPaths };
        const short = read(compact);
        expect(answerPaths.unread - before.unread).toBe(1);
        const long = readAnswer(Buffer.from(JSON.stringify(compact, undefined, 1)), context);
        expect(answerPaths.parsed - before.parsed).toBe(1);
        expect(plain(short)).toEqual(plain(long));
        expect(short.bytes?.toString()).toBe(JSON.stringify(compact));
      }),
    );
  });

  test("keeps the bytes of a canonical answer", () => {
    const body = JSON.stringify(
      completionJson("4", {
        message: { tool_calls: [{ id: "c", type: "function", function: { name: "f", arguments: "{}" } }] },
        choice: { finish_reason: "tool_calls" },
      }),
    );
    expect(read(body).bytes?.toString()).toBe(body);
  });

  const call = (fields: object) => ({ message: { tool_calls: [fields] }, choice: { finish_reason: "tool_calls" } });

  test.each<readonly [string, object, object]>([
    [
      "stop with calls",
      completionJson(null, { message: { tool_calls: [{ id: "c", type: "function", function: { name: "f", arguments: "{}" } }] } }),
      { finishReason: "tool_calls" },
    ],
    ["an unknown finish reason", completionJson("4", { choice: { finish_reason: "eos" } }), { finishReason: "stop" }],
    ["no finish reason", completionJson("4", { choice: { finish_reason: null } }), { finishReason: "stop" }],
    ["max_tokens", completionJson("4", { choice: { finish_reason: "max_tokens" } }), { finishReason: "length" }],
    ["another role", completionJson("4", { message: { role: "model" } }), { message: { role: "assistant" } }],
    ["no content", completionJson(null, { message: { content: undefined } }), { message: { content: null } }],
    ["tool_calls null", completionJson("4", { message: { tool_calls: null } }), { message: { content: "4" } }],
    ["no index", completionJson("4", { choice: { index: undefined } }), { index: 0 }],
    [
      "arguments as an object",
      completionJson(null, call({ id: "c", type: "function", function: { name: "f", arguments: { a: 1 } } })),
      { message: { tool_calls: [{ function: { arguments: '{"a":1}' } }] } },
    ],
    [
      "a call without id and type",
      completionJson(null, call({ function: { name: "f", arguments: "{}" } })),
      { message: { tool_calls: [{ type: "function", id: expect.stringMatching(/^call_/) as string }] } },
    ],
    ["content as a list", completionJson(null, { message: { content: [{ type: "text", text: "4" }] } }), { message: { content: "4" } }],
    ["reasoning under another name", completionJson("4", { message: { reasoning: "hm" } }), { message: { reasoning_content: "hm" } }],
  ])("makes an answer with %s canonical, and its bytes too", (_, body, choice) => {
    const before = answerPaths.canonical;
    const completion = read(body);
    expect(answerPaths.canonical - before).toBe(1);
    expect(completion.choices).toMatchObject([choice]);
    const again = readAnswer(completion.bytes ?? Buffer.alloc(0), context);
    expect(plain(again)).toEqual(plain(completion));
    expect(answerPaths.canonical - before).toBe(1);
  });

  test("makes U+FFFD of what is no UTF-8", () => {
    const bytes = Buffer.from(JSON.stringify(completionJson("a@b")));
    bytes[bytes.indexOf("@")] = 0xff;
    const completion = readAnswer(bytes, context);
    expect(completion.choices[0]?.message.content).toBe("a\ufffdb");
    expect(completion.bytes?.toString()).toContain("a\ufffdb");
  });

  const plainAnswer =
    '{"id":"x","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"4"},"finish_reason":"stop"}],"usage":{"prompt_tokens":7,"completion_tokens":3,"total_tokens":10}}';

  test.each<readonly [string, string, string]>([
    ["a head that is no JSON", '{"id":"x",', '{"id":x,'],
    ["a tail that is no JSON", "}}", "}"],
    ["more after its end", "}}", "}}}"],
    ["white space after its end that is none in JSON", "}}", "}}\v"],
    ["a control character", '"4"', '"4\t"'],
    ["an escape that is none", '"4"', String.raw`"4\q"`],
  ])("does not pass on unread an answer with %s", (_, from, to) => {
    const before = answerPaths.unread;
    read(plainAnswer);
    expect(answerPaths.unread - before).toBe(1);
    expect(() => read(plainAnswer.replace(from, () => to))).toThrow(expect.objectContaining({ code: "upstream_protocol" }) as Error);
  });

  test.each<readonly [string, string, string]>([
    ["another object", "chat.completion", "chat"],
    ["no created", '"created":1,', ""],
    ["choices twice", "}}", '},"choices":[{"index":0,"message":{"role":"assistant","content":"5"},"finish_reason":"stop"}]}'],
  ])("reads an answer with %s", (_, from, to) => {
    const before = answerPaths.unread;
    expect(read(plainAnswer.replace(from, () => to)).choices).toHaveLength(1);
    expect(answerPaths.unread - before).toBe(0);
  });

  test.each<readonly [string, unknown, string]>([
    ["no JSON", "<html>", "upstream_protocol"],
    ["a list", "[]", "upstream_protocol"],
    ["no choices", { choices: [] }, "upstream_protocol"],
    ["choices without a message", { choices: [{ index: 0 }] }, "upstream_protocol"],
    ["an error", { error: { message: "boom", type: "rate_limit_error" } }, "upstream_rate_limited"],
    ["an error beside a plain answer", { ...completionJson("4"), error: { message: "boom" } }, "upstream_error"],
    ["an error in front of a plain answer", { error: { message: "boom" }, ...completionJson("4") }, "upstream_error"],
    ["an error as an object of its own", { object: "error", message: "boom", code: 503 }, "upstream_overloaded"],
    ["a choice that ended in an error", completionJson("4", { choice: { finish_reason: "error" } }), "upstream_error"],
  ])("fails on %s", (_, body, code) => {
    expect(() => read(body)).toThrow(GatewayError);
    expect(() => read(body)).toThrow(expect.objectContaining({ code }) as Error);
  });
});
