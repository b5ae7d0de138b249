import { readFileSync } from "node:fs";
import { describe, expect, onTestFinished, test } from "vitest";
import { decisions } from "../../../src/http/anthropic/fields.ts";
import { answering, plain } from "../../providers/anthropic/wire.ts";
import { clientKey } from "../../support/gateway.ts";
import { startUpstream } from "../../support/upstream.ts";
import { citation, startMessages, type Fields } from "./asking.ts";
import { says } from "../../support/answers.ts";

const start = (provider: Fields = {}) => startMessages({ a: says("4") }, { provider });

/** What a leaf of the OpenAI API is sent. */
async function sent(body: Fields, provider: Fields = {}): Promise<Fields> {
  const { ask, upstream } = await start(provider);
  const response = await ask(body);
  expect([response.status, response.status === 200 ? "" : await response.text()]).toEqual([200, ""]);
  return upstream.requests[0]?.json ?? {};
}

const user = (content: unknown) => ({ role: "user", content });
const use = (id: string, input: unknown = {}) => ({ type: "tool_use", id, name: "add", input });
const result = (id: string, more: Fields = {}) => ({ type: "tool_result", tool_use_id: id, ...more });
const chatCall = (id: string, text = "{}") => ({ id, type: "function", function: { name: "add", arguments: text } });
const cached = { type: "ephemeral" };
const png = { type: "base64", media_type: "image/png", data: "AA==" };
const pngPart = { type: "image_url", image_url: { url: "data:image/png;base64,AA==" } };

test.each<[string, Fields, Fields]>([
  ["system as a text", { system: "Be brief." }, { messages: [{ role: "system", content: "Be brief." }, user("What is 2+2?")] }],
  [
    "system as blocks with a hint",
    {
      system: [
        { type: "text", text: "Be" },
        { type: "text", text: "brief.", cache_control: cached },
      ],
    },
    {
      messages: [
        {
          role: "system",
          content: [
            { type: "text", text: "Be" },
            { type: "text", text: "brief.", cache_control: cached },
          ],
        },
        user("What is 2+2?"),
      ],
    },
  ],
  ["an empty system", { system: "" }, { messages: [user("What is 2+2?")] }],
  ["one text block is a text", { messages: [user([{ type: "text", text: "x" }])] }, { messages: [user("x")] }],
  [
    "turns of one role are one",
    { messages: [user("x"), user([{ type: "text", text: "y" }])] },
    {
      messages: [
        user([
          { type: "text", text: "x" },
          { type: "text", text: "y" },
        ]),
      ],
    },
  ],
  [
    "images and documents",
    {
      messages: [
        user([
          { type: "image", source: png, cache_control: cached },
          { type: "image", source: { type: "url", url: "https://example.org/a.png" } },
          { type: "document", source: { type: "base64", media_type: "application/pdf", data: "AA==" }, title: "a.pdf" },
          { type: "document", source: { type: "text", media_type: "text/plain", data: "abc" }, title: "b" },
        ]),
      ],
    },
    {
      messages: [
        user([
          { ...pngPart, cache_control: cached },
          { type: "image_url", image_url: { url: "https://example.org/a.png" } },
          { type: "file", file: { filename: "a.pdf", file_data: "data:application/pdf;base64,AA==" } },
          { type: "text", text: '<document title="b">\nabc\n</document>' },
        ]),
      ],
    },
  ],
  [
    "results of calls, with an error and an image, before what the user says",
    {
      messages: [
        user("x"),
        { role: "assistant", content: [{ type: "text", text: "So." }, use("1", { a: 1 }), use("2")] },
        user([
          { type: "text", text: "wait" },
          result("2", {
            content: [
              { type: "text", text: "see" },
              { type: "image", source: png },
            ],
            cache_control: cached,
          }),
          result("1", { content: "boom", is_error: true }),
        ]),
      ],
    },
    {
      messages: [
        user("x"),
        { role: "assistant", content: "So.", tool_calls: [chatCall("1", '{"a":1}'), chatCall("2")] },
        { role: "tool", tool_call_id: "2", content: [{ type: "text", text: "see" }, pngPart], cache_control: cached },
        { role: "tool", tool_call_id: "1", content: "boom", is_error: true },
        user("wait"),
      ],
    },
  ],
  [
    "a result that says nothing",
    { messages: [user("x"), { role: "assistant", content: [use("1")] }, user([result("1")])] },
    {
      messages: [
        user("x"),
        { role: "assistant", content: null, tool_calls: [chatCall("1")] },
        { role: "tool", tool_call_id: "1", content: "" },
      ],
    },
  ],
  [
    "a system message between turns, and a beginning of the answer",
    { messages: [user("x"), { role: "system", content: "Be brief." }, { role: "assistant", content: "It is" }] },
    { messages: [user("x"), { role: "system", content: "Be brief." }, { role: "assistant", content: "It is" }] },
  ],
  ["the bound", { max_tokens: 7 }, { max_completion_tokens: 7 }],
  ["sampling", { temperature: 0.5, top_p: 0.9, top_k: 5 }, { temperature: 0.5, top_p: 0.9, top_k: 5 }],
  ["stop sequences", { stop_sequences: ["a", "b"] }, { stop: ["a", "b"] }],
  ["the user", { metadata: { user_id: "u-1" } }, { user: "u-1" }],
  ["service tiers", { service_tier: "standard_only" }, { service_tier: "default" }],
  ["the other service tier", { service_tier: "auto" }, { service_tier: "auto" }],
  ["a budget to think", { thinking: { type: "enabled", budget_tokens: 2000 }, max_tokens: 4000 }, { reasoning_effort: "low" }],
  ["adaptive thinking with an effort", { thinking: { type: "adaptive" }, output_config: { effort: "high" } }, { reasoning_effort: "high" }],
  [
    "a format",
    { output_config: { format: { type: "json_schema", schema: { type: "object" } } } },
    { response_format: { type: "json_schema", json_schema: { name: "answer", schema: { type: "object" }, strict: true } } },
  ],
  [
    "the older name of the format",
    { output_format: { type: "json_schema", schema: { type: "object" } } },
    { response_format: { type: "json_schema", json_schema: { name: "answer", schema: { type: "object" }, strict: true } } },
  ],
  ["parameters of a server's own", { min_p: 0.1, repeat_penalty: 1.1 }, { min_p: 0.1, repeat_penalty: 1.1 }],
])("%s: as a chat has it", async (_, body, expected) => {
  expect(await sent(body)).toMatchObject(expected);
});

