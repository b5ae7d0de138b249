/** The Messages API behind the gateway, as clients of the OpenAI API see it. */
import { describe, expect, onTestFinished, test } from "vitest";
import { events, startPair, upstreamKey, type Pair } from "../../support/gateway.ts";
import { accumulate, validateError, validateStream } from "../../support/stream-validator.ts";
import { json, sse, type Script } from "../../support/upstream.ts";
import { answering, event, plain, streamed, type Answered } from "./wire.ts";

type Fields = Readonly<Record<string, unknown>>;

const model = "claude-sonnet-4-5";

const start = (script: Script, provider: Fields = {}): Promise<Pair> =>
  startPair({ "*": script }, { onFinished: onTestFinished, provider: { kind: "anthropic", ...provider } });

/** What goes upstream for a request. */
async function sent(
  body: Fields,
  { name = model, provider = {} }: { readonly name?: string; readonly provider?: Fields } = {},
): Promise<Fields> {
  const { gateway, upstream } = await start(answering(plain), provider);
  const response = await gateway.chat({ model: `up/${name}`, ...body });
  expect([response.status, response.status === 200 ? "" : await response.text()]).toEqual([200, ""]);
  return upstream.requests[0]?.json ?? {};
}

async function refused(body: Fields): Promise<Fields> {
  const { gateway, upstream } = await start(answering(plain));
  const response = await gateway.chat({ model: `up/${model}`, ...body });
  const text = await response.text();
  expect(validateError(text, response.headers)).toEqual([]);
  expect([response.status, upstream.requests.length]).toEqual([400, 0]);
  return (JSON.parse(text) as { error: Fields }).error;
}

interface Told {
  readonly choices: readonly [{ readonly message: Fields; readonly finish_reason: string } & Fields];
  readonly usage: Fields;
}

/** One answer, asked for whole and as a stream: what a client has of it must be the same. */
async function told(answered: Answered): Promise<Told> {
  const { gateway } = await start(answering(answered));
  const response = await gateway.chat({ model: `up/${model}` });
  const answer = (await response.json()) as Told;
  const text = await (await gateway.chat({ model: `up/${model}`, stream: true, stream_options: { include_usage: true } })).text();
  expect(validateStream(text, { usage: true })).toEqual([]);
  const folded = accumulate(text) as unknown as Told;
  const [one] = answer.choices;
  const [other] = folded.choices;
  expect(other.finish_reason).toBe(one.finish_reason);
  for (const field of ["content", "refusal", "tool_calls", "reasoning_content", "annotations"]) {
    const calls = (value: unknown) => (Array.isArray(value) ? value.map((call: Fields) => ({ ...call, index: 0 })) : (value ?? "") || null);
    expect([field, calls(other.message[field])]).toEqual([field, calls(one.message[field])]);
  }
  expect(folded.usage).toEqual(answer.usage);
  return answer;
}

test("A-ANT-01 system and developer become one system, users are merged, and there is always a bound", async () => {
  const body = await sent({
    messages: [
      { role: "system", content: "Be brief." },
      { role: "developer", content: [{ type: "text", text: "Be kind." }] },
      { role: "user", content: "One." },
      { role: "user", content: [{ type: "text", text: "Two." }] },
      { role: "assistant", content: "Three." },
      { role: "user", content: "Four." },
    ],
  });
  expect(body).toEqual({
    model,
    max_tokens: 64_000,
    system: "Be brief.\n\nBe kind.",
    messages: [
      {
        role: "user",
        content: [
          { type: "text", text: "One." },
          { type: "text", text: "Two." },
        ],
      },
      { role: "assistant", content: "Three." },
      { role: "user", content: "Four." },
    ],
  });
});

const calls = [
  { id: "call_1", type: "function", function: { name: "sum", arguments: '{"a": 12345678901234567890, "b":[1.10]}' } },
  { id: "call_2", type: "function", function: { name: "now", arguments: "" } },
];
const tools = [
  {
    type: "function",
    function: { name: "sum", description: "Adds.", parameters: { type: "object", properties: { a: { type: "integer" } } } },
  },
  { type: "function", function: { name: "now" } },
];

