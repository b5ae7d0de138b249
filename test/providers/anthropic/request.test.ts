import * as fc from "../../support/properties.ts";
import { describe, expect, test } from "vitest";
import { GatewayError } from "../../../src/model/errors.ts";
import { change, chatRequest, readSource, type ChatBody } from "../../../src/model/request.ts";
import { traitsOf } from "../../../src/providers/anthropic/models.ts";
import { writeRequest, type Written } from "../../../src/providers/anthropic/request.ts";
import { newRequest } from "../../support/call.ts";

type Fields = Readonly<Record<string, unknown>>;

const old = "claude-3-5-haiku-20241022";
const budget = "claude-sonnet-4-5";
const adaptive = "claude-opus-5";

function write(fields: Fields, model = budget): Written {
  return writeRequest(
    newRequest(fields),
    { delivery: "unary" },
    { upstream: "up/c", model, traits: traitsOf(model), recall: () => undefined },
  );
}

const bodyOf = ({ bytes }: Written) => JSON.parse(bytes.toString()) as Fields;
const sent = (fields: Fields, model = budget) => bodyOf(write(fields, model));
const said = (messages: readonly Fields[], rest: Fields = {}) => sent({ messages, ...rest });
const warned = (fields: Fields, model = budget) => write(fields, model).warnings;

function refused(fields: Fields): string | undefined {
  try {
    write(fields);
  } catch (thrown) {
    if (thrown instanceof GatewayError && thrown.code === "incapable") return thrown.details.param;
    throw thrown;
  }
  return undefined;
}

const user = { role: "user", content: "Hi." };

describe("messages", () => {
  test("a later system message keeps its place", () => {
    const { system, messages } = said([
      { role: "system", content: "A." },
      user,
      { role: "system", content: "B." },
      { role: "assistant", content: "C." },
      user,
    ]);
    expect(system).toBe("A.");
    expect(messages).toEqual([
      {
        role: "user",
        content: [
          { type: "text", text: "Hi." },
          { type: "text", text: "<system>\nB.\n</system>" },
        ],
      },
      { role: "assistant", content: "C." },
      { role: "user", content: "Hi." },
    ]);
  });

  test("instructions alone are the question", () => {
    expect(said([{ role: "system", content: "Say hi." }])).toMatchObject({ messages: [{ role: "user", content: "Say hi." }] });
    expect(said([{ role: "system", content: "Say hi." }])).not.toHaveProperty("system");
  });

  test("a conversation that the assistant began is begun by the user", () => {
    expect(said([{ role: "assistant", content: "Hello!" }, user])["messages"]).toEqual([
      { role: "user", content: "." },
      { role: "assistant", content: "Hello!" },
      { role: "user", content: "Hi." },
    ]);
  });

  test("an empty answer is left out, and what stood round it is one turn", () => {
    expect(said([user, { role: "assistant", content: "" }, user])["messages"]).toEqual([
      {
        role: "user",
        content: [
          { type: "text", text: "Hi." },
          { type: "text", text: "Hi." },
        ],
      },
    ]);
  });

  test("a given beginning of the answer goes last, without white space at its end", () => {
    expect((said([user, { role: "assistant", content: "The answer is: \n" }])["messages"] as Fields[]).at(-1)).toEqual({
      role: "assistant",
      content: "The answer is:",
    });
  });

  test("a refusal in the history is what the assistant said", () => {
    expect((said([user, { role: "assistant", content: null, refusal: "No." }, user])["messages"] as Fields[])[1]).toEqual({
      role: "assistant",
      content: "No.",
    });
  });

  test("names are left out and told", () => {
    expect(warned({ messages: [{ ...user, name: "Ann" }] })).toEqual(['does not take "messages[].name"; it was left out']);
  });

  test("caching hints stay where they stand", () => {
    const ephemeral = { type: "ephemeral", ttl: "1h" };
    const call = { id: "c", type: "function", function: { name: "f", arguments: "{}" } };
    const body = said(
      [
        { role: "system", content: [{ type: "text", text: "A.", cache_control: ephemeral }] },
        { role: "user", content: [{ type: "text", text: "B.", prompt_cache_breakpoint: { mode: "explicit" } }] },
        { role: "assistant", tool_calls: [call] },
        { role: "tool", tool_call_id: "c", content: "D.", cache_control: ephemeral },
        { role: "user", content: "E.", cache_control: ephemeral },
      ],
      { tools: [{ type: "function", function: { name: "f" }, cache_control: ephemeral }] },
    );
    expect(body["system"]).toEqual([{ type: "text", text: "A.", cache_control: ephemeral }]);
    expect(body["tools"]).toEqual([{ name: "f", input_schema: { type: "object" }, cache_control: ephemeral }]);
    expect((body["messages"] as Fields[])[0]).toEqual({
      role: "user",
      content: [{ type: "text", text: "B.", cache_control: { type: "ephemeral" } }],
    });
    expect((body["messages"] as Fields[])[2]).toEqual({
      role: "user",
      content: [
        { type: "tool_result", tool_use_id: "c", content: "D.", cache_control: ephemeral },
        { type: "text", text: "E.", cache_control: ephemeral },
      ],
    });
  });

  test("a part of an unknown type is refused by its place", () => {
    expect(refused({ messages: [{ role: "user", content: [{ type: "video_url", video_url: {} }] }] })).toBe("messages[0].content[0].type");
  });

  test("the request is not changed", () => {
    // Frozen to its depth: any change throws.
    expect(() =>
      write({
        messages: [{ role: "system", content: "A." }, user],
        tools: [{ type: "function", function: { name: "f", parameters: {} } }],
      }),
    ).not.toThrow();
  });
});