const tools = [{ name: "add", description: "Adds.", input_schema: { type: "object" }, strict: true, cache_control: cached }];
const chatTools = [
  {
    type: "function",
    function: { name: "add", description: "Adds.", parameters: { type: "object" }, strict: true },
    cache_control: cached,
  },
];

test.each<[unknown, Fields]>([
  [undefined, {}],
  [{ type: "auto" }, { tool_choice: "auto" }],
  [
    { type: "auto", disable_parallel_tool_use: true },
    { tool_choice: "auto", parallel_tool_calls: false },
  ],
  [{ type: "any" }, { tool_choice: "required" }],
  [{ type: "none" }, { tool_choice: "none" }],
  [{ type: "tool", name: "add", disable_parallel_tool_use: false }, { tool_choice: { type: "function", function: { name: "add" } } }],
])("tools with the choice %j", async (choice, expected) => {
  const { model: _, messages: __, max_completion_tokens: ___, ...rest } = await sent({ tools, ...(choice ? { tool_choice: choice } : {}) });
  expect(rest).toEqual({ tools: chatTools, ...expected });
});

test("numbers, key order and texts of a schema and of unknown fields stay as the client wrote them", async () => {
  const { send, upstream } = await start();
  const schema = '{"type":"object","properties":{"2":{"maximum":12345678901234567890},"1":{"default":"\\u00e9é😀","multipleOf":0.10}}}';
  const body =
    `{"model":"up/a","max_tokens":9,"min_p":0.1000000000000000055511,"messages":[{"role":"user","content":"x"}],` +
    `"tools":[{"name":"add","input_schema":${schema}}]}`;
  expect((await send("/messages", body)).status).toBe(200);
  const told = upstream.requests[0]?.body.toString() ?? "";
  expect(told).toContain('"maximum":12345678901234567890');
  expect(told).toContain('"min_p":0.1000000000000000055511');
  expect(told).toContain('"default":"éé😀"');
});

