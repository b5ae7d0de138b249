import { createOpenAI } from "@ai-sdk/openai";
import { Agent, OpenAIResponsesModel, run, setTracingDisabled, tool as agentTool } from "@openai/agents";
import { generateText, stepCountIs, streamText, tool } from "ai";
import OpenAI6 from "openai-6";
import { zodTextFormat } from "openai/helpers/zod";
import { describe, expect, test } from "vitest";
import * as z from "zod";
import { responseEvents, startResponses, wrongEvents, wrongResponse } from "../http/responses/answering.ts";
import { calls, says } from "../support/answers.ts";
import { clientKey } from "../support/gateway.ts";
import { validateError } from "../support/stream-validator.ts";

type Fields = Record<string, unknown>;

setTracingDisabled(true);

const add = {
  type: "function" as const,
  name: "add",
  description: "Adds two numbers.",
  parameters: {
    type: "object",
    properties: { a: { type: "number" }, b: { type: "number" } },
    required: ["a", "b"],
    additionalProperties: false,
  },
  strict: true,
};
const addCall = { id: "call_1", name: "add", arguments: '{"a": 2,"b":2}' };

test("A-RSP-01 a string has a whole response", async () => {
  const { gateway, ask } = await startResponses({ a: says("It is 4.") });
  const response = await gateway.client().responses.create({ model: "up/a", input: "What is 2+2?" });
  expect(response.output_text).toBe("It is 4.");
  expect(response.status).toBe("completed");
  expect(response.usage).toEqual({
    input_tokens: 7,
    input_tokens_details: { cached_tokens: 0, cache_write_tokens: 0 },
    output_tokens: 3,
    output_tokens_details: { reasoning_tokens: 0 },
    total_tokens: 10,
  });
  expect(response._request_id).toMatch(/^req_/);
  const raw = (await (await ask()).json()) as Fields;
  expect(wrongResponse(raw)).toEqual([]);
  expect(raw["output"]).toEqual([
    {
      type: "message",
      id: expect.stringMatching(/^msg_/) as unknown,
      status: "completed",
      role: "assistant",
      content: [{ type: "output_text", text: "It is 4.", annotations: [], logprobs: [] }],
    },
  ]);
});

test("A-RSP-02 a text is told by events in order", async () => {
  const { ask } = await startResponses({ a: says("It is 4.") });
  const answer = await ask({ stream: true });
  expect(answer.headers.get("content-type")).toMatch(/^text\/event-stream/);
  const events = responseEvents(await answer.text());
  expect(events.map(({ type }) => type)).toEqual([
    "response.created",
    "response.in_progress",
    "response.output_item.added",
    "response.content_part.added",
    "response.output_text.delta",
    "response.output_text.delta",
    "response.output_text.done",
    "response.content_part.done",
    "response.output_item.done",
    "response.completed",
  ]);
  expect(wrongEvents(events)).toEqual([]);
  expect(wrongResponse(events.at(-1)?.["response"] as Fields)).toEqual([]);
});

test("A-RSP-03 a call of a function is told by events in order", async () => {
  const { ask } = await startResponses({ a: calls(addCall) });
  const events = responseEvents(await (await ask({ stream: true, tools: [add] })).text());
  expect(wrongEvents(events)).toEqual([]);
  const added = events.find(({ type }) => type === "response.output_item.added");
  expect(added?.["item"]).toMatchObject({ type: "function_call", status: "in_progress", call_id: "call_1", name: "add", arguments: "" });
  const deltas = events.filter(({ type }) => type === "response.function_call_arguments.delta");
  expect(deltas.map(({ delta }) => delta).join("")).toBe(addCall.arguments);
  const done = events.find(({ type }) => type === "response.function_call_arguments.done");
  expect(done).toMatchObject({ name: "add", arguments: addCall.arguments });
  const item = { type: "function_call", status: "completed", call_id: "call_1", name: "add", arguments: addCall.arguments };
  expect((events.at(-1)!["response"] as { output: unknown }).output).toMatchObject([item]);
});

