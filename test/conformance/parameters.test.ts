import { expect, onTestFinished, test } from "vitest";
import { messages, startPair, type PairOptions } from "../support/gateway.ts";
import { validateError } from "../support/stream-validator.ts";
import { chunkStream, completionJson, json, sse } from "../support/upstream.ts";

const start = (options: Omit<PairOptions, "onFinished"> = {}) =>
  startPair({ a: json(200, completionJson("4")), s: sse(chunkStream(["4"])) }, { onFinished: onTestFinished, ...options });

const call = { id: "call_1", type: "function", function: { name: "add", arguments: "{}" } };
const asked = [{ role: "assistant", content: null, tool_calls: [call] }];
const image = { type: "image_url", image_url: { url: "data:image/png;base64,AA==" } };

test.each<readonly [string, object, string]>([
  ["messages empty", { messages: [] }, "messages"],
  ["messages missing", { messages: undefined }, "messages"],
  ["messages null", { messages: null }, "messages"],
  ["messages a string", { messages: "hi" }, "messages"],
  ["model missing", { model: undefined }, "model"],
  ["model a number", { model: 7 }, "model"],
  ["n 0", { n: 0 }, "n"],
  ["n 1.5", { n: 1.5 }, "n"],
  ["n 129", { n: 129 }, "n"],
  ["temperature 2.1", { temperature: 2.1 }, "temperature"],
  ["temperature a string", { temperature: "1" }, "temperature"],
  ["top_p -0.1", { top_p: -0.1 }, "top_p"],
  ["top_logprobs 21", { logprobs: true, top_logprobs: 21 }, "top_logprobs"],
  ["stop of five", { stop: ["a", "b", "c", "d", "e"] }, "stop"],
  ["stop empty", { stop: [] }, "stop"],
  ["frequency_penalty 3", { frequency_penalty: 3 }, "frequency_penalty"],
  ["presence_penalty -3", { presence_penalty: -3 }, "presence_penalty"],
  ["reasoning_effort extreme", { reasoning_effort: "extreme" }, "reasoning_effort"],
  ["logit_bias 101", { logit_bias: { 1: 101 } }, "logit_bias"],
  ["metadata of a number", { metadata: { a: 1 } }, "metadata"],
  ["stream a string", { stream: "true" }, "stream"],
  ["include_usage a string", { stream: true, stream_options: { include_usage: "yes" } }, "stream_options.include_usage"],
  ["prediction without content", { prediction: { type: "content" } }, "prediction"],
  ["web_search_options of another size", { web_search_options: { search_context_size: "huge" } }, "web_search_options"],
  ["audio a string", { audio: "wav" }, "audio"],
  ["safety_identifier of 65 characters", { safety_identifier: "x".repeat(65) }, "safety_identifier"],
  ["prompt_cache_key a number", { prompt_cache_key: 7 }, "prompt_cache_key"],
  ["a name that is no text", { messages: [{ role: "user", content: "x", name: 7 }] }, "messages[0].name"],
  [
    "an image without an address",
    { messages: [{ role: "user", content: [{ type: "image_url" }] }] },
    "messages[0].content[0].image_url.url",
  ],
  [
    "audio without a format",
    { messages: [{ role: "user", content: [{ type: "input_audio", input_audio: { data: "AA==" } }] }] },
    "messages[0].content[0].input_audio.format",
  ],
  ["a file that is no object", { messages: [{ role: "user", content: [{ type: "file", file: "a.pdf" }] }] }, "messages[0].content[0].file"],
  [
    "arguments that are no text",
    { messages: [{ role: "assistant", tool_calls: [{ ...call, function: { name: "add", arguments: {} } }] }] },
    "messages[0].tool_calls[0].function.arguments",
  ],
  [
    "a custom call without input",
    { messages: [{ role: "assistant", tool_calls: [{ id: "call_1", type: "custom", custom: { name: "patch" } }] }] },
    "messages[0].tool_calls[0].custom.input",
  ],
  ["a function message without a name", { messages: [{ role: "function", content: "4" }] }, "messages[0].name"],
  ["role robot", { messages: [{ role: "robot", content: "x" }] }, "messages[0].role"],
  ["a message without a role", { messages: [{ content: "x" }] }, "messages[0].role"],
  ["a user without content", { messages: [{ role: "user" }] }, "messages[0].content"],
  ["content of no parts", { messages: [{ role: "user", content: [] }] }, "messages[0].content"],
  ["a tool message without tool_call_id", { messages: [...asked, { role: "tool", content: "4" }] }, "messages[1].tool_call_id"],
  ["a tool message for no call", { messages: [{ role: "tool", tool_call_id: "call_1", content: "4" }] }, "messages[0].tool_call_id"],
  ["tool content null", { messages: [...asked, { role: "tool", tool_call_id: "call_1", content: null }] }, "messages[1].content"],
  ["a call without an answer", { messages: [...asked, ...messages] }, "messages[1]"],
  ["an image in a system message", { messages: [{ role: "system", content: [image] }] }, "messages[0].content[0].type"],
  ["tool_choice sometimes", { tool_choice: "sometimes" }, "tool_choice"],
  ["a tool without a name", { tools: [{ type: "function", function: {} }] }, "tools[0].function.name"],
  [
    "parameters that are no schema",
    { tools: [{ type: "function", function: { name: "a", parameters: [] } }] },
    "tools[0].function.parameters",
  ],
  ["a custom tool without a name", { tools: [{ type: "custom", custom: {} }] }, "tools[0].custom.name"],
  ["129 tools", { tools: Array.from({ length: 129 }, () => ({ type: "function", function: { name: "a" } })) }, "tools"],
  ["tool_choice of no function", { tool_choice: { type: "function" } }, "tool_choice.function.name"],
  [
    "tool_choice of allowed_tools without a mode",
    { tool_choice: { type: "allowed_tools", allowed_tools: { tools: [] } } },
    "tool_choice.allowed_tools.mode",
  ],
  ["functions an object", { functions: {} }, "functions"],
  ["function_call sometimes", { function_call: "sometimes" }, "function_call.name"],
  ["response_format yaml", { response_format: { type: "yaml" } }, "response_format.type"],
  [
    "a schema without a name",
    { response_format: { type: "json_schema", json_schema: { schema: {} } } },
    "response_format.json_schema.name",
  ],
  ["an unknown key of chorale", { chorale: { exposee: "full" } }, "chorale.exposee"],
  ["chorale a string", { chorale: "full" }, "chorale"],
  ["chorale a list", { chorale: [] }, "chorale"],
])("A-PAR-01 %s is refused by name", async (_, fields, param) => {
  const { gateway, upstream } = await start();
  const response = await gateway.chat({ ...fields });
  const text = await response.text();
  expect(validateError(text, response.headers)).toEqual([]);
  expect([response.status, (JSON.parse(text) as { error: object }).error]).toMatchObject([400, { type: "invalid_request_error", param }]);
  expect(upstream.requests).toHaveLength(0);
});

