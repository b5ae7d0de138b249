import type { Call } from "../../model/call.ts";
import type { ChatBody, ChatRequest } from "../../model/request.ts";
import { exactField, isRecord, isText, writeJson, type Json } from "../translate/json.ts";
import { readStops } from "../translate/stops.ts";
import { refuseFields, unsupported } from "../translate/unsupported.ts";
import { readConversation } from "./messages.ts";
import type { Traits } from "./models.ts";
import { enforceable } from "./schema.ts";
import { thinkingFields } from "./thinking.ts";
import type { Recall } from "./thoughts.ts";
import { isForced, toolFields } from "./tools.ts";

export interface WriterOptions {
  /** `provider/model`, for errors. */
  readonly upstream: string;
  readonly model: string;
  readonly traits: Traits;
  readonly recall: Recall;
}

export interface Written {
  readonly bytes: Buffer;
  readonly warnings: readonly string[];
}

/** What the client would miss, by the value that asks for nothing. */
const refused = {
  logprobs: false,
  top_logprobs: 0,
  logit_bias: undefined,
  frequency_penalty: 0,
  presence_penalty: 0,
  audio: undefined,
  web_search_options: undefined,
  moderation: undefined,
} as const;

/** What is translated here or in the modules beside, and what is only about the way to the gateway. */
const translated = new Set(
  [
    Object.keys(refused),
    ["model", "messages", "stream", "stream_options", "chorale", "n", "modalities", "max_tokens", "max_completion_tokens", "stop"],
    ["temperature", "top_p", "top_k", "tools", "tool_choice", "functions", "function_call", "parallel_tool_calls", "response_format"],
    ["reasoning_effort", "reasoning", "user", "safety_identifier", "service_tier", "thinking", "output_config"],
  ].flat(),
);

/** Fields of the Messages API that OpenAI's has no word for: they travel by their own name. */
const native = ["cache_control", "container", "context_management", "inference_geo", "mcp_servers", "speed"] as const;
const own = new Set<string>(native);

/** Hints whose loss no answer shows, when they say what is so anyway. */
const idle: Readonly<Record<string, unknown>> = { store: false, verbosity: "medium" };

function leftOut(body: ChatBody): readonly string[] {
  const fields = Object.keys(body).filter((field) => {
    const value = body[field];
    return !translated.has(field) && !own.has(field) && value !== null && value !== undefined && value !== idle[field];
  });
  const named = body.messages.some(({ role, name }) => role !== "tool" && role !== "function" && isText(name)) ? ["messages[].name"] : [];
  return [...fields, ...named].map((field) => `does not take "${field}"; it was left out`);
}

/** White space alone is refused there. */
const isBlank = (text: string) => text.trim() === "";

function stopFields(body: ChatBody): Json {
  const sequences = readStops(body).filter((text) => !isBlank(text));
  return sequences.length > 0 ? { stop_sequences: sequences } : {};
}

function stopWarnings(body: ChatBody): readonly string[] {
  return readStops(body).some(isBlank) ? ['does not stop at white space; it was left out of "stop"'] : [];
}

/** Temperature ends at 1 there. With thinking, and with models that take no such settings, only what changes nothing is asked for. */
function samplingFields(body: ChatBody, takes: boolean): { readonly fields: Json; readonly warnings: readonly string[] } {
  const { temperature, top_p: topP, top_k: topK } = body;
  const asked = {
    ...(typeof temperature === "number" ? { temperature: Math.min(temperature, 1) } : {}),
    // Some models refuse the two together, so the one that changes nothing is left out.
    ...(typeof topP === "number" && topP !== 1 ? { top_p: topP } : {}),
    ...(typeof topK === "number" ? { top_k: topK } : {}),
  };
  if (!takes) {
    const lost = Object.keys(asked).filter((field) => field !== "temperature" || temperature !== 1);
    return { fields: {}, warnings: lost.map((field) => `does not take "${field}" here; it was left out`) };
  }
  const clamped = typeof temperature === "number" && temperature > 1;
  return { fields: asked, warnings: clamped ? ["takes temperatures up to 1; this one was lowered"] : [] };
}

/** A client of the same API may have a longer name than others take. */
function userFields({ body, edits, foreign }: ChatRequest): Json {
  const { user, safety_identifier: identifier } = body;
  const given = foreign?.native?.["metadata"];
  if (isRecord(given) && identifier === undefined && !Object.hasOwn(edits, "user")) return { metadata: given };
  const id = isText(identifier) ? identifier : user;
  return isText(id) ? { metadata: { user_id: id } } : {};
}

const tiers: Readonly<Record<string, string>> = { auto: "auto", priority: "auto", default: "standard_only" };

function tierFields({ service_tier: tier }: ChatBody): { readonly fields: Json; readonly warnings: readonly string[] } {
  if (!isText(tier)) return { fields: {}, warnings: [] };
  const known = Object.hasOwn(tiers, tier) ? tiers[tier] : undefined;
  return known === undefined
    ? { fields: {}, warnings: [`does not know "service_tier": ${JSON.stringify(tier)}; it was left out`] }
    : { fields: { service_tier: known }, warnings: [] };
}

