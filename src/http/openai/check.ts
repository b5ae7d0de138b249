import { GatewayError } from "../../model/errors.ts";
import type { ChatBody } from "../../model/request.ts";
import { checkMessages } from "./check-messages.ts";
import { checkTools } from "./check-tools.ts";
import { fail, isGiven, isObject, whyNoText, type Json } from "./fail.ts";

/** Says what is wrong with a value that is neither absent nor null; undefined when nothing is. */
type Check = (value: unknown) => string | undefined;

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

const prediction: Check = (value) => {
  const { type, content } = isObject(value) ? value : {};
  return type === "content" && (typeof content === "string" || Array.isArray(content)) ? undefined : "expected {type: content, content}";
};

const searchSizes = new Set<unknown>(["low", "medium", "high"]);
const webSearch: Check = (value) => {
  if (!isObject(value)) return "expected an object";
  const { search_context_size: size } = value;
  return !isGiven(size) || searchSizes.has(size) ? undefined : "expected a search_context_size of low, medium or high";
};

const identifier: Check = (value) =>
  typeof value === "string" && value.length <= 64 ? undefined : "expected a string of at most 64 characters";

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
    audio: object,
    prediction,
    web_search_options: webSearch,
    moderation: object,
    service_tier: text,
    store: boolean,
    metadata,
    user: text,
    safety_identifier: identifier,
    prompt_cache_key: text,
    prompt_cache_retention: text,
    prompt_cache_options: object,
  }),
);

/** What the OpenAI API says against a value of a field that it bounds, whichever endpoint has it; undefined when nothing is wrong. */
export function wrongField(name: string, value: unknown): string | undefined {
  return value === null || value === undefined ? undefined : fields.get(name)?.(value);
}

function checkStreamOptions({ stream, stream_options: options }: Json): void {
  if (!isObject(options)) return;
  if (stream !== true) fail("stream_options", "it needs stream: true");
  for (const field of ["include_usage", "include_obfuscation"]) {
    const value = options[field];
    if (isGiven(value) && typeof value !== "boolean") fail(`stream_options.${field}`, "expected a boolean");
  }
}

function checkResponseFormat(format: unknown): void {
  if (!isGiven(format)) return;
  const type = isObject(format) ? format["type"] : undefined;
  if (type !== "text" && type !== "json_object" && type !== "json_schema")
    fail("response_format.type", "expected one of text, json_object, json_schema");
  if (type !== "json_schema") return;
  const schema = (format as Json)["json_schema"];
  if (!isObject(schema)) fail("response_format.json_schema", "it is required");
  const { name, schema: said, strict } = schema;
  if (typeof name !== "string" || !/^[\w-]{1,64}$/.test(name))
    fail("response_format.json_schema.name", "expected 1 to 64 letters, digits, _ or -");
  if (isGiven(said) && !isObject(said)) fail("response_format.json_schema.schema", "expected an object");
  if (isGiven(strict) && typeof strict !== "boolean") fail("response_format.json_schema.strict", "expected a boolean");
}

/**
 * Checks what the OpenAI API itself checks, for every model alike; null is absent. Throws `invalid_request` with `param`. Unknown fields are not
 * looked at: they travel.
 */
export function checkChatBody(body: unknown): ChatBody {
  if (!isObject(body)) throw new GatewayError("invalid_request", "The request body must be a JSON object.");
  const { model } = body;
  if (typeof model !== "string" || model === "") fail("model", whyNoText(model));
  if (body["messages"] === undefined && body["input"] !== undefined) {
    fail("messages", "this is /v1/chat/completions; a body with `input` belongs to /v1/responses");
  }
  checkMessages(body["messages"]);
  for (const key in body) {
    const value = body[key];
    const wrong = value === null ? undefined : fields.get(key)?.(value);
    if (wrong !== undefined) fail(key, wrong);
  }
  const { top_logprobs: top, logprobs } = body;
  if (typeof top === "number" && logprobs !== true) fail("top_logprobs", "it needs logprobs: true");
  checkStreamOptions(body);
  checkTools(body);
  checkResponseFormat(body["response_format"]);
  return body as ChatBody;
}