test.each([
  [{ model: 5 }, "model", "expected a string"],
  [{ model: "" }, "model", "it is empty"],
  [{ model: null }, "model", "it is required"],
  [{ chorale: { budget: { usd: -1 } } }, "chorale.budget.usd", "expected a number of at least 0"],
  [{ chorale: { budget: { usd: "1" } } }, "chorale.budget.usd", "expected a number of at least 0"],
  [{ chorale: { budget: 1 } }, "chorale.budget", "expected an object"],
  [{ chorale: { deadlineMs: 0 } }, "chorale.deadlineMs", "expected an integer of at least 1"],
  [{ chorale: { budget: { calls: 1.5 } } }, "chorale.budget.calls", "expected an integer of at least 1"],
  [{ chorale: { expose: "all" } }, "chorale.expose", "expected one of none, summary, full"],
])("what is wrong with %j is told in our own words", async (fields, param, why) => {
  const { gateway } = await start();
  for (const path of Object.hasOwn(fields, "model") ? ["chat/completions", "completions", "responses", "messages"] : ["chat/completions"]) {
    const body = { messages, prompt: "x", input: "x", max_tokens: 5, ...fields };
    if (path === "chat/completions") Object.assign(body, { input: undefined, prompt: undefined, model: "up/a", ...fields });
    const response = await gateway.get(`/v1/${path}`, {
      method: "POST",
      body: JSON.stringify(body),
      headers: { "content-type": "application/json" },
    });
    const { error } = (await response.json()) as { error: { message: string } };
    expect([path, response.status, error.message]).toEqual([path, 400, expect.stringContaining(why) as unknown]);
    expect(error.message).toContain(param);
  }
});