interface Format {
  /** For `output_config`. */
  readonly format?: Json;
  /** An instruction, where the API does not enforce what is asked for. */
  readonly system?: string;
  readonly warnings: readonly string[];
}

const onlyJson = "Answer with one JSON object and nothing else: no code fence, no text before or after it.";

function formatOf(request: ChatRequest, { schema: enforces }: Traits): Format {
  const asked = exactField(request, "response_format");
  const { type, json_schema: named } = isRecord(asked) ? asked : {};
  if (type === "json_object") return { system: onlyJson, warnings: [] };
  if (type !== "json_schema") return { warnings: [] };
  const schema = isRecord(named) ? named["schema"] : undefined;
  if (!isRecord(schema)) return { system: onlyJson, warnings: [] };
  if (enforces !== false) return { format: { type: "json_schema", schema: enforceable(schema) }, warnings: [] };
  const system = `${onlyJson}\nIt must be valid under this JSON Schema:\n${writeJson(schema)}`;
  return { system, warnings: ['does not enforce "response_format"; the schema was given as an instruction'] };
}

/** One text needs no blocks; hints stand on blocks. */
function systemFields(blocks: readonly Json[], instruction: string | undefined): Json {
  const all = instruction === undefined ? blocks : [...blocks, { type: "text", text: instruction }];
  if (all.length === 0) return {};
  if (all.some((block) => Object.keys(block).length > 2 || block["type"] !== "text")) return { system: all };
  return { system: all.map(({ text }) => text as string).join("\n\n") };
}

function outputFields(body: ChatBody, { format }: Format, effort: string | undefined): Json {
  const own = body["output_config"];
  const config = { ...(effort === undefined ? {} : { effort }), ...(format ? { format } : {}), ...(isRecord(own) ? own : {}) };
  return Object.keys(config).length > 0 ? { output_config: config } : {};
}

function refuse(body: ChatBody, upstream: string): void {
  refuseFields(body, upstream, refused);
  if (typeof body.n === "number" && body.n > 1) throw unsupported(upstream, "n", "it gives one choice");
  const { modalities } = body;
  if (Array.isArray(modalities) && modalities.includes("audio")) throw unsupported(upstream, "modalities", "it writes text");
  const heard = body.messages.findIndex(({ audio }) => audio !== undefined && audio !== null);
  if (heard >= 0) throw unsupported(upstream, `messages[${heard}].audio`);
}

/** What this model takes from nobody; another one may. */
function refuseUnable(
  { messages }: ChatBody,
  upstream: string,
  { traits, forced, prefilled }: { readonly traits: Traits; readonly forced: boolean; readonly prefilled: boolean },
): void {
  if (forced && !traits.forces) throw unsupported(upstream, "tool_choice", "it decides by itself what it calls");
  if (prefilled && !traits.continues) throw unsupported(upstream, `messages[${messages.length - 1}]`, "it begins its answers by itself");
}

/** Writes a request of the OpenAI API as one of the Messages API. Throws `unsupported_parameter` for what it can not say. */
export function writeRequest(
  request: ChatRequest,
  { delivery }: Pick<Call, "delivery">,
  { upstream, model, traits, recall }: WriterOptions,
): Written {
  const { body } = request;
  refuse(body, upstream);
  const conversation = readConversation(body.messages, upstream, recall);
  const maxTokens = body.max_completion_tokens ?? body.max_tokens ?? traits.maxTokens;
  const tools = toolFields(request, upstream, { called: conversation.called, enforces: traits.schema !== false });
  refuseUnable(body, upstream, { traits, forced: isForced(tools), prefilled: conversation.isPrefilled });
  const hindrance = { forced: isForced(tools), prefilled: conversation.isPrefilled, unsigned: conversation.isUnsigned };
  const { thinking, effort, warnings: unthought } = thinkingFields(request, traits, { maxTokens, hindrance });
  const thinks = thinking !== undefined && thinking["type"] !== "disabled";
  const sampling = samplingFields(body, traits.sampling && !thinks);
  const tier = tierFields(body);
  const format = formatOf(request, traits);
  const wire = {
    model,
    max_tokens: maxTokens,
    ...systemFields(conversation.system, format.system),
    messages: conversation.messages,
    ...tools,
    ...(thinking ? { thinking } : {}),
    ...outputFields(body, format, effort),
    ...stopFields(body),
    ...sampling.fields,
    ...userFields(request),
    ...tier.fields,
    ...Object.fromEntries(native.map((field) => [field, body[field] ?? undefined])),
    ...(delivery === "unary" ? {} : { stream: true }),
  };
  return {
    bytes: Buffer.from(writeJson(wire)),
    warnings: [...leftOut(body), ...stopWarnings(body), ...unthought, ...sampling.warnings, ...tier.warnings, ...format.warnings],
  };
}