test("A-ANT-02 the results of one turn stand in one user message, in order, before what the user says", async () => {
  const { gateway, upstream } = await start(answering(plain));
  await gateway.chat({
    model: `up/${model}`,
    tools,
    messages: [
      { role: "user", content: "Add." },
      { role: "assistant", content: null, tool_calls: calls },
      { role: "tool", tool_call_id: "call_1", content: "42" },
      { role: "tool", tool_call_id: "call_2", content: [{ type: "text", text: "noon" }] },
      { role: "user", content: "And?" },
    ],
  });
  const raw = upstream.requests[0]?.body.toString() ?? "";
  // The model's own digits and white space, which no parsed number holds.
  expect(raw).toContain('"input":{"a": 12345678901234567890, "b":[1.10]}');
  expect(((await upstream.request(0)).json["messages"] as Fields[]).slice(1)).toEqual([
    {
      role: "assistant",
      content: [
        { type: "tool_use", id: "call_1", name: "sum", input: { a: 12345678901234567000, b: [1.1] } },
        { type: "tool_use", id: "call_2", name: "now", input: {} },
      ],
    },
    {
      role: "user",
      content: [
        { type: "tool_result", tool_use_id: "call_1", content: "42" },
        { type: "tool_result", tool_use_id: "call_2", content: "noon" },
        { type: "text", text: "And?" },
      ],
    },
  ]);
});

const rich: Answered = {
  blocks: [
    { type: "thinking", thinking: "Two and two.", signature: "c2ln" },
    { type: "text", text: "Let me see: 😀" },
    { type: "tool_use", id: "toolu_1", name: "sum", input: { a: 2, b: 2 } },
  ],
  stop: "tool_use",
  usage: {
    input_tokens: 10,
    cache_read_input_tokens: 100,
    cache_creation_input_tokens: 20,
    output_tokens: 7,
    output_tokens_details: { thinking_tokens: 3 },
  },
};

test("A-ANT-03 thoughts, text and a call arrive, the call as number 0, with its finish and usage", async () => {
  const { choices, usage } = await told(rich);
  expect(choices[0].finish_reason).toBe("tool_calls");
  expect(choices[0].message).toEqual({
    role: "assistant",
    content: "Let me see: 😀",
    refusal: null,
    reasoning_content: "Two and two.",
    tool_calls: [{ id: "toolu_1", type: "function", function: { name: "sum", arguments: '{"a":2,"b":2}' } }],
    reasoning_details: [{ type: "reasoning.text", text: "Two and two.", signature: "c2ln", format: "anthropic-claude-v1", index: 0 }],
  });
  expect(usage).toMatchObject({ prompt_tokens: 130, completion_tokens: 7, total_tokens: 137 });
});

test("A-USG-01 cached and written tokens are parts of the prompt, thoughts a part of the answer", async () => {
  const { usage } = await told(rich);
  expect(usage).toEqual({
    prompt_tokens: 130,
    completion_tokens: 7,
    total_tokens: 137,
    prompt_tokens_details: { cached_tokens: 100, cache_write_tokens: 20 },
    completion_tokens_details: { reasoning_tokens: 3 },
  });
});

test("A-ANT-04 a call without arguments has {}", async () => {
  const { choices } = await told({ blocks: [{ type: "tool_use", id: "toolu_1", name: "now", input: {} }], stop: "tool_use" });
  expect(choices[0].message["tool_calls"]).toEqual([{ id: "toolu_1", type: "function", function: { name: "now", arguments: "{}" } }]);
  expect(choices[0].message["content"]).toBeNull();
});

const error = (type: string, message: string) => ({ type: "error", error: { type, message }, request_id: "req_1" });