test("A-RSP-04 items are the messages of a chat", async () => {
  const { ask, upstream } = await startResponses({ a: says("4") });
  const answer = await ask({
    instructions: "Be brief.",
    tools: [add],
    input: [
      { role: "developer", content: "Be kind." },
      { type: "message", role: "user", content: [{ type: "input_text", text: "What is 2+2?" }] },
      { type: "function_call", call_id: "call_1", name: "add", arguments: '{"a": 2,"b":12345678901234567890}' },
      { type: "function_call", call_id: "call_2", name: "add", arguments: "{}" },
      {
        type: "function_call_output",
        call_id: "call_2",
        output: [
          { type: "input_text", text: "none" },
          { type: "input_text", text: "at all" },
        ],
      },
      { type: "function_call_output", call_id: "call_1", output: "4" },
    ],
  });
  expect(answer.status).toBe(200);
  expect(upstream.requests[0]?.json["messages"]).toEqual([
    { role: "system", content: "Be brief." },
    { role: "developer", content: "Be kind." },
    { role: "user", content: "What is 2+2?" },
    {
      role: "assistant",
      content: null,
      tool_calls: [
        { id: "call_1", type: "function", function: { name: "add", arguments: '{"a": 2,"b":12345678901234567890}' } },
        { id: "call_2", type: "function", function: { name: "add", arguments: "{}" } },
      ],
    },
    { role: "tool", tool_call_id: "call_1", content: "4" },
    {
      role: "tool",
      tool_call_id: "call_2",
      content: [
        { type: "text", text: "none" },
        { type: "text", text: "at all" },
      ],
    },
  ]);
  const { description, name, parameters, strict } = add;
  expect(upstream.requests[0]?.json["tools"]).toEqual([{ type: "function", function: { name, description, parameters, strict } }]);
});

/** A leaf, and a panel in which the first member answers turns with tools. */
const models = ["up/a", "panel"];
const panel = { models: { panel: { kind: "vote", members: ["up/a", "up/b", "up/c"] } } };
const looping = () => ({ a: [calls(addCall), says("It is 4.")] as const, b: says("It is 4."), c: says("It is 4.") });

describe.each(models)("A-RSP-05 over %s", (model) => {
  test("the AI SDK calls a tool and finishes with text", async () => {
    const { gateway } = await startResponses(looping(), { config: panel });
    const openai = createOpenAI({ baseURL: gateway.url, apiKey: clientKey });
    const tools = { add: tool({ inputSchema: z.object({ a: z.number(), b: z.number() }), execute: ({ a, b }) => String(a + b) }) };
    const result = await generateText({ model: openai(model), prompt: "What is 2+2?", tools, stopWhen: stepCountIs(3), maxRetries: 0 });
    expect(result.text).toBe("It is 4.");
    expect(result.steps[0]?.toolResults[0]?.output).toBe("4");
    expect(result.finishReason).toBe("stop");
  });

  test("the AI SDK does so over a stream", async () => {
    const { gateway } = await startResponses(looping(), { config: panel });
    const openai = createOpenAI({ baseURL: gateway.url, apiKey: clientKey });
    const tools = { add: tool({ inputSchema: z.object({ a: z.number(), b: z.number() }), execute: ({ a, b }) => String(a + b) }) };
    const result = streamText({ model: openai(model), prompt: "What is 2+2?", tools, stopWhen: stepCountIs(3), maxRetries: 0 });
    expect(await result.text).toBe("It is 4.");
    expect((await result.steps)[0]?.toolResults[0]?.output).toBe("4");
    expect((await result.totalUsage).inputTokens).toBeGreaterThan(0);
  });

  test.each([false, true])("the Agents SDK runs an agent with a tool, streamed: %s", async (stream) => {
    const { gateway } = await startResponses(looping(), { config: panel });
    const ran: unknown[] = [];
    const adding = agentTool({
      name: "add",
      description: "Adds two numbers.",
      parameters: z.object({ a: z.number(), b: z.number() }),
      execute: (given) => {
        ran.push(given);
        return String(given.a + given.b);
      },
    });
    const asked = new OpenAIResponsesModel(gateway.client(), model);
    const agent = new Agent({ name: "adder", instructions: "Add.", model: asked, tools: [adding] });
    if (stream) {
      const result = await run(agent, "What is 2+2?", { stream: true });
      let text = "";
      for await (const event of result) {
        if (event.type === "raw_model_stream_event" && event.data.type === "output_text_delta") text += event.data.delta;
      }
      await result.completed;
      expect(text).toBe("It is 4.");
      expect(result.finalOutput).toBe("It is 4.");
    } else expect((await run(agent, "What is 2+2?")).finalOutput).toBe("It is 4.");
    expect(ran).toEqual([{ a: 2, b: 2 }]);
  });
});