test.each([
  ["openai", { max_completion_tokens: 5 }, { max_completion_tokens: 5 }],
  ["openai", { max_tokens: 7 }, { max_tokens: 7 }],
  ["openai", { max_tokens: 7, max_completion_tokens: 5 }, { max_completion_tokens: 5 }],
  ["openai", { max_tokens: 7, max_completion_tokens: null }, { max_tokens: 7, max_completion_tokens: null }],
  ["ollama", { max_completion_tokens: 5 }, { max_tokens: 5 }],
  ["ollama", { max_tokens: 7 }, { max_tokens: 7 }],
  ["ollama", { max_tokens: 7, max_completion_tokens: 5 }, { max_tokens: 5 }],
  ["mistral", { max_tokens: 7, max_completion_tokens: 5, seed: 3 }, { max_tokens: 5, random_seed: 3 }],
] as const)("A-PAR-02 %s gets %j as %j", async (dialect, given, sent) => {
  const { gateway, upstream } = await start({ provider: { dialect } });
  expect((await gateway.chat({ ...given })).status).toBe(200);
  expect(upstream.requests[0]?.json).toEqual({ model: "a", messages, ...sent });
});

test("A-PAR-03 stop reaches the upstream as it was written", async () => {
  const { gateway, upstream } = await start();
  for (const stop of ["x", ["x", "y"]]) expect((await gateway.chat({ stop })).status).toBe(200);
  expect(upstream.requests.map(({ json }) => json["stop"])).toEqual(["x", ["x", "y"]]);
});

test("A-PAR-04 stream_options need a stream", async () => {
  const { gateway, upstream } = await start();
  expect((await gateway.chat({ stream_options: { include_usage: true } })).status).toBe(400);
  expect((await gateway.chat({ stream: false, stream_options: { include_usage: true } })).status).toBe(400);
  expect(upstream.requests).toHaveLength(0);
  expect((await gateway.chat({ stream: false, stream_options: null })).status).toBe(200);
  expect((await gateway.chat({ model: "up/s", stream: true, stream_options: null })).status).toBe(200);
});

test("A-PAR-05 token bounds may be null, not 0 or less", async () => {
  const { gateway } = await start();
  for (const name of ["max_tokens", "max_completion_tokens"]) {
    expect((await gateway.chat({ [name]: null })).status).toBe(200);
    for (const value of [0, -1, 1.5]) expect((await gateway.chat({ [name]: value })).status).toBe(400);
  }
});

test("usage is asked for on every stream, and other stream options stay", async () => {
  const { gateway, upstream } = await start();
  await gateway.chat({ model: "up/s", stream: true });
  await gateway.chat({ model: "up/s", stream: true, stream_options: { include_obfuscation: false } });
  await gateway.chat({ model: "up/a" });
  expect(upstream.requests.map(({ json }) => [json["stream"], json["stream_options"]])).toEqual([
    [true, { include_usage: true }],
    [true, { include_obfuscation: false, include_usage: true }],
    [undefined, undefined],
  ]);
});

test("what a dialect refuses is refused by name, what it does not need is left out with a warning", async () => {
  const { gateway, upstream } = await start({ provider: { dialect: "groq" } });
  const refused = await gateway.chat({ logprobs: true });
  expect([refused.status, await refused.json()]).toMatchObject([400, { error: { param: "logprobs", code: "unsupported_parameter" } }]);
  const response = await gateway.chat({ logit_bias: { 1: 2 }, store: true });
  expect(response.status).toBe(200);
  expect(response.headers.get("x-chorale-warnings")).toContain("logit_bias");
  expect(upstream.requests.map(({ json }) => json)).toEqual([{ model: "a", messages }]);
});
