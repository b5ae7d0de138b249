import * as fc from "../support/properties.ts";
import { afterAll, describe, expect, test } from "vitest";
import { hostile, mutated, pathsOf } from "../support/mutation.ts";
import { modelsOf, routes, startFuzzed, type Route } from "./routes.ts";

const messages = [
  { role: "system", content: "Be brief." },
  { role: "user", content: [{ type: "text", text: "What is 2+2?" }] },
  { role: "assistant", content: null, tool_calls: [{ id: "call_1", type: "function", function: { name: "add", arguments: "{}" } }] },
  { role: "tool", tool_call_id: "call_1", content: "4" },
];
const tools = [{ type: "function", function: { name: "add", parameters: { type: "object" } } }];
const chat = {
  messages,
  tools,
  tool_choice: "auto",
  temperature: 1,
  n: 1,
  stop: ["x"],
  seed: 1,
  stream: false,
  stream_options: null,
  response_format: { type: "json_schema", json_schema: { name: "x", schema: { type: "object", properties: { a: { type: "number" } } } } },
  chorale: { expose: "full", budget: { usd: 1 } },
};
const blocks = [
  { role: "user", content: [{ type: "text", text: "What is 2+2?" }] },
  { role: "assistant", content: [{ type: "tool_use", id: "toolu_1", name: "add", input: { a: 2 } }] },
  { role: "user", content: [{ type: "tool_result", tool_use_id: "toolu_1", content: "4" }] },
];
const native = { system: "Be brief.", messages: blocks, tools: [{ name: "add", input_schema: { type: "object" } }] };

/** A body that each route takes. */
const valid: Readonly<Record<Route, object>> = {
  "/v1/chat/completions": chat,
  "/v1/chorale/explain": chat,
  "/v1/responses": {
    input: [
      { type: "message", role: "user", content: [{ type: "input_text", text: "What is 2+2?" }] },
      { type: "function_call", call_id: "call_1", name: "add", arguments: "{}" },
      { type: "function_call_output", call_id: "call_1", output: "4" },
    ],
    tools: [{ type: "function", name: "add", parameters: { type: "object" } }],
    text: { format: { type: "text" } },
    reasoning: { effort: "low" },
    stream: false,
  },
  "/v1/messages": { ...native, max_tokens: 16, tool_choice: { type: "auto" }, thinking: { type: "disabled" }, stream: false },
  "/v1/messages/count_tokens": native,
  "/v1/completions": { prompt: ["What is 2+2?", "And 3+3?"], max_tokens: 16, logprobs: 1, echo: false, stream: false, n: 1 },
  "/v1/embeddings": { input: ["a", "b"], encoding_format: "float", dimensions: 8 },
  "/v1/rerank": { query: "2+2", documents: ["4", { text: "5" }], top_n: 1, return_documents: true },
  "/v1/moderations": { input: [{ type: "text", text: "a" }] },
};

const fuzzed = await startFuzzed(afterAll);

/** What makes a route fail goes into the corpus. */
async function post(route: Route, body: unknown): Promise<void> {
  const text = JSON.stringify(body) ?? "";
  try {
    await fuzzed.post(route, Buffer.from(text));
  } catch (thrown) {
    throw new Error(`${route} fails at this body, which belongs into test/fuzz/corpus:\n${text}`, { cause: thrown });
  }
}

describe.each(routes)("%s", (route) => {
  const whole = { model: modelsOf(route)[0], ...valid[route] };
  const paths = pathsOf(whole).filter((path) => path.length > 0);
  const change = fc.record({ path: fc.constantFrom(...paths), value: fc.option(hostile, { nil: undefined }) });

  test("no mutation of a body makes the gateway fail", async () => {
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...modelsOf(route)), fc.array(change, { maxLength: 3 }), async (model, changes) => {
        await post(
          route,
          changes.reduce<unknown>((body, { path, value }) => mutated(body, path, value), { ...whole, model }),
        );
      }),
      { numRuns: 120 },
    );
  });

  test("no JSON at all makes the gateway fail", async () => {
    const field = fc.constantFrom("messages", "input", "prompt", "query", "documents", "tools", "stream", "model", "max_tokens");
    const body = fc.oneof(
      hostile,
      fc.dictionary(field, hostile).map((fields) => ({ model: modelsOf(route)[0], ...fields })),
    );
    await fc.assert(
      fc.asyncProperty(body, (given) => post(route, given)),
      { numRuns: 60 },
    );
  });
});

test("all of them are still answered", async () => {
  const { status, text } = await fuzzed.post(
    "/v1/chat/completions",
    Buffer.from(JSON.stringify({ model: "exam", messages: messages.slice(0, 2) })),
  );
  expect([status, text]).toEqual([200, expect.stringContaining("4")]);
});