describe("A-ANT-05", () => {
  test.each([false, true])("an overloaded server is 503 (stream: %s)", async (stream) => {
    const { gateway } = await start(json(529, error("overloaded_error", "Overloaded")));
    const response = await gateway.chat({ model: `up/${model}`, stream });
    expect(validateError(await response.text(), response.headers, [upstreamKey])).toEqual([]);
    expect(response.status).toBe(503);
  });

  test("a limit keeps how long to wait", async () => {
    const { gateway } = await start(json(429, error("rate_limit_error", "Slow down."), { "retry-after": "3" }));
    const response = await gateway.chat({ model: `up/${model}` });
    expect([response.status, response.headers.get("retry-after")]).toEqual([429, "3"]);
    expect(await response.json()).toEqual({
      error: { message: "Slow down.", type: "requests", param: null, code: "rate_limit_exceeded" },
    });
  });
});

test.each([
  ["end_turn", "stop"],
  ["stop_sequence", "stop"],
  ["max_tokens", "length"],
  ["tool_use", "tool_calls"],
  ["pause_turn", "stop"],
  ["refusal", "content_filter"],
  ["model_context_window_exceeded", "length"],
  ["something_new", "stop"],
])("A-ANT-06 %s is %s", async (stop, reason) => {
  const blocks = stop === "tool_use" ? [{ type: "tool_use", id: "t", name: "now", input: {} }] : [{ type: "text", text: "Well." }];
  const details = stop === "refusal" ? { details: { type: "refusal", category: "bio", explanation: "Not that." } } : {};
  const { choices } = await told({ blocks, stop, ...details, ...(stop === "stop_sequence" ? { sequence: "END" } : {}) });
  expect(choices[0].finish_reason).toBe(reason);
  expect(choices[0].message["refusal"]).toBe(stop === "refusal" ? "Not that." : null);
  expect(choices[0]["stop_reason"]).toBe(stop === "stop_sequence" ? "END" : undefined);
});

test("A-PAR-02 the limit goes by the upstream's name", async () => {
  expect((await sent({ max_completion_tokens: 5 }))["max_tokens"]).toBe(5);
  expect((await sent({ max_tokens: 7 }))["max_tokens"]).toBe(7);
  const both = await sent({ max_tokens: 7, max_completion_tokens: 5 });
  expect([both["max_tokens"], "max_completion_tokens" in both]).toEqual([5, false]);
});

test("A-PAR-03 stop becomes stop_sequences, always a list", async () => {
  expect(await sent({ stop: "x" })).toMatchObject({ stop_sequences: ["x"] });
  expect(await sent({ stop: ["x", "y", "\n"] })).toMatchObject({ stop_sequences: ["x", "y"] });
});

test.each([
  ["none", { type: "none" }],
  ["auto", { type: "auto" }],
  ["required", { type: "any" }],
  [
    { type: "function", function: { name: "sum" } },
    { type: "tool", name: "sum" },
  ],
])("A-TOOL-05 tool_choice %j", async (choice, native) => {
  expect((await sent({ tools, tool_choice: choice }))["tool_choice"]).toEqual(native);
});

test("A-JSON-02 a schema is enforced by the API, without keywords that it refuses", async () => {
  const schema = {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    type: "object",
    properties: { name: { type: "string", minLength: 2, pattern: "^a" }, age: { type: "integer", minimum: 0, description: "Years." } },
    required: ["name", "age"],
    additionalProperties: false,
  };
  const body = await sent({ response_format: { type: "json_schema", json_schema: { name: "person", strict: true, schema } } });
  expect(body["output_config"]).toEqual({
    format: {
      type: "json_schema",
      schema: {
        type: "object",
        properties: {
          name: { type: "string", description: 'minLength: 2\npattern: "^a"' },
          age: { type: "integer", description: "Years.\nminimum: 0" },
        },
        required: ["name", "age"],
        additionalProperties: false,
      },
    },
  });
});