describe("tools", () => {
  const call = (id: string, text: string) => ({ id, type: "function", function: { name: "f", arguments: text } });
  const round = (...calls: ReturnType<typeof call>[]) => [
    user,
    { role: "assistant", content: null, tool_calls: calls },
    ...calls.map(({ id }) => ({ role: "tool", tool_call_id: id, content: "ok", is_error: id.startsWith("bad") })),
  ];

  test("calls in the history declare their tools when the request has none, and may not be made again", () => {
    expect(said(round(call("c", "{}")))).toMatchObject({
      tools: [{ name: "f", input_schema: { type: "object" } }],
      tool_choice: { type: "none" },
    });
  });

  test("arguments that are no object are kept as text", () => {
    const [, assistant] = said(round(call("a", '{"x": 1'), call("b", "[1]")))["messages"] as { content: Fields[] }[];
    expect(assistant?.content.map(({ input }) => input)).toEqual([{ input: '{"x": 1' }, { input: "[1]" }]);
  });

  test("ids get letters that the API allows, and stay different", () => {
    const [, assistant, results] = said(round(call("functions.f:0", "{}"), call("functions_f_0", "{}")))["messages"] as {
      content: Fields[];
    }[];
    expect(assistant?.content.map(({ id }) => id)).toEqual(["functions_f_0", "functions_f_0_2"]);
    expect(results?.content.map(({ tool_use_id: id }) => id)).toEqual(["functions_f_0", "functions_f_0_2"]);
  });

  test("ids that repeat are numbered by their turns, each with its result", () => {
    const legacy = [
      { role: "assistant", content: null, function_call: { name: "f", arguments: "{}" } },
      { role: "function", name: "f", content: "ok" },
    ];
    const messages = said([...round(call("call_0", "{}")), ...round(call("call_0", "{}")), user, ...legacy, user, ...legacy])[
      "messages"
    ] as {
      content: Fields[] | string;
    }[];
    const ids = messages.flatMap(({ content }) => (Array.isArray(content) ? content : [])).map(({ id, tool_use_id: of }) => id ?? of);
    const told = ids.filter((id) => id !== undefined);
    expect(told).toEqual(["call_0", "call_0", "call_0_2", "call_0_2", "function_f", "function_f", "function_f_2", "function_f_2"]);
  });

  test("a failed call is told as one", () => {
    const messages = said(round(call("bad", "{}")))["messages"] as { content: Fields[] }[];
    expect(messages[2]?.content[0]).toMatchObject({ is_error: true });
  });

  test("the deprecated form is a call and its result", () => {
    const messages = said(
      [
        user,
        { role: "assistant", content: null, function_call: { name: "f", arguments: "{}" } },
        { role: "function", name: "f", content: "ok" },
      ],
      {
        functions: [{ name: "f", parameters: { type: "object" } }],
        function_call: { name: "f" },
      },
    );
    expect(messages).toMatchObject({
      tools: [{ name: "f" }],
      tool_choice: { type: "tool", name: "f" },
      messages: [
        {},
        { content: [{ type: "tool_use", id: "function_f" }] },
        { content: [{ type: "tool_result", tool_use_id: "function_f", content: "ok" }] },
      ],
    });
  });

  const two = ["f", "g"].map((name) => ({ type: "function", function: { name } }));

  test("only the allowed ones are told", () => {
    const choice = { type: "allowed_tools", allowed_tools: { mode: "required", tools: [{ type: "function", function: { name: "g" } }] } };
    expect(sent({ tools: two, tool_choice: choice })).toMatchObject({ tools: [{ name: "g" }], tool_choice: { type: "any" } });
    expect(sent({ tools: two, tool_choice: choice })["tools"]).toHaveLength(1);
  });

  test.each<readonly [unknown, object | undefined]>([
    [undefined, { type: "auto", disable_parallel_tool_use: true }],
    ["required", { type: "any", disable_parallel_tool_use: true }],
    ["none", { type: "none" }],
  ])("one call at a time with tool_choice %j", (choice, native) => {
    expect(
      sent({ tools: two, parallel_tool_calls: false, ...(choice === undefined ? {} : { tool_choice: choice }) })["tool_choice"],
    ).toEqual(native);
  });

  test("without tools there is no choice among them", () => {
    expect(sent({ tool_choice: "auto", parallel_tool_calls: false })).not.toHaveProperty("tool_choice");
  });

  test("the digits of a schema are the client's", () => {
    const text = `{"model":"m","messages":[{"role":"user","content":"é"}],"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object","properties":{"a":{"maximum":9223372036854775807}}}}}]}`;
    const { body, source } = readSource(Buffer.from(text));
    const request = chatRequest(body as ChatBody, source);
    const options = { upstream: "up/c", model: budget, traits: traitsOf(budget), recall: () => undefined };
    expect(writeRequest(request, { delivery: "unary" }, options).bytes.toString()).toContain('"maximum":9223372036854775807}');
    const edited = change(request, { tools: [{ type: "function", function: { name: "g" } }] });
    expect(bodyOf(writeRequest(edited, { delivery: "unary" }, options))["tools"]).toEqual([
      { name: "g", input_schema: { type: "object" } },
    ]);
  });

  test("a strict schema holds only what is enforced, where that is so", () => {
    const tool = {
      type: "function",
      function: { name: "f", strict: true, parameters: { type: "object", properties: { a: { type: "string", minLength: 1 } } } },
    };
    expect(sent({ tools: [tool] })["tools"]).toEqual([
      {
        name: "f",
        strict: true,
        input_schema: { type: "object", properties: { a: { type: "string", description: "minLength: 1" } }, additionalProperties: false },
      },
    ]);
    expect((sent({ tools: [tool] }, old)["tools"] as Fields[])[0]).not.toHaveProperty("strict");
  });

  test("the server's own tools go as they are", () => {
    const own = { type: "web_search_20250305", name: "web_search", max_uses: 2 };
    expect(sent({ tools: [own] })["tools"]).toEqual([own]);
  });
});

