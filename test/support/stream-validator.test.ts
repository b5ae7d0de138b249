import { describe, expect, test } from "vitest";
import { accumulate, validateError, validateStream } from "./stream-validator.ts";
import { chunkStream, errorJson, frame, type StreamOptions } from "./upstream.ts";

const stream = (options: StreamOptions = {}, texts: readonly string[] = ["Hel", "lo"]) => chunkStream(texts, options).join("");
const check = (text: string | Uint8Array, usage = false) => validateStream(text, { usage });

const head = { id: "1", object: "chat.completion.chunk", created: 1, model: "m" };
const chunk = (delta: object, more: object = {}, index = 0) =>
  frame({ ...head, choices: [{ index, delta, finish_reason: null, ...more }] });
const role = chunk({ role: "assistant", content: "" });
const end = chunk({}, { finish_reason: "stop" });
const done = frame("[DONE]");
const call = (fields: object) => chunk({ tool_calls: [fields] });
const opened = (index: number) => call({ index, id: `call_${index}`, type: "function", function: { name: "f", arguments: "" } });
const args = (index: number, text: string) => call({ index, function: { arguments: text } });
const calls = (...frames: string[]) => [role, ...frames, chunk({}, { finish_reason: "tool_calls" }), done].join("");

describe("validateStream", () => {
  test("accepts heartbeats, as comments and as empty deltas, and unknown fields", () => {
    const beat = chunk({});
    expect(check(`: ping\n\n${beat}${role}: ping\n${chunk({ content: "Hi" }, { chorale: 1 })}${beat}${end}${done}`)).toEqual([]);
  });

  test("accepts arguments that a limit cut", () => {
    expect(check([role, opened(0), args(0, '{"a":'), chunk({}, { finish_reason: "length" }), done].join(""))).toEqual([]);
  });

  test.each<[string, string | Uint8Array, string]>([
    ["bytes that are not UTF-8", Buffer.from([0x64, 0xff]), "it is not UTF-8"],
    ["an id line", `id: 1\n${stream()}`, "a line that is not data:, event: or a comment: id: 1"],
    ["a retry line", `retry: 3000\n\n${stream()}`, "a line that is not data:, event: or a comment: retry: 3000"],
    ["a byte order mark", `\uFEFF${stream()}`, "a line that is not data:"],
    ["an event without data", `event: ping\n\n${stream()}`, "an event without data"],
    ["data that is no JSON", `data: ping\n\n${stream()}`, "data is no JSON object: ping"],
    ["no [DONE]", stream({ done: false }), "[DONE] stands 0 times"],
    ["two [DONE]", stream() + done, "[DONE] stands 2 times"],
    ["data after [DONE]", stream() + role, "there is data after [DONE]"],
    ["no blank line at the end", stream().slice(0, -1), "the last event has no blank line after it"],
    ["a comment after [DONE]", `${stream()}: bye\n\n`, "the last bytes are not [DONE] and a blank line"],
    ["another id", role + frame({ ...head, id: "2", choices: [] }) + end + done, "id, created or model changes"],
    ["a fraction in created", frame({ ...head, created: 1.5, choices: [] }) + done, "created is no integer"],
    ["another object", frame({ ...head, object: "chat.completion", choices: [] }) + done, "object is not chat.completion.chunk"],
    ["no choices", frame(head) + role + end + done, "choices is no list"],
    ["an error of null", frame({ ...head, choices: [], error: null }) + done, "a chunk has the key error"],
    ["no choice at all", done, "there is no choice"],
    ["the second choice first", chunk({ role: "assistant" }, {}, 1) + done, "the first choice is not that with index 0"],
    ["no role", stream({ roles: "none" }), "choice 0 has no role"],
    ["a role on every chunk", stream({ roles: "every" }), "a role stands twice"],
    ["another role", chunk({ role: "user" }) + end + done, "a role is not assistant"],
    ["content that is a list", role + chunk({ content: [] }) + end + done, "content is no text"],
    ["no finish reason", stream({ finish: null }), "choice 0 has no finish_reason"],
    ["an unknown finish reason", stream({ finish: "eos" }), 'finish_reason is "eos"'],
    ["a missing finish reason", role + chunk({}, { finish_reason: undefined }) + end + done, "finish_reason is undefined"],
    ["two finish reasons", role + end + end + done, "choice 0 has two finish_reasons"],
    ["content after the end", role + end + chunk({ content: "!" }) + done, "there is content after a finish_reason"],
    ["usage that was not asked for", stream({ usage: true }), "a chunk has a usage that was not asked for"],
    ["a chunk without choices", role + frame({ ...head, choices: [] }) + end + done, "a chunk without choices is no usage chunk"],
    ["interleaved calls", calls(opened(0), opened(1), args(0, "{}"), args(1, "{}")), "tool calls are interleaved"],
    ["calls that start at 1", calls(opened(1), args(1, "{}")), "the index of a tool call is 1"],
    [
      "a call without index",
      calls(call({ id: "1", type: "function", function: { name: "f", arguments: "{}" } })),
      "the index of a tool call is undefined",
    ],
    ["a call without id", calls(call({ index: 0, type: "function", function: { name: "f", arguments: "{}" } })), "tool call 0 has no id"],
    ["a call without type", calls(call({ index: 0, id: "1", function: { name: "f", arguments: "{}" } })), "tool call 0 has no type"],
    ["a call without name", calls(call({ index: 0, id: "1", type: "function", function: { arguments: "{}" } })), "tool call 0 has no name"],
    ["a call named twice", calls(opened(0), call({ index: 0, id: "call_0", function: { arguments: "{}" } })), "tool call 0 is named twice"],
    ["arguments that are an object", calls(opened(0), call({ index: 0, function: { arguments: {} } })), "arguments are no text"],
    ["arguments that are no JSON", calls(opened(0), args(0, "{")), "arguments are no JSON: {"],
  ])("rejects %s", (_, text, claim) => {
    expect(check(text)).toContainEqual(expect.stringContaining(claim));
  });

  const asked = { ...head, choices: [], usage: { prompt_tokens: 1, completion_tokens: 2, total_tokens: 3 } };
  test.each<[string, string, string]>([
    ["no usage", stream(), "the usage chunk is missing"],
    ["usage before the end", role + frame(asked) + end + done, "the usage chunk is not the last"],
    [
      "usage beside choices",
      role + frame({ ...asked, choices: [{ index: 0, delta: {}, finish_reason: "stop" }] }) + done,
      "the usage chunk has choices",
    ],
    ["usage twice", role + end + frame(asked) + frame(asked) + done, "there are two usage chunks"],
    [
      "a sum that is none",
      role + end + frame({ ...asked, usage: { ...asked.usage, total_tokens: 4 } }) + done,
      "total_tokens is not the sum",
    ],
    ["a count that is missing", role + end + frame({ ...asked, usage: {} }) + done, "usage lacks a count"],
  ])("rejects %s where usage was asked for", (_, text, claim) => {
    expect(check(text, true)).toContain(claim);
  });

  test("accepts a cut stream only with one error frame at its end", () => {
    const error = frame(errorJson("The upstream broke off."));
    const cut = (text: string) => validateStream(text, { usage: false, end: "error" });
    expect(cut(role + error)).toEqual([]);
    expect(cut(role + error + done)).toContain("[DONE] after an error");
    expect(cut(role)).toContain("the last frame is no error");
    expect(cut(role + error + role)).toContain("a chunk has the key error");
  });
});

