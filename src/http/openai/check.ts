import { GatewayError } from "../../model/errors.ts";
import type { ChatBody } from "../../model/request.ts";

type Json = Readonly<Record<string, unknown>>;
/** Says what is wrong with a value that is neither absent nor null; undefined when nothing is. */
type Check = (value: unknown) => string | undefined;

function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function fail(param: string, message: string): never {
  throw new GatewayError("invalid_request", `Invalid '${param}': ${message}.`, { param });
}

const number =
  (min: number, max: number): Check =>
  (value) =>
    typeof value === "number" && value >= min && value <= max ? undefined : `expected a number from ${min} to ${max}`;
const integer =
  (min: number, max: number = Number.MAX_SAFE_INTEGER): Check =>
  (value) => {
    if (typeof value === "number" && Number.isInteger(value) && value >= min && value <= max) return undefined;
    return max === Number.MAX_SAFE_INTEGER ? `expected an integer of at least ${min}` : `expected an integer from ${min} to ${max}`;
  };
const boolean: Check = (value) => (typeof value === "boolean" ? undefined : "expected a boolean");
const text: Check = (value) => (typeof value === "string" ? undefined : "expected a string");
const object: Check = (value) => (isObject(value) ? undefined : "expected an object");
const oneOf =
  (...words: readonly string[]): Check =>
  (value) =>
    typeof value === "string" && words.includes(value) ? undefined : `expected one of ${words.join(", ")}`;

const stop: Check = (value) => {
  if (typeof value === "string") return undefined;
  const fits = Array.isArray(value) && value.length >= 1 && value.length <= 4 && value.every((item) => typeof item === "string");
  return fits ? undefined : "expected a string or an array of 1 to 4 strings";
};

const logitBias: Check = (value) => {
  const fits = isObject(value) && Object.values(value).every((bias) => typeof bias === "number" && bias >= -100 && bias <= 100);
  return fits ? undefined : "expected an object of numbers from -100 to 100";
};

const metadata: Check = (value) => {
  if (!isObject(value)) return "expected an object";
  const entries = Object.entries(value);
  if (entries.length > 16) return "expected at most 16 pairs";
  const fits = entries.every(([key, item]) => key.length <= 64 && typeof item === "string" && item.length <= 512);
  return fits ? undefined : "expected keys of at most 64 and string values of at most 512 characters";
};

const modalities: Check = (value) =>
  Array.isArray(value) && value.every((item) => item === "text" || item === "audio") ? undefined : "expected an array of text, audio";

/** The fields that the OpenAI API bounds. What is not here travels unchecked. */
const fields = new Map<string, Check>(
  Object.entries({
    temperature: number(0, 2),
    top_p: number(0, 1),
    n: integer(1, 128),
    max_tokens: integer(1),
    max_completion_tokens: integer(1),
    stop,
    frequency_penalty: number(-2, 2),
    presence_penalty: number(-2, 2),
    logit_bias: logitBias,
    logprobs: boolean,
    top_logprobs: integer(0, 20),
    seed: (value) => (typeof value === "number" && Number.isInteger(value) ? undefined : "expected an integer"),
    stream: boolean,
    stream_options: object,
    parallel_tool_calls: boolean,
    reasoning_effort: oneOf("none", "minimal", "low", "medium", "high", "xhigh", "max"),
    verbosity: oneOf("low", "medium", "high"),
    modalities,
    service_tier: text,
    store: boolean,
    metadata,
    user: text,
  }),
);

/** What the OpenAI API says against a value of a field that it bounds, whichever endpoint has it; undefined when nothing is wrong. */
export function wrongField(name: string, value: unknown): string | undefined {
  return value === null || value === undefined ? undefined : fields.get(name)?.(value);
}

const roles = new Set<unknown>(["developer", "system", "user", "assistant", "tool", "function"]);
const mediaParts = new Set<unknown>(["image_url", "input_audio", "file"]);

function checkContent(content: unknown, role: unknown, at: string): void {
  if (typeof content === "string") return;
  if (!Array.isArray(content)) fail(`${at}.content`, "expected a string or an array of parts");
  if (content.length === 0) fail(`${at}.content`, "expected at least one part");
  for (const [index, part] of content.entries()) {
    const type = isObject(part) ? part["type"] : undefined;
    if (typeof type !== "string") fail(`${at}.content[${index}]`, "expected a part with a type");
    if (type === "text" && typeof (part as Json)["text"] !== "string") fail(`${at}.content[${index}].text`, "expected a string");
    if (role !== "user" && role !== "tool" && mediaParts.has(type)) {
      fail(`${at}.content[${index}].type`, `a ${String(role)} message can not have a part of type ${type}`);
    }
  }
}