describe("thinking", () => {
  const call = { id: "c", type: "function", function: { name: "f", arguments: "{}" } };
  const details = [
    { type: "reasoning.text", text: "Hm.", signature: "c2ln", format: "anthropic-claude-v1", index: 0 },
    { type: "reasoning.encrypted", data: "ZW5j", format: "anthropic-claude-v1", index: 1 },
  ];
  const loop = (fields: Fields) => [
    user,
    { role: "assistant", content: "Let me.", tool_calls: [call], ...fields },
    { role: "tool", tool_call_id: "c", content: "ok" },
  ];
  const assistantOf = (fields: Fields) => (said(loop(fields))["messages"] as { content: unknown }[])[1]?.content;
  const blocks = [
    { type: "thinking", thinking: "Hm.", signature: "c2ln" },
    { type: "redacted_thinking", data: "ZW5j" },
    { type: "text", text: "Let me." },
    { type: "tool_use", id: "c", name: "f", input: {} },
  ];

  test("signed thoughts go back as they came, before the text and the calls", () => {
    expect(assistantOf({ reasoning_details: details })).toEqual(blocks);
    expect(assistantOf({ thinking_blocks: blocks.slice(0, 2) })).toEqual(blocks);
  });

  test("thoughts that nobody signed, or another server, are left out", () => {
    const unsigned = [
      { type: "reasoning.text", text: "Hm.", format: "anthropic-claude-v1" },
      { ...details[0], format: "google-gemini-v1" },
    ];
    expect(assistantOf({ reasoning_details: unsigned, reasoning_content: "Hm." })).toEqual(blocks.slice(2));
  });

  test("within a budget nobody thinks about results of calls whose thoughts were lost", () => {
    const asked = { messages: loop({}), reasoning_effort: "high" };
    expect(sent(asked)).not.toHaveProperty("thinking");
    expect(warned(asked)).toEqual(["does not think about results of calls whose reasoning was not sent back"]);
    expect(sent({ ...asked, messages: loop({ reasoning_details: details }) })).toHaveProperty("thinking");
    expect(sent(asked, adaptive)).toHaveProperty("thinking");
  });

  test.each<readonly [string, Fields, unknown]>([
    ["minimal", { max_tokens: 20_000 }, { type: "enabled", budget_tokens: 2000 }],
    ["medium", { max_tokens: 1500 }, { type: "enabled", budget_tokens: 1024 }],
    ["max", { max_tokens: 1025 }, { type: "enabled", budget_tokens: 1024 }],
    ["high", { max_tokens: 1024 }, undefined],
    ["none", {}, undefined],
  ])("effort %s with %j", (effort, fields, thinking) => {
    expect(sent({ reasoning_effort: effort, ...fields })["thinking"]).toEqual(thinking);
  });

  test("tokens may be named", () => {
    expect(sent({ reasoning: { max_tokens: 3000 }, max_tokens: 9000 })["thinking"]).toEqual({ type: "enabled", budget_tokens: 3000 });
    expect(sent({ reasoning: { effort: "high" } }, adaptive)).toMatchObject({ output_config: { effort: "high" } });
  });

  test("the client's own thinking goes as it is", () => {
    const own = { type: "enabled", budget_tokens: 2048 };
    expect(sent({ thinking: own, reasoning_effort: "low", temperature: 0.5 })).toMatchObject({ thinking: own });
    expect(sent({ thinking: own, temperature: 0.5 })).not.toHaveProperty("temperature");
  });

  test("an effort beside the client's own thinking is kept, where the model takes one", () => {
    for (const own of [{ type: "disabled" }, { type: "between_tools" }]) {
      const asked = { thinking: own, reasoning_effort: "low" };
      expect(sent(asked, adaptive)).toMatchObject({ thinking: own, output_config: { effort: "low" } });
      expect(sent(asked)).not.toHaveProperty("output_config");
      expect(warned(asked)).toEqual(["takes no effort; it was left out"]);
    }
  });

  test.each<readonly [string, Fields]>([
    ["a tool is forced", { tools: [{ type: "function", function: { name: "f" } }], tool_choice: "required" }],
    ["it goes on with a given answer", { messages: [user, { role: "assistant", content: "The" }] }],
  ])("does not think when %s", (why, fields) => {
    expect(sent({ reasoning_effort: "low", ...fields })).not.toHaveProperty("thinking");
    expect(warned({ reasoning_effort: "low", ...fields })).toEqual([`does not think when ${why}`]);
  });

  test("a model that can not is told of it to the client", () => {
    expect(warned({ reasoning_effort: "low" }, old)).toEqual(['does not take "reasoning_effort"; it was left out']);
  });
});