test("a strict server is sent nothing that only the other API knows, and the client is told", async () => {
  const { send, upstream } = await start({ dialect: "openai" });
  const schema = '{"type":"object","properties":{"cache_control":{"maximum":12345678901234567890}}}';
  const turns = [
    user([{ type: "text", text: "x", cache_control: cached }]),
    {
      role: "assistant",
      content: [
        { type: "thinking", thinking: "hm", signature: "c2ln" },
        { ...use("1", { cache_control: 1 }), cache_control: cached },
      ],
    },
    user([result("1", { content: [{ type: "text", text: "no", cache_control: cached }], is_error: true, cache_control: cached })]),
  ];
  const response = await send(
    "/messages",
    `{"model":"up/a","max_tokens":2000,"min_p":0.1,"top_k":5,"thinking":{"type":"enabled","budget_tokens":1024},"context_management":{},` +
      `"messages":${JSON.stringify(turns)},"tools":[{"name":"add","input_schema":${schema},"cache_control":{"type":"ephemeral"}}]}`,
  );
  expect(response.status).toBe(200);
  expect(upstream.requests[0]?.json).toEqual({
    model: "a",
    max_completion_tokens: 2000,
    min_p: 0.1,
    reasoning_effort: "low",
    messages: [
      user([{ type: "text", text: "x" }]),
      { role: "assistant", content: null, tool_calls: [chatCall("1", '{"cache_control":1}')] },
      { role: "tool", tool_call_id: "1", content: [{ type: "text", text: "no" }] },
    ],
    tools: [{ type: "function", function: { name: "add", parameters: JSON.parse(schema) as unknown } }],
  });
  expect(upstream.requests[0]?.body.toString()).toContain("12345678901234567890");
  const warnings = response.headers.get("x-chorale-warnings");
  for (const field of ["context_management", "reasoning", "top_k"]) expect(warnings).toContain(`"${field}"`);
});

const claudeCode = {
  max_tokens: 32_000,
  system: [
    { type: "text", text: "x-anthropic-billing-header: cc_version=2.1" },
    { type: "text", text: "You are Claude Code.", cache_control: { type: "ephemeral", ttl: "1h" } },
  ],
  messages: [
    user([
      { type: "text", text: "<system-reminder>Today is Monday.</system-reminder>" },
      { type: "text", text: "List the files.", cache_control: cached },
    ]),
  ],
  tools: Array.from({ length: 20 }, (_, at) => ({
    name: `tool_${at}`,
    description: "Runs a command. ".repeat(200),
    input_schema: {
      $schema: "https://json-schema.org/draft/2020-12/schema",
      type: "object",
      properties: { command: { type: "string" }, timeout: { type: "number", exclusiveMinimum: 0, maximum: 9007199254740991 } },
      required: ["command"],
      additionalProperties: false,
    },
    eager_input_streaming: true,
  })),
  thinking: { type: "enabled", budget_tokens: 31_999 },
  context_management: { edits: [{ type: "clear_thinking_20251015", keep: "all" }] },
  metadata: { user_id: "user_0123456789abcdef_account__session_01234567-89ab-cdef-0123-456789abcdef".repeat(3) },
  stream: true,
};
const claudeCodeHeaders = { "anthropic-beta": "claude-code-20250219,interleaved-thinking-2025-05-14", "x-app": "cli" };

test.each([{}, { dialect: "openai" }, { dialect: "mistral" }, { dialect: "groq" }, { kind: "anthropic" }])(
  "what Claude Code sends is answered by a leaf with %j",
  async (provider) => {
    const { send, upstream } = await startMessages({ a: "kind" in provider ? answering(plain) : says("It is 4.") }, { provider });
    const response = await send(
      "/messages?beta=true",
      { model: "up/a", ...claudeCode },
      { ...claudeCodeHeaders, authorization: `Bearer ${clientKey}` },
    );
    expect([response.status, await response.text()]).toEqual([200, expect.stringContaining("event: message_stop") as unknown]);
    const { tools: offered, context_management: management } = upstream.requests[0]?.json ?? {};
    expect(offered).toHaveLength(20);
    expect(management).toEqual("dialect" in provider ? undefined : claudeCode.context_management);
    expect(((upstream.requests[0]?.json["user"] ?? "") as string).length).toBeLessThanOrEqual(64);
    const beta = "kind" in provider ? claudeCodeHeaders["anthropic-beta"] : undefined;
    expect(upstream.requests[0]?.headers["anthropic-beta"]).toBe(beta);
  },
);