test.each<readonly [string, Fields]>([
  ["logprobs", { logprobs: true }],
  ["logit_bias", { logit_bias: { "1": 5 } }],
  ["frequency_penalty", { frequency_penalty: 0.5 }],
  ["presence_penalty", { presence_penalty: -1 }],
  ["web_search_options", { web_search_options: { search_context_size: "low" } }],
  ["modalities", { modalities: ["text", "audio"] }],
  ["tools[0].type", { tools: [{ type: "custom", custom: { name: "shell" } }] }],
])("A-LOG-03 %s is refused by name", async (param, body) => {
  expect(await refused(body)).toMatchObject({ param, code: "unsupported_parameter" });
});

test("A-RSN-03 the effort goes in the model's own way", async () => {
  const adaptive = { type: "adaptive", display: "summarized" };
  expect(await sent({ reasoning_effort: "low" }, { name: "claude-opus-4-7" })).toMatchObject({
    thinking: adaptive,
    output_config: { effort: "low" },
  });
  expect(await sent({ reasoning_effort: "minimal" }, { name: "claude-opus-4-6" })).toMatchObject({ output_config: { effort: "low" } });
  expect(await sent({ reasoning_effort: "xhigh" }, { name: "claude-opus-4-6" })).toMatchObject({ output_config: { effort: "high" } });
  expect((await sent({ reasoning_effort: "none" }, { name: "claude-opus-5" }))["thinking"]).toEqual({ type: "disabled" });
  const budget = await sent({ reasoning_effort: "low", max_tokens: 10_000, temperature: 0.2 });
  expect([budget["thinking"], budget["temperature"]]).toEqual([{ type: "enabled", budget_tokens: 2000 }, undefined]);
});

const png = "iVBORw0KGgo=";
const asked = (part: Fields) => ({ messages: [{ role: "user", content: [{ type: "text", text: "What?" }, part] }] });
const blockOf = (body: Fields) => (body["messages"] as [{ content: readonly Fields[] }])[0].content[1];

test("A-MM-01 a PNG in a data URL is a base64 source, one at an address a url", async () => {
  const image = (url: string) => asked({ type: "image_url", image_url: { url, detail: "low" } });
  expect(blockOf(await sent(image(`data:image/png;base64,${png}`)))).toEqual({
    type: "image",
    source: { type: "base64", media_type: "image/png", data: png },
  });
  expect(blockOf(await sent(image("https://example.com/a.png")))).toEqual({
    type: "image",
    source: { type: "url", url: "https://example.com/a.png" },
  });
  expect(await refused(image("data:image/tiff;base64,AA=="))).toMatchObject({ param: "messages[0].content[1].image_url.url" });
});

test("A-MM-02 audio is refused by the name of its part", async () => {
  const part = { type: "input_audio", input_audio: { data: "AA==", format: "wav" } };
  expect(await refused(asked(part))).toMatchObject({ param: "messages[0].content[1].input_audio", code: "unsupported_parameter" });
});

test("A-MM-03 a PDF is a document; a file that is not there is refused; a result may show an image", async () => {
  const file = (fields: Fields) => asked({ type: "file", file: fields });
  expect(blockOf(await sent(file({ filename: "a.pdf", file_data: "data:application/pdf;base64,JVBERi0=" })))).toEqual({
    type: "document",
    source: { type: "base64", media_type: "application/pdf", data: "JVBERi0=" },
    title: "a.pdf",
  });
  expect(await refused(file({ file_id: "file-abc" }))).toMatchObject({ param: "messages[0].content[1].file.file_id" });
  const body = await sent({
    messages: [
      { role: "user", content: "Look." },
      { role: "assistant", tool_calls: [calls[1]] },
      { role: "tool", tool_call_id: "call_2", content: [{ type: "image_url", image_url: { url: `data:image/png;base64,${png}` } }] },
    ],
  });
  expect((body["messages"] as Fields[])[2]).toMatchObject({
    content: [{ type: "tool_result", content: [{ type: "image", source: { media_type: "image/png" } }] }],
  });
});