describe("a client of the same API", () => {
  type Native = { readonly thinking?: Fields; readonly output_config?: Fields; readonly metadata?: Fields };
  const asks = (native: Native, fields: Fields, model: string, edits: Fields = {}) => {
    const given = { ...newRequest(fields), foreign: { fields: [], inner: [], native } };
    const request = Object.keys(edits).length > 0 ? change(given, edits) : given;
    return writeRequest(request, { delivery: "unary" }, { upstream: "up/c", model, traits: traitsOf(model), recall: () => undefined });
  };
  const effort = { output_config: { effort: "low" } };

  test("that names an effort asks for no thinking, and keeps its temperature", () => {
    const written = asks(effort, { reasoning_effort: "low", temperature: 0.5 }, "claude-opus-4-6");
    expect(bodyOf(written)).toMatchObject({ output_config: { effort: "low" }, temperature: 0.5 });
    expect(bodyOf(written)).not.toHaveProperty("thinking");
    expect(written.warnings).toEqual([]);
    // A chat's effort is a wish to think.
    expect(sent({ reasoning_effort: "low" }, "claude-opus-4-6")).toMatchObject({ thinking: { type: "adaptive", display: "summarized" } });
  });

  test.each<readonly [Fields, string, Fields]>([
    [{ type: "adaptive", display: "omitted" }, adaptive, { type: "adaptive", display: "omitted" }],
    [{ type: "adaptive" }, "smollm2", { type: "adaptive" }],
    [{ type: "disabled" }, adaptive, { type: "disabled" }],
    [{ type: "between_tools" }, adaptive, { type: "between_tools" }],
    [{ type: "enabled", budget_tokens: 2000, display: "omitted" }, budget, { type: "enabled", budget_tokens: 2000, display: "omitted" }],
    // What the model does not know becomes what it knows.
    [{ type: "enabled", budget_tokens: 2000, display: "omitted" }, adaptive, { type: "adaptive", display: "omitted" }],
    [{ type: "adaptive" }, budget, { type: "enabled", budget_tokens: 2000 }],
  ])("that thinks %j gets from %s %j", (thinking, model, expected) => {
    const { type, budget_tokens: tokens } = thinking;
    const body = { max_tokens: 10_000, reasoning_effort: "low", ...(type === "enabled" ? { reasoning: { max_tokens: tokens } } : {}) };
    expect(bodyOf(asks({ thinking, ...effort }, body, model))["thinking"]).toEqual(expected);
    expect(bodyOf(asks({ thinking, ...effort }, body, model))["output_config"]).toEqual(model === budget ? undefined : { effort: "low" });
  });

  test("does not think when a tool is forced, and is told", () => {
    const forced = { tools: [{ type: "function", function: { name: "f" } }], tool_choice: "required" };
    const written = asks({ thinking: { type: "adaptive" }, ...effort }, { ...forced, reasoning_effort: "low" }, adaptive);
    expect(bodyOf(written)).toMatchObject({ output_config: { effort: "low" } });
    expect(bodyOf(written)).not.toHaveProperty("thinking");
    expect(written.warnings).toEqual(["does not think when a tool is forced"]);
  });

  test("is overruled by who changed the request on its way", () => {
    const native = { thinking: { type: "disabled" }, metadata: { user_id: "u".repeat(100) } };
    const edits = { reasoning_effort: "high", user: "other" };
    expect(bodyOf(asks(native, { user: "short" }, adaptive, edits))).toMatchObject({
      thinking: { type: "adaptive" },
      output_config: { effort: "high" },
      metadata: { user_id: "other" },
    });
    expect(bodyOf(asks(native, { user: "short" }, adaptive))).toMatchObject(native);
  });
});