test("A-RSP-06 the settings reach the upstream under the names of a chat", async () => {
  const { ask, upstream } = await startResponses({ a: says('{"sum":4}') });
  const schema = { type: "object", properties: { sum: { type: "number" } }, required: ["sum"], additionalProperties: false };
  const answer = await ask({
    text: { format: { type: "json_schema", name: "sum", schema, strict: true }, verbosity: "low" },
    reasoning: { effort: "low" },
    max_output_tokens: 64,
    tools: [add],
    tool_choice: "required",
    parallel_tool_calls: false,
    temperature: 0,
    top_p: 0.5,
    service_tier: "auto",
    prompt_cache_key: "k",
  });
  expect(answer.status).toBe(200);
  expect(upstream.requests[0]?.json).toEqual({
    model: "a",
    messages: [{ role: "user", content: "What is 2+2?" }],
    response_format: { type: "json_schema", json_schema: { name: "sum", schema, strict: true } },
    verbosity: "low",
    reasoning_effort: "low",
    max_completion_tokens: 64,
    tools: [{ type: "function", function: { name: "add", description: add.description, parameters: add.parameters, strict: true } }],
    tool_choice: "required",
    parallel_tool_calls: false,
    temperature: 0,
    top_p: 0.5,
    service_tier: "auto",
    prompt_cache_key: "k",
  });
});

test("A-RSP-07 ids stay the same from the first event to the last", async () => {
  const { ask } = await startResponses({ a: calls(addCall, { ...addCall, id: "call_2" }) });
  const events = responseEvents(await (await ask({ stream: true, tools: [add] })).text());
  expect(wrongEvents(events)).toEqual([]);
  const { output } = events.at(-1)!["response"] as { output: { id: string; call_id: string }[] };
  expect(output.map(({ call_id }) => call_id)).toEqual(["call_1", "call_2"]);
  expect(new Set(output.flatMap(({ id, call_id }) => [id, call_id])).size).toBe(4);
  expect(events.map(({ sequence_number }) => sequence_number)).toEqual([...events.keys()]);
});

test.each([
  [{ model: undefined }, "model"],
  [{ input: [] }, "input"],
  [{ input: undefined }, "input"],
  [{ input: [{ type: "web_search_call", id: "ws_1" }] }, "input[0].type"],
  [{ input: ["hello"] }, "input[0]"],
])("A-RSP-08 %j is refused by name", async (fields, param) => {
  const { ask, upstream } = await startResponses({ a: says("4") });
  const answer = await ask(fields);
  const text = await answer.text();
  expect(answer.status).toBe(400);
  expect(validateError(text, answer.headers)).toEqual([]);
  const { error } = JSON.parse(text) as { error: { param: string; message: string } };
  expect(error.param).toBe(param);
  if (param === "input[0].type") expect(error.message).toContain("web_search_call");
  expect(upstream.requests).toEqual([]);
});

describe.each(models)("A-SDK-01 the official client over %s", (model) => {
  test("creates, streams and helps to stream", async () => {
    const { gateway } = await startResponses({ a: says("It is 4."), b: says("It is 4."), c: says("It is 4.") }, { config: panel });
    const six = new OpenAI6({ baseURL: gateway.url, apiKey: clientKey, maxRetries: 0 });
    for (const client of [gateway.client(), six as unknown as ReturnType<typeof gateway.client>]) {
      const asked = { model, input: "What is 2+2?" };
      expect((await client.responses.create(asked)).output_text).toBe("It is 4.");
      let text = "";
      for await (const event of await client.responses.create({ ...asked, stream: true })) {
        if (event.type === "response.output_text.delta") text += event.delta;
      }
      expect(text).toBe("It is 4.");
      const final = await client.responses.stream(asked).finalResponse();
      expect(final.output_text).toBe("It is 4.");
      expect(final.usage?.total_tokens).toBeGreaterThan(0);
    }
  });

  test("parses a schema", async () => {
    const json = says('{"sum":4}');
    const { gateway } = await startResponses({ a: json, b: json, c: json }, { config: panel });
    const text = { format: zodTextFormat(z.object({ sum: z.number() }), "sum") };
    const parsed = await gateway.client().responses.parse({ model, input: "2+2", text });
    expect(parsed.output_parsed).toEqual({ sum: 4 });
  });
});
