import { wrongField } from "../check.ts";
import { whyNoText } from "../fail.ts";
import { invalid, isObject, quoted, unsupported, type Json } from "./json.ts";

/**
 * What becomes of a field: `forwarded` as it is, `translated` into another field of the chat, `answered` here (kept, echoed, or the same
 * without it), `refused` because a chat can not say it.
 */
export type Decision = "forwarded" | "translated" | "answered" | "refused";

/** Every field of the API. What is not here is no field of it and is forwarded: servers have sampling parameters of their own. */
export const decisions = {
  model: "forwarded",
  input: "translated",
  instructions: "translated",
  previous_response_id: "answered",
  store: "answered",
  stream: "forwarded",
  stream_options: "answered",
  tools: "translated",
  tool_choice: "translated",
  parallel_tool_calls: "forwarded",
  text: "translated",
  reasoning: "translated",
  max_output_tokens: "translated",
  temperature: "forwarded",
  top_p: "forwarded",
  top_logprobs: "translated",
  include: "answered",
  truncation: "answered",
  metadata: "answered",
  user: "forwarded",
  safety_identifier: "forwarded",
  prompt_cache_key: "forwarded",
  prompt_cache_retention: "forwarded",
  prompt_cache_options: "forwarded",
  service_tier: "forwarded",
  max_tool_calls: "answered",
  background: "refused",
  conversation: "refused",
  prompt: "refused",
  context_management: "refused",
  moderation: "refused",
  image: "refused",
  // Agents send these about themselves and their account: no answer depends on them, and strict servers do not know them.
  access_programs: "answered",
  client_metadata: "answered",
} as const satisfies Readonly<Record<string, Decision>>;

const byName = new Map<string, Decision>(Object.entries(decisions));

/** What becomes of a field of a request. */
export function decisionOf(name: string): Decision {
  return byName.get(name) ?? "forwarded";
}

/** Fields of a chat that would say something twice, or that this API has no answer for. */
const chatFields = new Set(
  (
    "messages n functions function_call response_format max_tokens max_completion_tokens " +
    "reasoning_effort verbosity logprobs modalities audio web_search_options"
  ).split(" "),
);

const whyNot: Readonly<Record<string, string>> = {
  background: "responses are made while the client waits",
  conversation: "conversations are not kept here; use previous_response_id",
  prompt: "prompt templates are kept at OpenAI; send `instructions` and `input`",
};

const includable = new Set<unknown>([
  "reasoning.encrypted_content",
  "message.output_text.logprobs",
  "message.input_image.image_url",
  "file_search_call.results",
  "web_search_call.results",
  "web_search_call.action.sources",
  "computer_call_output.output.image_url",
  "code_interpreter_call.outputs",
]);

const summaries = new Set<unknown>(["auto", "concise", "detailed"]);

function checkText(value: unknown, param: string): void {
  if (value !== undefined && value !== null && typeof value !== "string") invalid(param, "expected a string");
}

function checkInclude(include: unknown): void {
  if (include === undefined || include === null) return;
  if (!Array.isArray(include)) invalid("include", "expected an array");
  for (const [index, name] of include.entries()) if (!includable.has(name)) invalid(`include[${index}]`, `${quoted(name)} is not known`);
}

function checkReasoning(reasoning: unknown): void {
  if (reasoning === undefined || reasoning === null) return;
  if (!isObject(reasoning)) invalid("reasoning", "expected an object");
  for (const key of ["summary", "generate_summary"]) {
    const value = reasoning[key];
    if (value !== undefined && value !== null && !summaries.has(value))
      invalid(`reasoning.${key}`, "expected one of auto, concise, detailed");
  }
  const { mode } = reasoning;
  if (mode !== undefined && mode !== null && mode !== "standard") unsupported("reasoning.mode", "a chat has only the standard mode");
  checkText(reasoning["context"], "reasoning.context");
}

/** Checks what only this API has; what a chat has too is checked in the chat. Throws with the name of the field. */
export function checkFields(body: Json): void {
  const { model, input, stream, stream_options: options, truncation } = body;
  if (typeof model !== "string" || model === "") invalid("model", whyNoText(model));
  for (const key in body) {
    const value = body[key];
    if (value === undefined || value === null) continue;
    const decision = byName.get(key);
    if (decision === "refused" && value !== false) unsupported(key, whyNot[key] ?? "this gateway does not have it");
    if (decision === undefined && chatFields.has(key)) unsupported(key, "it is a field of /v1/chat/completions");
  }
  for (const key of ["stream", "store", "metadata", "parallel_tool_calls"]) {
    const wrong = wrongField(key, body[key]);
    if (wrong !== undefined) invalid(key, wrong);
  }
  for (const key of ["instructions", "previous_response_id", "prompt_cache_key", "safety_identifier"]) checkText(body[key], key);
  const hasPast = typeof body["previous_response_id"] === "string";
  if (typeof input !== "string" && !Array.isArray(input)) {
    if (input !== undefined && input !== null) invalid("input", "expected a string or an array of items");
    if (!hasPast) invalid("input", "it is required");
  }
  if (Array.isArray(input) && input.length === 0 && !hasPast) invalid("input", "expected at least one item");
  if (options !== undefined && options !== null && !isObject(options)) invalid("stream_options", "expected an object");
  if (isObject(options) && stream !== true) invalid("stream_options", "it needs stream: true");
  if (truncation !== undefined && truncation !== null && truncation !== "auto" && truncation !== "disabled")
    invalid("truncation", "expected one of auto, disabled");
  const most = body["max_tool_calls"];
  if (most !== undefined && most !== null && !Number.isInteger(most)) invalid("max_tool_calls", "expected an integer");
  checkInclude(body["include"]);
  checkReasoning(body["reasoning"]);
}