describe("the newest models", () => {
  const newest = ["claude-opus-5-5", "claude-sonnet-5-5-20261001", "claude-fable-5-1"];
  const forced = { tools: [{ type: "function", function: { name: "f" } }], tool_choice: "required" };
  const prefilled = { messages: [user, { role: "assistant", content: "The" }] };

  test.each(newest)("as %s refuse a forced tool and a given beginning by name, and are not told not to think", (model) => {
    const field = (fields: Fields) => {
      try {
        write(fields, model);
      } catch (thrown) {
        return thrown instanceof GatewayError && thrown.code === "incapable" ? thrown.details.param : thrown;
      }
      return undefined;
    };
    expect([field(forced), field(prefilled)]).toEqual(["tool_choice", "messages[1]"]);
    expect(sent({ reasoning_effort: "none" }, model)).not.toHaveProperty("thinking");
    expect(warned({ reasoning_effort: "none" }, model)).toEqual(["can not be told not to think; the wish was left out"]);
  });

  test("alone do so", () => {
    for (const model of ["claude-opus-5", "claude-sonnet-5", "claude-fable-5", "claude-haiku-5-5", "smollm2"]) {
      expect(sent(forced, model)["tool_choice"]).toEqual({ type: "any" });
      expect(sent(prefilled, model)["messages"]).toHaveLength(2);
    }
    expect(sent({ reasoning_effort: "none" }, "claude-opus-5")).toMatchObject({ thinking: { type: "disabled" } });
  });
});