test("betas that a client asks for stand beside those of the config", async () => {
  const provider = { kind: "anthropic", headers: { "anthropic-beta": "one,two" } };
  const { ask, upstream } = await startMessages({ a: answering(plain) }, { provider });
  await ask({}, { "anthropic-beta": "two, three" });
  await ask({}, { "anthropic-beta": "four\u00e9" });
  expect(upstream.requests.map(({ headers }) => headers["anthropic-beta"])).toEqual(["one,two,three", "one,two"]);
});

test("in a panel each leaf gets what its own API knows", async () => {
  const upstream = await startUpstream({ "*": says("4"), "POST /v1/messages": answering(plain) }, onTestFinished);
  const providers = {
    gpt: { kind: "openai", dialect: "openai", baseUrl: upstream.url, apiKey: "sk-0123456789" },
    claude: { kind: "anthropic", baseUrl: upstream.url },
  };
  const models = { it: { kind: "fuse", members: ["gpt/a", "claude/b"], writer: "gpt/c" } };
  const { ask } = await startMessages({}, { config: { providers, models } });
  const system = [{ type: "text", text: "Be brief.", cache_control: cached }];
  expect((await ask({ model: "it", system, context_management: { edits: [] } })).status).toBe(200);
  const hinted = upstream.requests.map(({ model, body }) => [
    model,
    /cache_control/.test(body.toString()),
    /context_m/.test(body.toString()),
  ]);
  expect(new Map(hinted.map(([model, ...found]) => [model, found]))).toEqual(
    new Map([
      ["a", [false, false]],
      ["b", [true, true]],
      ["c", [false, false]],
    ]),
  );
});

describe("what a chat can not say whole", () => {
  const both = async (body: Fields, headers?: Readonly<Record<string, string>>) => {
    const upstream = await startUpstream({ "*": says("4"), "POST /v1/messages": answering(plain) }, onTestFinished);
    const providers = {
      gpt: { kind: "openai", dialect: "openai", baseUrl: upstream.url, apiKey: "sk-0123456789" },
      own: { kind: "openai", baseUrl: upstream.url },
      claude: { kind: "anthropic", baseUrl: upstream.url },
    };
    const { ask } = await startMessages({}, { config: { providers } });
    for (const model of ["gpt/a", "own/a", "claude/claude-opus-4-6"]) expect((await ask({ model, ...body }, headers)).status).toBe(200);
    return upstream.requests.map(({ json }) => json);
  };

  test("a long name of a user is a digest, but for leaves of this API", async () => {
    const name = "user_0123456789abcdef_account__session_".repeat(4);
    const [gpt, own, claude] = await both({ metadata: { user_id: name } });
    expect(gpt?.["user"]).toMatch(/^[0-9a-f]{64}$/);
    expect(own?.["user"]).toBe(gpt?.["user"]);
    expect(claude?.["metadata"]).toEqual({ user_id: name });
    const short = await both({ metadata: { user_id: "u".repeat(64) } });
    expect(short.map(({ user, metadata }) => user ?? metadata)).toEqual(["u".repeat(64), "u".repeat(64), { user_id: "u".repeat(64) }]);
  });

  test("an effort is no wish to think", async () => {
    const [gpt, own, claude] = await both({ output_config: { effort: "low" }, temperature: 0.5 });
    for (const asked of [gpt, own]) expect(asked).toMatchObject({ reasoning_effort: "low", temperature: 0.5 });
    expect(claude).toMatchObject({ output_config: { effort: "low" }, temperature: 0.5 });
    expect(claude).not.toHaveProperty("thinking");
  });

  test.each([{ type: "disabled" }, { type: "between_tools" }, { type: "adaptive", display: "omitted" }])(
    "thinking %j goes as it is with its effort",
    async (thinking) => {
      const [, , claude] = await both({ thinking, output_config: { effort: "max" } });
      expect(claude).toMatchObject({ thinking, output_config: { effort: "max" } });
    },
  );

  test("the eager streaming of a tool and the sources of a text reach leaves of this API", async () => {
    const cited = { type: "text", text: "It is 4.", citations: [citation] };
    const asked = await both({
      tools: [{ name: "add", input_schema: { type: "object" }, eager_input_streaming: true }],
      messages: [user("x"), { role: "assistant", content: [cited] }, user("y")],
    });
    const [gpt, own, claude] = asked;
    expect(claude?.["tools"]).toEqual([{ name: "add", input_schema: { type: "object" }, eager_input_streaming: true }]);
    expect(claude?.["messages"]).toEqual([user("x"), { role: "assistant", content: [cited] }, user("y")]);
    for (const { tools } of [gpt ?? {}, own ?? {}]) expect(JSON.stringify(tools)).not.toContain("eager");
    expect(JSON.stringify(gpt)).not.toContain("citations");
  });
});

