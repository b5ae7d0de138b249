import { createOpenAI } from "@ai-sdk/openai";
import { generateText } from "ai";
import { expect, onTestFinished, test } from "vitest";
import { clientKey, messages, startPair } from "../support/gateway.ts";
import { accumulate, validateStream } from "../support/stream-validator.ts";
import { chunkStream, completionJson, frame, json, sse, type Scripts } from "../support/upstream.ts";

const start = (scripts: Scripts) =>
  startPair(scripts, {
    onFinished: onTestFinished,
    config: { models: { exam: { kind: "vote", members: ["up/a", "up/b", "up/c"] } } },
  });

const schema = {
  $schema: "https://json-schema.org/draft/2020-12/schema",
  title: "Sum",
  type: "object",
  properties: { sum: { type: "number", minimum: 1.0, const: 4 } },
  required: ["sum"],
  additionalProperties: false,
};
const response_format = { type: "json_schema", json_schema: { name: "sum", strict: true, schema } } as const;
const tool = { type: "function", function: { name: "add", parameters: { type: "object" } } } as const;
const answer = '{"sum":4}';
const says = json(200, completionJson(answer));

test.each(["up/a", "exam"])("A-JSON-01 %s forwards a schema as it is written, and the official client parses the answer", async (model) => {
  const { gateway, upstream } = await start({ "*": says });
  const parsed = await gateway.client().chat.completions.parse({ model, messages: [...messages], response_format });
  expect(parsed.choices[0]?.message.parsed).toEqual({ sum: 4 });
  expect(upstream.requests[0]?.json["response_format"]).toEqual(response_format);
  const format = `{"type":"json_schema","json_schema":{"strict":true ,"schema":{"minimum":1.0,"title":"x","$schema":"y"},"name":"sum"}}`;
  await gateway.chat(`{"model":"${model}","messages":${JSON.stringify(messages)},"response_format":${format}}`);
  expect(upstream.requests.at(-1)?.body.toString()).toContain(`"response_format":${format}`);
});

test("A-JSON-03 a refusal is no content: whole, streamed, and to the AI SDK a content filter", async () => {
  const head = { id: "x", object: "chat.completion.chunk", created: 1, model: "m" };
  const chunk = (delta: object, reason: string | null = null) => frame({ ...head, choices: [{ index: 0, delta, finish_reason: reason }] });
  const streamed = [
    chunk({ role: "assistant", content: null, refusal: "" }),
    chunk({ refusal: "I " }),
    chunk({ refusal: "will not." }),
    chunk({}, "stop"),
    frame("[DONE]"),
  ];
  const { gateway } = await start({
    a: json(200, completionJson(null, { message: { refusal: "I will not." } })),
    s: sse(streamed),
  });
  const whole = await gateway.client().chat.completions.parse({ model: "up/a", messages: [...messages], response_format });
  expect(whole.choices[0]?.message).toMatchObject({ content: null, refusal: "I will not.", parsed: null });
  const text = await (await gateway.chat({ model: "up/s", stream: true, response_format })).text();
  expect(validateStream(text, { usage: false })).toEqual([]);
  expect(accumulate(text).choices[0]?.message).toMatchObject({ refusal: "I will not." });
  const openai = createOpenAI({ baseURL: gateway.url, apiKey: clientKey });
  expect((await generateText({ model: openai.chat("up/a"), prompt: "x", maxRetries: 0 })).finishReason).toBe("content-filter");
});

test("A-JSON-04 a schema beside tools: the calls of a leaf go out, and a streamed answer keeps to the schema", async () => {
  const { gateway, upstream } = await start({
    a: json(
      200,
      completionJson(null, {
        message: { tool_calls: [{ id: "call_1", type: "function", function: { name: "add", arguments: "{}" } }] },
        choice: { finish_reason: "tool_calls" },
      }),
    ),
    s: sse(chunkStream([answer.slice(0, 4), answer.slice(4)], { usage: true })),
    b: says,
    c: says,
  });
  for (const model of ["up/a", "exam"]) {
    const body = (await (await gateway.chat({ model, response_format, tools: [tool] })).json()) as object;
    expect(body).toMatchObject({ choices: [{ finish_reason: "tool_calls", message: { tool_calls: [{ function: { name: "add" } }] } }] });
    expect(upstream.requests.at(-1)?.json).toMatchObject({ response_format, tools: [tool] });
  }
  const text = await (await gateway.chat({ model: "up/s", stream: true, response_format, tools: [tool] })).text();
  expect(validateStream(text, { usage: false })).toEqual([]);
  expect(accumulate(text).choices[0]?.message["content"]).toBe(answer);
});