describe("settings", () => {
  test("temperature ends at 1", () => {
    expect(sent({ temperature: 1.5 })["temperature"]).toBe(1);
    expect(warned({ temperature: 1.5 })).toEqual(["takes temperatures up to 1; this one was lowered"]);
    expect(warned({ temperature: 1 })).toEqual([]);
  });

  test("models without sampling get none, and what changes nothing is no news", () => {
    expect(sent({ temperature: 0.3, top_p: 0.9 }, adaptive)).not.toHaveProperty("temperature");
    expect(warned({ temperature: 0.3, top_p: 0.9 }, adaptive)).toEqual([
      'does not take "temperature" here; it was left out',
      'does not take "top_p" here; it was left out',
    ]);
    expect(warned({ temperature: 1, top_p: 1 }, adaptive)).toEqual([]);
  });

  test("harmless fields are left out with a warning, and said by the API's own names where it has them", () => {
    const fields = { seed: 1, user: "u-1", service_tier: "default", store: true, metadata: { a: "b" }, top_k: 5, foo: 1 };
    const body = sent(fields);
    expect(body).toMatchObject({ metadata: { user_id: "u-1" }, service_tier: "standard_only", top_k: 5 });
    expect(Object.keys(body).toSorted()).toEqual(["max_tokens", "messages", "metadata", "model", "service_tier", "top_k"]);
    expect(warned(fields)).toEqual(["seed", "store", "metadata", "foo"].map((field) => `does not take "${field}"; it was left out`));
  });

  test("nulls and values that ask for nothing are absent", () => {
    const nulls = [
      "temperature",
      "top_p",
      "n",
      "stop",
      "max_tokens",
      "logit_bias",
      "seed",
      "stream",
      "response_format",
      "tools",
      "reasoning_effort",
    ];
    const idle = {
      frequency_penalty: 0,
      presence_penalty: 0,
      logprobs: false,
      logit_bias: {},
      n: 1,
      modalities: ["text"],
      store: false,
      verbosity: "medium",
    };
    for (const fields of [Object.fromEntries(nulls.map((field) => [field, null])), idle]) {
      expect(Object.keys(sent(fields)).toSorted()).toEqual(["max_tokens", "messages", "model"]);
      expect(warned(fields)).toEqual([]);
    }
  });

  test("an object without a schema is asked for in words, and so is a schema that is not enforced", () => {
    expect(sent({ response_format: { type: "json_object" } })["system"]).toMatch(/one JSON object and nothing else/);
    const format = { type: "json_schema", json_schema: { name: "n", schema: { type: "object", title: "T" } } };
    expect(sent({ response_format: format, messages: [{ role: "system", content: "A." }, user] }, old)["system"]).toMatch(
      /^A\.\n\nAnswer .*\n.*\n\{"type":"object","title":"T"\}$/,
    );
    expect(warned({ response_format: format }, old)).toHaveLength(1);
  });

  test("a stream is asked for unless nobody cuts the answer", () => {
    const options = { upstream: "up/c", model: budget, traits: traitsOf(budget), recall: () => undefined };
    for (const delivery of ["stream", "metered"] as const)
      expect(bodyOf(writeRequest(newRequest(), { delivery }, options))["stream"]).toBe(true);
    expect(sent({ stream: true })).not.toHaveProperty("stream");
  });
});

