import type { RunnableToolFunctionWithParse } from "openai/lib/RunnableFunction";
import { expect, onTestFinished, test } from "vitest";
import { startPair, upstreamKey } from "../../support/gateway.ts";
import { accumulate, validateError, validateStream } from "../../support/stream-validator.ts";
import { json, sse, type Scripts } from "../../support/upstream.ts";

const start = (scripts: Scripts) => startPair(scripts, { onFinished: onTestFinished, provider: { kind: "gemini" } });

const event = (value: unknown) => `data: ${JSON.stringify(value)}\r\n\r\n`;
const response = (parts: readonly object[], rest: object = {}, candidate: object = {}) => ({
  candidates: [{ content: { role: "model", parts }, index: 0, ...candidate }],
  ...rest,
});
const usageMetadata = { promptTokenCount: 50, cachedContentTokenCount: 30, candidatesTokenCount: 5, thoughtsTokenCount: 11 };
const called = [
  event(response([{ text: "Hm.", thought: true }])),
  event(response([{ text: "I look." }])),
  event(response([{ functionCall: { name: "add", args: { a: 2 } }, thoughtSignature: "c2ln" }], { usageMetadata })),
  event(response([], {}, { finishReason: "STOP" })),
];
const parameters = { type: "object", properties: { a: { type: "number" } }, required: ["a"] };

test("A-GEM-02 a stream passes every check of a stream, its usage and its reasoning with it", async () => {
  const { gateway, upstream } = await start({ s: sse(called, { split: 7 }) });
  const text = await (await gateway.chat({ model: "up/s", stream: true, stream_options: { include_usage: true } })).text();
  expect(validateStream(text, { usage: true })).toEqual([]);
  const [choice] = accumulate(text).choices;
  expect(choice).toMatchObject({
    finish_reason: "tool_calls",
    message: {
      content: "I look.",
      reasoning_content: "Hm.",
      tool_calls: [{ type: "function", function: { name: "add", arguments: '{"a":2}' } }],
    },
  });
  expect(text).toContain('"usage":{"prompt_tokens":50,"completion_tokens":16,"total_tokens":66,');
  expect(upstream.requests[0]?.headers["x-goog-api-key"]).toBe(upstreamKey);
  expect(upstream.requests[0]?.path).not.toContain(upstreamKey);
});

test("A-TOOL-01 the official client runs a tool; the signature of the thoughts goes back with the call, though this client does not keep it", async () => {
  const first = json(
    200,
    response([{ functionCall: { name: "add", args: { a: 2 } }, thoughtSignature: "c2ln" }], { usageMetadata }, { finishReason: "STOP" }),
  );
  const second = json(200, response([{ text: "It is 4." }], { usageMetadata }, { finishReason: "STOP" }));
  const { gateway, upstream } = await start({ s: [first, second] });
  const add: RunnableToolFunctionWithParse<{ a: number }> = {
    type: "function",
    function: {
      name: "add",
      description: "Adds 2.",
      parameters,
      parse: (text) => JSON.parse(text) as { a: number },
      function: ({ a }) => String(a + 2),
    },
  };
  const run = gateway.client().chat.completions.runTools({ model: "up/s", messages: [{ role: "user", content: "2+2?" }], tools: [add] });
  expect(await run.finalContent()).toBe("It is 4.");
  const contents = upstream.requests[1]?.json["contents"] as readonly object[];
  expect(contents.slice(1)).toMatchObject([
    { role: "model", parts: [{ functionCall: { name: "add", args: { a: 2 } }, thoughtSignature: "c2ln" }] },
    { role: "user", parts: [{ functionResponse: { name: "add" } }] },
  ]);
});

test("A-GEM-03, A-GEM-04 failures have the shape of the OpenAI API, and name neither host nor key", async () => {
  const { gateway, upstream } = await start({
    blocked: json(200, { promptFeedback: { blockReason: "SAFETY" } }),
    busy: json(429, { error: { code: 429, message: `No ${upstreamKey}`, status: "RESOURCE_EXHAUSTED", details: [{ retryDelay: "37s" }] } }),
  });
  const blocked = await gateway.chat({ model: "up/blocked" });
  expect([blocked.status, validateError(await blocked.json(), blocked.headers, [upstreamKey, String(upstream.port)])]).toEqual([400, []]);
  const busy = await gateway.chat({ model: "up/busy", stream: true });
  expect([busy.status, busy.headers.get("retry-after")]).toEqual([429, "37"]);
  expect(validateError(await busy.json(), busy.headers, [upstreamKey, String(upstream.port)])).toEqual([]);
});