test("A-STR-02 a stream that is cut ends in an error frame", async () => {
  const { gateway } = await start(sse(streamed(plain).slice(0, 5), { ending: "cut" }));
  const text = await (await gateway.chat({ model: `up/${model}`, stream: true })).text();
  expect(validateStream(text, { usage: false, end: "error" })).toEqual([]);
});

test("A-STR-03 an error in mid stream is one frame with the upstream's message", async () => {
  const failure = event("error", { error: { type: "overloaded_error", message: "Overloaded" } });
  const { gateway } = await start(sse([...streamed(plain).slice(0, 5), 50, failure]));
  const text = await (await gateway.chat({ model: `up/${model}`, stream: true })).text();
  expect(validateStream(text, { usage: false, end: "error" })).toEqual([]);
  expect(events(text).at(-1)).toEqual({
    error: { message: "Overloaded", type: "service_unavailable_error", param: null, code: "server_is_overloaded" },
  });
});

test("A-ING-03 a whole answer to a stream request is a valid stream", async () => {
  const { gateway } = await start(json(200, { content: [{ type: "text", text: "4" }], stop_reason: "end_turn", usage: {} }));
  const text = await (await gateway.chat({ model: `up/${model}`, stream: true })).text();
  expect(validateStream(text, { usage: false })).toEqual([]);
  expect(accumulate(text).choices[0]?.message["content"]).toBe("4");
});

test("the key goes as x-api-key with the version and the operator's headers", async () => {
  const { gateway, upstream } = await start(answering(plain), {
    headers: { "anthropic-beta": "files-api-2025-04-14" },
    version: "2024-01-01",
  });
  await gateway.chat({ model: `up/${model}` });
  const [request] = upstream.requests;
  expect([request?.method, request?.path]).toEqual(["POST", "/v1/messages"]);
  expect(request?.headers).toMatchObject({
    "x-api-key": upstreamKey,
    "anthropic-version": "2024-01-01",
    "anthropic-beta": "files-api-2025-04-14",
    "x-chorale-hops": "1",
  });
  expect(request?.headers["authorization"]).toBeUndefined();
});

test("an error that comes before anything was shown keeps its status", async () => {
  const failure = event("error", { error: { type: "overloaded_error", message: "Overloaded" } });
  const { gateway } = await start(sse([...streamed(plain).slice(0, 2), failure]));
  expect((await gateway.chat({ model: `up/${model}`, stream: true })).status).toBe(503);
});

test("n choices are n calls", async () => {
  const { gateway, upstream } = await start(answering(plain));
  const answer = (await (await gateway.chat({ model: `up/${model}`, n: 2 })).json()) as Told;
  expect([answer.choices.length, upstream.requests.length, "n" in (upstream.requests[0]?.json ?? {})]).toEqual([2, 2, false]);
});

test.each([false, true])("A-TOOL-01 the official client runs a tool, and its signed thoughts go back (stream: %s)", async (stream) => {
  const { gateway, upstream } = await start((exchange) => {
    const isSecond = (exchange.request.json["messages"] as unknown[]).length > 1;
    return answering(isSecond ? plain : rich)(exchange);
  });
  const client = gateway.client();
  const sum = ({ a, b }: { a: number; b: number }) => String(a + b);
  const asked = {
    model: `up/${model}`,
    messages: [{ role: "user" as const, content: "Add." }],
    tools: [
      {
        type: "function" as const,
        function: {
          name: "sum",
          description: "Adds.",
          parameters: { type: "object" },
          parse: (text: string) => JSON.parse(text) as { a: number; b: number },
          function: sum,
        },
      },
    ],
  };
  const run = stream ? client.chat.completions.runTools({ ...asked, stream: true }) : client.chat.completions.runTools(asked);
  expect(await run.finalContent()).toBe("It is 4.");
  expect((await upstream.request(1)).json["messages"]).toEqual([
    { role: "user", content: "Add." },
    { role: "assistant", content: rich.blocks },
    { role: "user", content: [{ type: "tool_result", tool_use_id: "toolu_1", content: "4" }] },
  ]);
});
