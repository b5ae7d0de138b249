import { expect, test } from "vitest";
import { change, type Message } from "../../../src/model/request.ts";
import { dialects, type DialectName } from "../../../src/providers/openai/dialects.ts";
import { requestWriter } from "../../../src/providers/openai/request.ts";
import { newRequest } from "../../support/call.ts";

const call = (more: object = {}) => ({ id: "call_1aaaa", type: "function", function: { name: "f", arguments: '{ "a":1 }' }, ...more });

function written(dialect: DialectName, messages: readonly Message[]) {
  const writer = requestWriter(dialects[dialect], (model) => `up/${model}`);
  const { bytes, dropped } = writer.write(newRequest({ messages }), "m", "unary");
  return { messages: (JSON.parse(bytes.toString("utf8")) as { readonly messages: readonly Message[] }).messages, dropped };
}

const user: Message = { role: "user", content: "Hi", reasoning: "mine" };

test.each<DialectName>(["openai", "azure", "mistral", "groq"])("%s gets no thoughts of an answer that is sent back", (dialect) => {
  const thoughts = { reasoning_content: "Hm", reasoning_details: [{ type: "x" }], thinking_blocks: [{ type: "thinking" }] };
  const answer = { role: "assistant", content: "Yes", ...thoughts, tool_calls: [call({ extra_content: { google: {} } })] } as const;
  const { messages, dropped } = written(dialect, [user, answer]);
  expect(messages[1]).toEqual({ role: "assistant", content: "Yes", tool_calls: [{ ...call(), id: expect.any(String) }] });
  expect(messages[0]?.["reasoning"], "what a client says itself is its own affair").toBe("mine");
  expect(dropped).toEqual(["messages[].reasoning_content", "messages[].reasoning_details", "messages[].thinking_blocks"]);
});

test.each<DialectName>(["mistral", "groq"])("%s gets no empty fields of an answer either, and a refusal as words", (dialect) => {
  const echoed = { refusal: null, annotations: [], audio: null, function_call: null };
  const { messages, dropped } = written(dialect, [
    user,
    { role: "assistant", content: "Yes", ...echoed },
    { role: "assistant", content: null, refusal: "I will not." },
    { role: "assistant", content: "", refusal: "I will not." },
    { role: "assistant", content: null, function_call: { name: "f", arguments: "{}" } },
  ]);
  expect(messages.slice(1)).toEqual([
    { role: "assistant", content: "Yes" },
    { role: "assistant", content: "I will not." },
    { role: "assistant", content: "I will not." },
    { role: "assistant", content: null, function_call: { name: "f", arguments: "{}" } },
  ]);
  expect(dropped).toEqual([]);
});

test.each<DialectName>(["openai", "azure", "groq"])("%s is asked for no file by its address", (dialect) => {
  const file = (data: string) =>
    [
      {
        role: "user",
        content: [
          { type: "text", text: "See" },
          { type: "file", file: { file_data: data } },
        ],
      },
    ] as unknown as readonly Message[];
  expect(() => written(dialect, file("https://example.com/a.pdf"))).toThrow("takes files by their bytes");
  expect(written(dialect, file("data:application/pdf;base64,AA==")).messages).toHaveLength(1);
});

test("other servers get an answer back as it came", () => {
  const answer: Message = { role: "assistant", content: "Yes", refusal: null, annotations: [], reasoning_content: "Hm" };
  for (const dialect of ["deepseek", "openrouter", "vllm", "generic"] as const)
    expect(written(dialect, [user, answer]).messages[1]).toEqual(answer);
  expect(written("openai", [user, { ...answer, reasoning_content: undefined }]).messages[1]).toMatchObject({
    refusal: null,
    annotations: [],
  });
});

test("what is asked of a model twice is written once", () => {
  const writer = requestWriter(dialects.openai, (model) => `up/${model}`);
  const request = change(newRequest({ n: 3, messages: [user] }), { n: undefined });
  const { bytes } = writer.write(request, "m", "unary");
  expect(JSON.parse(bytes.toString("utf8"))).toMatchObject({ model: "m" });
  expect(writer.write(request, "m", "unary").bytes).toBe(bytes);
  const other = writer.write(request, "other", "unary").bytes;
  expect(JSON.parse(other.toString("utf8"))).toMatchObject({ model: "other" });
  const streamed = writer.write(request, "other", "stream").bytes;
  expect(JSON.parse(streamed.toString("utf8"))).toMatchObject({ model: "other", stream: true });
  expect(writer.write(request, "m", "unary").bytes.equals(bytes)).toBe(true);
});