test("a cache tells an effort of this API from one of a chat", async () => {
  const models = { it: { kind: "cache", model: "up/claude-opus-4-6" } };
  const { ask, gateway, upstream } = await startMessages(
    { "claude-opus-4-6": answering(plain) },
    { provider: { kind: "anthropic" }, config: { models } },
  );
  const asked = async (more: Fields) => void (await (await ask({ model: "it", ...more })).text());
  await asked({ output_config: { effort: "low" } });
  await asked({ thinking: { type: "adaptive" }, output_config: { effort: "low" } });
  await asked({ output_config: { effort: "low" }, metadata: { user_id: "u".repeat(100) } });
  expect(gateway.requestLogs).toHaveLength(3);
  expect(upstream.requests).toHaveLength(2);
});

describe("is refused with the name of the field", () => {
  const turns = (...messages: unknown[]) => ({ messages });
  test.each<[string, Fields]>([
    ["model", { model: "" }],
    ["max_tokens", { max_tokens: undefined }],
    ["max_tokens", { max_tokens: 1.5 }],
    ["messages", { messages: undefined }],
    ["messages", { messages: [] }],
    ["messages[0].role", turns({ role: "tool", content: "x" })],
    ["messages[0].content", turns({ role: "user", content: 1 })],
    ["messages[0].content", turns(user([]))],
    ["messages[0].content[0].type", turns(user([{ type: "audio" }]))],
    ["messages[0].content[0].text", turns(user([{ type: "text" }]))],
    ["messages[0].content[0].source.type", turns(user([{ type: "image", source: { type: "file", file_id: "x" } }]))],
    ["messages[0].content[0].citations", turns(user([{ type: "document", citations: { enabled: true }, source: {} }]))],
    ["messages[0].content[0].cache_control", turns(user([{ type: "text", text: "x", cache_control: true }]))],
    ["messages[0].content[0].tool_use_id", turns(user([result("1")]))],
    ["messages[1]", turns(user("x"), { role: "assistant", content: [use("1")] })],
    ["messages[1]", turns(user("x"), { role: "assistant", content: [use("1"), use("1")] }, user([result("1")]))],
    ["messages[1].content[0].input", turns(user("x"), { role: "assistant", content: [use("1", "{}")] })],
    ["messages[1].content[0].type", turns(user("x"), { role: "assistant", content: [{ type: "server_tool_use" }] })],
    [
      "messages[2].content[0].is_error",
      turns(user("x"), { role: "assistant", content: [use("1")] }, user([result("1", { is_error: "yes" })])),
    ],
    ["system", { system: 1 }],
    ["system[0].type", { system: [{ type: "image", source: png }] }],
    ["temperature", { temperature: 1.5 }],
    ["top_k", { top_k: -1 }],
    ["stop_sequences", { stop_sequences: "x" }],
    ["stop_sequences", { stop_sequences: ["1", "2", "3", "4", "5"] }],
    ["stop_sequences[1]", { stop_sequences: ["x", 1] }],
    ["metadata.email", { metadata: { email: "x" } }],
    ["metadata.user_id", { metadata: { user_id: 1 } }],
    ["service_tier", { service_tier: "flex" }],
    ["speed", { speed: "slow" }],
    ["stream", { stream: "yes" }],
    ["thinking.type", { thinking: { type: "much" } }],
    ["thinking.budget_tokens", { thinking: { type: "enabled", budget_tokens: 10 } }],
    ["thinking.budget_tokens", { thinking: { type: "enabled", budget_tokens: 1024 }, max_tokens: 1024 }],
    ["output_config.effort", { output_config: { effort: "huge" } }],
    ["output_config.format.schema", { output_config: { format: { type: "json_schema" } } }],
    ["tools[0].input_schema", { tools: [{ name: "add" }] }],
    ["tools[0].name", { tools: [{ input_schema: {} }] }],
    ["tools[0].type", { tools: [{ type: "web_search_20250305", name: "web_search" }] }],
    ["tool_choice", { tool_choice: { type: "any" } }],
    ["tool_choice.type", { tools, tool_choice: { type: "all" } }],
    ["tool_choice.name", { tools, tool_choice: { type: "tool" } }],
    ["container", { container: "x" }],
    ["mcp_servers", { mcp_servers: [] }],
    ["thread", { thread: { id: "x" } }],
    ["n", { n: 2 }],
    ["logprobs", { logprobs: true }],
    ["max_completion_tokens", { max_completion_tokens: 5 }],
  ])("%s in %j", async (param, body) => {
    const { ask, upstream } = await start();
    const response = await ask(body);
    const told = (await response.json()) as { error: { type: string; details: Fields } };
    expect([response.status, told.error.type, told.error.details["param"]]).toEqual([400, "invalid_request_error", param]);
    expect(upstream.requests).toHaveLength(0);
  });
});