test.each<readonly [string, string, boolean]>([
  ["claude-3-haiku-20240307", "none", true],
  ["claude-3-5-sonnet-20241022", "none", true],
  ["claude-3-7-sonnet-latest", "budget", true],
  ["claude-opus-4-20250514", "budget", true],
  ["claude-opus-4-1-20250805", "budget", true],
  ["claude-haiku-4-5", "budget", true],
  ["claude-sonnet-4-6", "adaptive", true],
  ["claude-opus-4-7", "adaptive", false],
  ["claude-sonnet-5", "adaptive", false],
  ["claude-haiku-5", "adaptive", true],
  ["claude-haiku-5-5", "adaptive", false],
  ["claude-fable-5", "adaptive", false],
  ["anthropic/claude-opus-9@20300101", "adaptive", false],
  ["smollm2", "budget", true],
])("%s thinks %s, sampling %s", (model, thinking, sampling) => {
  expect(traitsOf(model)).toMatchObject({ thinking, sampling });
});

test("whatever JSON the fields are, the request is written or refused by name", () => {
  const fields = [
    "tools",
    "tool_choice",
    "functions",
    "function_call",
    "response_format",
    "reasoning",
    "thinking",
    "output_config",
    "metadata",
    "user",
  ];
  const more = [
    "service_tier",
    "modalities",
    "logit_bias",
    "web_search_options",
    "cache_control",
    "top_k",
    "prediction",
    "parallel_tool_calls",
  ];
  const value = fc.oneof(
    fc.jsonValue(),
    fc.constant([{ type: "function", function: null }]),
    fc.constant([null, { type: "custom", custom: {} }]),
    fc.constant({ type: "json_schema", json_schema: { schema: { $ref: 1, properties: { __proto__: 1 }, anyOf: {}, items: [] } } }),
    fc.constant({ type: "allowed_tools", allowed_tools: { tools: [1] } }),
  );
  const part = fc.oneof(
    fc.jsonValue(),
    fc.record({
      type: fc.constantFrom("text", "image_url", "file", "input_audio", "refusal"),
      text: fc.jsonValue(),
      image_url: fc.jsonValue(),
      file: fc.jsonValue(),
    }),
  );
  const message = fc.record({
    role: fc.constantFrom("system", "user", "assistant", "tool", "function"),
    content: fc.oneof(fc.jsonValue(), fc.array(part)),
    tool_calls: fc.jsonValue(),
    function_call: fc.jsonValue(),
    tool_call_id: fc.jsonValue(),
    reasoning_details: fc.jsonValue(),
    thinking_blocks: fc.array(fc.jsonValue()),
    cache_control: fc.jsonValue(),
    name: fc.jsonValue(),
  });
  const body = fc.record({ messages: fc.array(message), rest: fc.dictionary(fc.constantFrom(...fields, ...more), value) });
  fc.assert(
    fc.property(body, fc.constantFrom(old, budget, adaptive), ({ messages, rest }, model) => {
      try {
        bodyOf(write({ messages, ...rest }, model));
      } catch (thrown) {
        expect(thrown).toBeInstanceOf(GatewayError);
        expect((thrown as GatewayError).code).toBe("incapable");
      }
    }),
    { numRuns: 500 },
  );
});

test("a long conversation costs no more than its length", () => {
  const many = Array.from({ length: 50_000 }, (_, index) => ({ role: "user", content: String(index) }));
  // Ids of which the API allows no letter: all of them have to be told apart.
  const ids = Array.from({ length: 20_000 }, (_, index) => String.fromCodePoint(0x4e00 + index));
  const calls = ids.map((id) => ({ id, type: "function", function: { name: "f", arguments: "{}" } }));
  const started = performance.now();
  const messages = said([...many, { role: "assistant", tool_calls: calls }])["messages"] as { content: { id: string }[] }[];
  expect(performance.now() - started).toBeLessThan(5000);
  expect(new Set(messages[1]?.content.map(({ id }) => id)).size).toBe(ids.length);
});