function checkAssistant(message: Json, at: string): readonly string[] {
  const calls = message["tool_calls"];
  const { content } = message;
  if (content !== null && content !== undefined) checkContent(content, "assistant", at);
  if (calls === null || calls === undefined) return [];
  if (!Array.isArray(calls)) fail(`${at}.tool_calls`, "expected an array");
  return calls.map((call, index) => {
    const id = isObject(call) ? call["id"] : undefined;
    if (typeof id !== "string") fail(`${at}.tool_calls[${index}].id`, "expected a string");
    const fn = (call as Json)["function"];
    if (isObject(fn) && typeof fn["arguments"] !== "string") fail(`${at}.tool_calls[${index}].function.arguments`, "expected a string");
    return id;
  });
}

function checkMessages(messages: unknown): void {
  if (messages === undefined || messages === null) fail("messages", "it is required");
  if (!Array.isArray(messages)) fail("messages", "expected an array");
  if (messages.length === 0) fail("messages", "expected at least one message");
  let open = new Set<string>();
  for (const [index, message] of messages.entries()) {
    const at = `messages[${index}]`;
    if (!isObject(message)) fail(at, "expected an object");
    const { role } = message;
    if (!roles.has(role)) fail(`${at}.role`, "expected one of developer, system, user, assistant, tool, function");
    if (role === "tool") {
      const id = message["tool_call_id"];
      if (typeof id !== "string") fail(`${at}.tool_call_id`, "it is required in a tool message");
      if (!open.delete(id)) fail(`${at}.tool_call_id`, "no assistant message before it has a tool call with this id");
      checkContent(message["content"], role, at);
      continue;
    }
    if (open.size > 0) fail(at, `the tool calls before it have no answer: ${[...open].join(", ")}`);
    if (role === "assistant") open = new Set(checkAssistant(message, at));
    else if (role !== "function") checkContent(message["content"], role, at);
  }
  if (open.size > 0) fail(`messages[${messages.length - 1}]`, `its tool calls have no answer: ${[...open].join(", ")}`);
}

function checkTools(body: Json): void {
  const { tools, tool_choice: choice } = body;
  if (tools !== undefined && tools !== null) {
    if (!Array.isArray(tools)) fail("tools", "expected an array");
    if (tools.length > 128) fail("tools", "expected at most 128 tools");
    for (const [index, tool] of tools.entries()) {
      const type = isObject(tool) ? tool["type"] : undefined;
      if (typeof type !== "string") fail(`tools[${index}].type`, "expected a string");
      if (type !== "function") continue;
      const fn = (tool as Json)["function"];
      if (!isObject(fn) || typeof fn["name"] !== "string" || fn["name"] === "") fail(`tools[${index}].function.name`, "it is required");
    }
  }
  if (choice === undefined || choice === null) return;
  const known = choice === "none" || choice === "auto" || choice === "required" || (isObject(choice) && typeof choice["type"] === "string");
  if (!known) fail("tool_choice", "expected none, auto, required or an object with a type");
}

function checkResponseFormat(format: unknown): void {
  if (format === undefined || format === null) return;
  const type = isObject(format) ? format["type"] : undefined;
  if (type !== "text" && type !== "json_object" && type !== "json_schema")
    fail("response_format.type", "expected one of text, json_object, json_schema");
  if (type !== "json_schema") return;
  const schema = (format as Json)["json_schema"];
  if (!isObject(schema)) fail("response_format.json_schema", "it is required");
  const { name } = schema;
  if (typeof name !== "string" || !/^[\w-]{1,64}$/.test(name))
    fail("response_format.json_schema.name", "expected 1 to 64 letters, digits, _ or -");
}

/**
 * Checks what the OpenAI API itself checks, for every model alike; null is absent. Throws `invalid_request` with `param`. Unknown fields are not
 * looked at: they travel.
 */
export function checkChatBody(body: unknown): ChatBody {
  if (!isObject(body)) throw new GatewayError("invalid_request", "The request body must be a JSON object.");
  const { model } = body;
  if (typeof model !== "string" || model === "") fail("model", "it is required");
  if (body["messages"] === undefined && body["input"] !== undefined) {
    fail("messages", "this is /v1/chat/completions; a body with `input` belongs to /v1/responses");
  }
  checkMessages(body["messages"]);
  for (const key in body) {
    const value = body[key];
    const wrong = value === null ? undefined : fields.get(key)?.(value);
    if (wrong !== undefined) fail(key, wrong);
  }
  const { top_logprobs: top, logprobs, stream, stream_options: options } = body;
  if (typeof top === "number" && logprobs !== true) fail("top_logprobs", "it needs logprobs: true");
  if (isObject(options) && stream !== true) fail("stream_options", "it needs stream: true");
  checkTools(body);
  checkResponseFormat(body["response_format"]);
  return body as ChatBody;
}
