import type { Foreign } from "../../model/request.ts";
import { wrongField } from "../openai/check.ts";
import { whyNoText } from "../openai/fail.ts";
import { invalid, isObject, quoted, unsupported, type Json } from "../openai/responses/json.ts";

/**
 * What becomes of a field: `forwarded` under its own name, `translated` into fields of the chat, `leftOut` with a warning because no answer
 * depends on it, `refused` because a chat can not say it.
 */
type Decision = "forwarded" | "translated" | "leftOut" | "refused";

/** Every field of the API. What is not here is no field of it and is forwarded: servers have parameters of their own. */
export const decisions = {
  model: "forwarded",
  messages: "translated",
  system: "translated",
  max_tokens: "translated",
  stop_sequences: "translated",
  stream: "forwarded",
  temperature: "forwarded",
  top_p: "forwarded",
  top_k: "forwarded",
  tools: "translated",
  tool_choice: "translated",
  thinking: "translated",
  output_config: "translated",
  output_format: "translated",
  metadata: "translated",
  service_tier: "translated",
  cache_control: "forwarded",
  context_management: "forwarded",
  inference_geo: "forwarded",
  speed: "forwarded",
  betas: "leftOut",
  billing_policy: "leftOut",
  compaction: "leftOut",
  diagnostics: "leftOut",
  fallback_credit_token: "leftOut",
  fallbacks: "leftOut",
  user_profile_id: "leftOut",
  workspace_id: "leftOut",
  container: "refused",
  mcp_servers: "refused",
  // Official clients then send the whole conversation each time, by themselves.
  thread: "refused",
} as const satisfies Readonly<Record<string, Decision>>;

/** What a server of the OpenAI API may refuse, because it knows nothing of it. */
export const foreign: Foreign = {
  fields: ["cache_control", "context_management", "inference_geo", "reasoning", "speed", "thinking", "top_k"],
  inner: ["cache_control", "citations", "extra_content", "is_error", "reasoning_content", "reasoning_details"],
};

const byName = new Map<string, Decision>(Object.entries(decisions));

/** Fields of a chat that would say something twice, or that this API has no answer for. */
const chatFields = new Set([
  "n",
  "stop",
  "max_completion_tokens",
  "response_format",
  "functions",
  "function_call",
  "parallel_tool_calls",
  "stream_options",
  "reasoning",
  "reasoning_effort",
  "verbosity",
  "logprobs",
  "top_logprobs",
  "modalities",
  "audio",
  "web_search_options",
  "user",
]);

/** What becomes of a field of a request. */
export function decisionOf(name: string): Decision {
  return byName.get(name) ?? "forwarded";
}

/** True for a field that says something; an explicit null is an absent field. */
export function isGiven(value: unknown): boolean {
  return value !== undefined && value !== null;
}

function number(body: Json, key: string, [least, most]: readonly [number, number]): void {
  const value = body[key];
  if (!isGiven(value)) return;
  if (typeof value !== "number" || value < least || value > most) invalid(key, `expected a number from ${least} to ${most}`);
}

function integer(body: Json, key: string, least: number): void {
  const value = body[key];
  if (!isGiven(value)) return;
  if (typeof value !== "number" || !Number.isInteger(value) || value < least) invalid(key, `expected an integer of at least ${least}`);
}

function checkStops(stops: unknown): void {
  if (!isGiven(stops)) return;
  if (!Array.isArray(stops)) invalid("stop_sequences", "expected an array of strings");
  for (const [index, stop] of stops.entries()) if (typeof stop !== "string") invalid(`stop_sequences[${index}]`, "expected a string");
}

function checkMetadata(metadata: unknown): void {
  if (!isGiven(metadata)) return;
  if (!isObject(metadata)) invalid("metadata", "expected an object");
  for (const [key, value] of Object.entries(metadata)) {
    if (!isGiven(value)) continue;
    if (key !== "user_id") unsupported(`metadata.${key.slice(0, 100)}`, "only user_id is known");
    if (typeof value !== "string") invalid("metadata.user_id", "expected a string");
  }
}

/** Checks the fields that stand for themselves. Throws with the name of the field. `counts` is a request that only counts tokens. */
export function checkFields(body: Json, counts: boolean): void {
  const { model, service_tier: tier, speed, stream } = body;
  if (typeof model !== "string" || model === "") invalid("model", whyNoText(model));
  for (const key in body) {
    if (!isGiven(body[key])) continue;
    if (decisionOf(key) === "refused") unsupported(key, "it runs at Anthropic and not here");
    if (chatFields.has(key)) unsupported(key, "it is a field of /v1/chat/completions");
  }
  if (!counts && !isGiven(body["max_tokens"])) invalid("max_tokens", "it is required");
  integer(body, "max_tokens", 1);
  integer(body, "top_k", 0);
  number(body, "temperature", [0, 1]);
  number(body, "top_p", [0, 1]);
  const wrong = wrongField("stream", stream);
  if (wrong !== undefined) invalid("stream", wrong);
  if (isGiven(tier) && tier !== "auto" && tier !== "standard_only") invalid("service_tier", "expected one of auto, standard_only");
  if (isGiven(speed) && speed !== "standard" && speed !== "fast") invalid("speed", `${quoted(speed)} is none of standard, fast`);
  checkStops(body["stop_sequences"]);
  checkMetadata(body["metadata"]);
}