test("tools that a server would run are left out where the client asks for it", async () => {
  const { ask, upstream } = await start();
  const hosted = { type: "web_search_20250305", name: "web_search" };
  const response = await ask({ tools: [hosted, ...tools] }, { "x-chorale-hosted-tools": "drop" });
  expect(response.headers.get("x-chorale-warnings")).toContain("web_search_20250305");
  expect(upstream.requests[0]?.json["tools"]).toEqual(chatTools);
});

test("fields that no answer depends on are left out with a warning", async () => {
  const { ask, upstream } = await start();
  const body = { betas: ["x"], fallbacks: [{ model: "y" }], user_profile_id: "z", diagnostics: {} };
  const response = await ask(body);
  for (const field of Object.keys(body)) expect(response.headers.get("x-chorale-warnings")).toContain(`"${field}" left out`);
  expect(Object.keys(upstream.requests[0]?.json ?? {}).toSorted()).toEqual(["max_completion_tokens", "messages", "model"]);
});

describe("counting", () => {
  const counted = async (body: Fields) => {
    const { send, upstream } = await start();
    const response = await send("/messages/count_tokens?beta=true", { model: "up/a", messages: [user("x")], ...body });
    expect(upstream.requests).toHaveLength(0);
    return { response, told: (await response.json()) as { readonly input_tokens: number } };
  };

  test("is an estimate and says so", async () => {
    const { response, told } = await counted({ system: "word ".repeat(400), tools, thinking: { type: "adaptive" } });
    expect([response.status, response.headers.get("x-chorale-estimated"), Object.keys(told)]).toEqual([200, "true", ["input_tokens"]]);
    expect(told.input_tokens).toBeGreaterThan(350);
    expect(told.input_tokens).toBeLessThan(800);
    expect(response.headers.get("request-id")).toMatch(/^req_/);
  });

  test("takes an image for what it costs, not for its bytes", async () => {
    const source = { ...png, data: "A".repeat(400_000) };
    const { told } = await counted({ messages: [user([{ type: "image", source }])] });
    expect(told.input_tokens).toBeGreaterThan(1000);
    expect(told.input_tokens).toBeLessThan(3000);
  });

  test("refuses what a message would be refused for", async () => {
    const wrong = await counted({ messages: [] });
    expect([wrong.response.status, wrong.told]).toMatchObject([400, { error: { details: { param: "messages" } } }]);
    expect((await counted({ model: "nobody" })).response.status).toBe(404);
  });

  test("is what the official client reads", async () => {
    const { client } = await start();
    expect(await client().messages.countTokens({ model: "up/a", messages: [{ role: "user", content: "Hello" }] })).toMatchObject({
      input_tokens: expect.any(Number) as unknown,
    });
  });
});

test("the document says what becomes of every field", () => {
  const document = readFileSync(new URL("../../../docs/messages.md", import.meta.url), "utf8");
  const [, request = ""] = /## Request\n(.*?)\n##/s.exec(document) ?? [];
  const rows = [...request.matchAll(/^\| ((?:`\w+`(?:, )?)+) +\| (\w+ ?\w+)/gm)];
  const told = rows.flatMap(([, names = "", decision = ""]) =>
    names.split(", ").map((name) => [name.replaceAll("`", ""), decision.replace(" out", "Out")]),
  );
  expect(Object.fromEntries(told)).toEqual({ ...decisions });
});
