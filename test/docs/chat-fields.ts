/** A request for each field of a chat and each form that it may have. The table in docs/api.md has a row for each. */
import type { ChatCompletionCreateParamsNonStreaming, ChatCompletionCreateParamsStreaming } from "openai/resources/chat/completions";

type Field = keyof (ChatCompletionCreateParamsNonStreaming & ChatCompletionCreateParamsStreaming);

/** What a request has beside its model, by the words for the form; the field alone is "". */
export type Forms = Readonly<Record<string, Readonly<Record<string, unknown>>>>;

const add = { type: "function", function: { name: "add", parameters: { type: "object" } } } as const;
const patch = { type: "custom", custom: { name: "patch" } } as const;
const voice = { voice: "alloy", format: "wav" } as const;
const named = { name: "add", parameters: { type: "object" } } as const;

/** Fields of the OpenAI API: one that its types have and this has not does not compile. */
export const standard = {
  audio: { "": { audio: voice } },
  frequency_penalty: { "": { frequency_penalty: 0.5 } },
  function_call: {
    "`none`": { functions: [named], function_call: "none" },
    "a function": { functions: [named], function_call: { name: "add" } },
  },
  functions: { "": { functions: [named] } },
  logit_bias: { "": { logit_bias: { 5: 1 } } },
  logprobs: { "": { logprobs: true } },
  max_completion_tokens: { "": { max_completion_tokens: 9 } },
  max_tokens: { "": { max_tokens: 9 }, "beside `max_completion_tokens`": { max_tokens: 7, max_completion_tokens: 9 } },
  metadata: { "": { metadata: { a: "b" } } },
  modalities: { "`text`": { modalities: ["text"] }, "`audio`": { modalities: ["text", "audio"], audio: voice } },
  moderation: { "": { moderation: { model: "omni-moderation-latest" } } },
  n: { "": { n: 2 } },
  parallel_tool_calls: { "": { parallel_tool_calls: false, tools: [add] } },
  prediction: { "": { prediction: { type: "content", content: "x" } } },
  presence_penalty: { "": { presence_penalty: 0.5 } },
  prompt_cache_key: { "": { prompt_cache_key: "k" } },
  prompt_cache_options: { "": { prompt_cache_options: { mode: "implicit" } } },
  prompt_cache_retention: { "": { prompt_cache_retention: "24h" } },
  reasoning_effort: { "": { reasoning_effort: "low" } },
  response_format: {
    "`text`": { response_format: { type: "text" } },
    "`json_object`": { response_format: { type: "json_object" } },
    "`json_schema`": { response_format: { type: "json_schema", json_schema: { name: "x", schema: { type: "object" } } } },
  },
  safety_identifier: { "": { safety_identifier: "s" } },
  seed: { "": { seed: 7 } },
  service_tier: { "`flex`": { service_tier: "flex" }, "`priority`": { service_tier: "priority" } },
  stop: { "": { stop: ["x"] } },
  store: { "": { store: true } },
  stream: { "": { stream: true } },
  stream_options: {
    "`include_usage`": { stream_options: { include_usage: true }, stream: true },
    "`include_obfuscation`": { stream_options: { include_obfuscation: true, include_usage: true }, stream: true },
  },
  temperature: { "": { temperature: 0.5 } },
  tool_choice: {
    "`none`": { tool_choice: "none", tools: [add] },
    "`auto`": { tool_choice: "auto", tools: [add] },
    "`required`": { tool_choice: "required", tools: [add] },
    "a function": { tool_choice: { type: "function", function: { name: "add" } }, tools: [add] },
    "`allowed_tools`": { tool_choice: { type: "allowed_tools", allowed_tools: { mode: "auto", tools: [add] } }, tools: [add] },
    "a custom tool": { tool_choice: patch, tools: [patch] },
  },
  tools: { functions: { tools: [add] }, "custom tools": { tools: [patch] } },
  top_logprobs: { "": { top_logprobs: 2, logprobs: true } },
  top_p: { "": { top_p: 0.5 } },
  user: { "": { user: "u" } },
  verbosity: { "": { verbosity: "low" } },
  web_search_options: { "": { web_search_options: { search_context_size: "low" } } },
} as const satisfies Readonly<Record<Exclude<Field, "model" | "messages">, Forms>>;

/** Fields that other servers and gateways have. */
export const others: Readonly<Record<string, Forms>> = {
  reasoning: { "": { reasoning: { effort: "low" } } },
  thinking: { "": { thinking: { type: "enabled", budget_tokens: 2000 } } },
  top_k: { "": { top_k: 5 } },
  "any other": { "": { "any other": { a: 1 } } },
};

const image = { type: "image_url", image_url: { url: "data:image/png;base64,iVBORw0KGgo=" } };
const sound = { type: "input_audio", input_audio: { data: "U09VTkQ=", format: "wav" } };
const pdf = { type: "file", file: { filename: "a.pdf", file_data: "data:application/pdf;base64,UERG" } };
const kept = { type: "file", file: { file_id: "file-1" } };
const called = { id: "call_1", type: "function", function: { name: "add", arguments: '{"a": "argued"}' } };
const freely = { id: "call_1", type: "custom", custom: { name: "patch", input: "argued" } };

const user = (content: unknown) => ({ role: "user", content });
const asked = (...parts: readonly unknown[]) => [user([{ type: "text", text: "x" }, ...parts])];
const after = (message: object, ...rest: readonly object[]) => [user("x"), { role: "assistant", ...message }, ...rest, user("y")];
const answered = { role: "tool", tool_call_id: "call_1", content: "1" };

/** What messages may bring, by the row of the table, with a word of it that has to arrive. */
export const inMessages: Readonly<Record<string, readonly [string, readonly object[]]>> = {
  "an image": ["iVBORw0KGgo=", asked(image)],
  "`input_audio`": ["U09VTkQ=", asked(sound)],
  "a `file` with its bytes": ["UERG", asked(pdf)],
  "a `file` by its id": ["file-1", asked(kept)],
  "`name`": ["ada", [{ ...user("x"), name: "ada" }]],
  "`developer`": ["instructed", [{ role: "developer", content: "instructed" }, user("x")]],
  "`tool_calls`, `tool`": ["argued", after({ content: null, tool_calls: [called] }, answered)],
  "`tool_calls` of a custom tool": ["argued", after({ content: null, tool_calls: [freely] }, answered)],
  "`function_call`, `function`": [
    "argued",
    after({ content: null, function_call: called.function }, { role: "function", name: "add", content: "1" }),
  ],
  "`refusal`": ["refused", after({ content: null, refusal: "refused" })],
  "`audio`": ["audio_1", after({ audio: { id: "audio_1" } })],
  "`reasoning_content`": ["reasoned", after({ content: "y", reasoning_content: "reasoned" })],
};