describe("validateError", () => {
  const headers = { "Content-Type": "application/json; charset=utf-8", "x-request-id": "r1" };

  test("accepts an OpenAI error, whatever the headers are kept in", () => {
    const body = JSON.stringify(errorJson("No such model.", { code: "model_not_found" }));
    expect(validateError(body, headers)).toEqual([]);
    expect(validateError(Buffer.from(body), new Headers(headers))).toEqual([]);
    expect(validateError(JSON.parse(body), headers)).toEqual([]);
  });

  test.each<[string, unknown, string]>([
    ["HTML", "<html></html>", "the body is no JSON object"],
    ["a text as error", { error: "no" }, "there is no error object"],
    ["an empty message", errorJson(""), "message is no text"],
    ["no type", { error: { message: "no", param: null, code: null } }, "type is no text"],
    ["a number as code", { error: { ...(errorJson("no") as { error: object }).error, code: 404 } }, "code is neither text nor null"],
    ["no param", { error: { message: "no", type: "t", code: null } }, "param is neither text nor null"],
    ["a further key", { error: { message: "no", type: "t", param: null, code: null, stack: "" } }, "the error has further keys: stack"],
    ["a page of HTML", errorJson("<h1>502</h1>"), "message tells HTML"],
    ["a stack", errorJson("no\n    at run (main.ts:1)"), "message tells a stack"],
    ["a path", errorJson("can not read /etc/passwd"), "message tells a path"],
    ["a host", errorJson("connect ECONNREFUSED 127.0.0.1:80"), "message tells a host"],
    ["a key", errorJson("bad key sk-abcdefgh"), "message tells a key"],
    ["a secret", errorJson("no answer from gpu.internal"), "message tells gpu.internal"],
  ])("rejects %s", (_, body, claim) => {
    expect(validateError(body, headers, ["gpu.internal"])).toContain(claim);
  });

  test("misses headers", () => {
    expect(validateError(errorJson("no"), {})).toEqual(["content-type is not application/json", "x-request-id is missing"]);
  });
});

describe("accumulate", () => {
  test("repeats what is sent twice", () => {
    const { choices } = accumulate(stream({ roles: "every" }));
    expect(choices[0]?.message).toMatchObject({ role: "assistant".repeat(3), content: "Hello" });
  });

  test("merges calls by their index", () => {
    const { choices } = accumulate(calls(opened(0), args(0, '{"a"'), args(0, ":1}"), opened(1), args(1, "{}")));
    expect(choices[0]?.message["tool_calls"]).toMatchObject([
      { id: "call_0", function: { arguments: '{"a":1}' } },
      { id: "call_1", function: { arguments: "{}" } },
    ]);
  });

  test("keeps the usage of the last chunk, even when it has none", () => {
    expect(accumulate(stream({ usage: true })).usage).toMatchObject({ total_tokens: 10 });
    expect(accumulate(role + frame({ ...head, choices: [], usage: {} }) + end + done).usage).toBeUndefined();
  });

  test.each<[string, string, RegExp]>([
    ["an error frame", role + frame(errorJson("no")), /APIError/],
    ["a heartbeat after an id", `id: 1\n${role}: ping\n\n${end}${done}`, /JSON/],
    ["a heartbeat without data", `event: ping\n\n${stream()}`, /JSON/],
    ["a call without index", calls(call({ id: "1", function: { arguments: "" } }), call({ function: { arguments: "" } })), /index/],
    ["calls that start at 1", calls(opened(1)), /IndexError/],
    ["the second choice first", chunk({ role: "assistant" }, {}, 1), /IndexError/],
    ["a chunk without choices", role + frame(head), /iterable/],
  ])("throws at %s", (_, text, message) => {
    expect(() => accumulate(text)).toThrow(message);
  });

  test("drops an event that no blank line ends", () => {
    const { choices } = accumulate(role + chunk({ content: "Hi" }) + chunk({ content: "!" }).slice(0, -1));
    expect(choices[0]?.message["content"]).toBe("Hi");
  });
});
