import type { ChatBody, ChatRequest } from "../../model/request.ts";
import { readEffort } from "../translate/effort.ts";
import { exactField, isRecord, isText, writeJson, type Json } from "../translate/json.ts";
import { subsetOf } from "../translate/schema-subset.ts";
import { refuseFields, unsupported } from "../translate/unsupported.ts";
import type { ThoughtMemory } from "./answer.ts";
import { familyOf, type Family, type Thinking } from "./families.ts";
import { toMessages } from "./messages.ts";
import { enforced, toolSettings } from "./tools.ts";

export interface WrittenRequest {
  readonly bytes: Buffer;
  /** Fields that were left out, because the API has nothing for them and the answer's meaning does not hang on them. */
  readonly dropped: readonly string[];
}

/** What the client would miss. */
const refused = {
  logprobs: undefined,
  top_logprobs: 0,
  logit_bias: undefined,
  frequency_penalty: 0,
  presence_penalty: 0,
  audio: undefined,
  web_search_options: undefined,
  moderation: undefined,
};

/** What is translated, or is about the way to the gateway and not about the answer. */
const understood = new Set([
  ...(
    "model messages stream stream_options chorale n temperature top_p top_k max_tokens max_completion_tokens stop response_format " +
    "reasoning_effort reasoning tools tool_choice functions function_call parallel_tool_calls modalities service_tier"
  ).split(" "),
  ...Object.keys(refused),
]);

/** Values that ask for what happens anyway. */
const idle: Readonly<Record<string, unknown>> = { store: false };

function leftOut(body: ChatBody): readonly string[] {
  return Object.keys(body).filter((field) => {
    const value = body[field];
    return value !== undefined && value !== null && !understood.has(field) && value !== idle[field];
  });
}

const tiers: Readonly<Record<string, string | undefined>> = { default: "default", flex: "flex", priority: "priority", fast: "priority" };

function tierOf(tier: unknown, dropped: Set<string>): Json {
  if (!isText(tier) || tier === "auto") return {};
  const type = Object.hasOwn(tiers, tier) ? tiers[tier] : undefined;
  if (type === undefined) dropped.add("service_tier");
  return type === undefined ? {} : { serviceTier: { type } };
}

const JSON_ONLY = { text: "Answer with one JSON object and nothing else: no explanation, no code fence." };

interface Format {
  readonly textFormat?: Json;
  readonly system: readonly Json[];
}

/** A schema is enforced; for any JSON there is no setting, so the model is told. */
function formatOf(format: unknown): Format {
  const { type, json_schema: said } = isRecord(format) ? format : {};
  if (type === "json_object") return { system: [JSON_ONLY] };
  if (type !== "json_schema" || !isRecord(said)) return { system: [] };
  const { name, description, schema } = said;
  if (!isRecord(schema)) return { system: [JSON_ONLY] };
  const jsonSchema = { name, ...(isText(description) ? { description } : {}), schema: writeJson(subsetOf(schema, enforced)) };
  return { textFormat: { type: "json_schema", structure: { jsonSchema } }, system: [] };
}

const sampling = ["temperature", "top_p", "top_k"] as const;

function inferenceOf(body: ChatBody, unsampled: boolean, dropped: Set<string>): Json {
  const { max_completion_tokens: most, max_tokens: older, temperature, top_p: topP, stop } = body;
  const limit = most ?? older;
  if (unsampled) for (const field of sampling) if (body[field] !== undefined && body[field] !== null) dropped.add(field);
  const config = {
    ...(typeof limit === "number" ? { maxTokens: limit } : {}),
    ...(typeof temperature === "number" && !unsampled ? { temperature } : {}),
    ...(typeof topP === "number" && !unsampled ? { topP } : {}),
    ...(stop === undefined || stop === null ? {} : { stopSequences: typeof stop === "string" ? [stop] : stop }),
  };
  return Object.keys(config).length > 0 ? { inferenceConfig: config } : {};
}

function has(message: Json | undefined, block: string): boolean {
  const content = message?.["content"];
  return Array.isArray(content) && content.some((part) => isRecord(part) && part[block] !== undefined);
}

/** True where the messages forbid to think about them. */
function isHindered(messages: readonly Json[], { needsThoughts }: Family): boolean {
  const last = messages.at(-1);
  if (last?.["role"] === "assistant") return true;
  return needsThoughts && has(last, "toolResult") && !has(messages.at(-2), "reasoningContent");
}

function thinkingOf(body: ChatBody, family: Family, hindered: boolean): Thinking | undefined {
  const { max_completion_tokens: most, max_tokens: older } = body;
  const asked = readEffort(body);
  if (!asked) return {};
  const { effort = "medium", budget } = asked;
  if (hindered && family.isStrict) return effort === "none" ? {} : undefined;
  return family.thinking({ effort, budget, maxTokens: most ?? older ?? undefined });
}

export interface RequestOptions {
  readonly model: string;
  readonly upstream: string;
  readonly memory?: Pick<ThoughtMemory, "recall">;
}

/** Writes the body of `converse`. Throws `unsupported_parameter` for what can not be said there. */
export function writeRequest(request: ChatRequest, { model, upstream, memory }: RequestOptions): WrittenRequest {
  const { body } = request;
  refuseFields(body, upstream, refused);
  const { modalities } = body;
  if (Array.isArray(modalities) && modalities.includes("audio")) throw unsupported(upstream, "modalities", "its answers are text");
  const dropped = new Set(leftOut(body));
  const family = familyOf(model);
  const { system, messages, called } = toMessages(body, { upstream, ids: family.ids, thoughts: family.thoughts, memory, dropped });
  const { toolConfig, isForced } = toolSettings(body, { upstream, given: exactField(request, "tools"), called, dropped });
  const thinking = thinkingOf(body, family, isForced || isHindered(messages, family));
  if (!thinking) dropped.add("reasoning_effort");
  const { textFormat, system: asked } = formatOf(exactField(request, "response_format"));
  const unsampled =
    family.isUnsampled ||
    (family.isStrict && isRecord(thinking?.fields?.["thinking"]) && thinking.fields["thinking"]["type"] !== "disabled");
  const { top_k: topK } = body;
  const isKept = typeof topK === "number" && family.topK && !unsampled;
  if (typeof topK === "number" && !isKept) dropped.add("top_k");
  const fields = { ...thinking?.fields, ...(isKept ? { top_k: topK } : {}) };
  const output = { ...(textFormat ? { textFormat } : {}), ...(thinking?.effort === undefined ? {} : { effort: thinking.effort }) };
  const wire = {
    messages,
    ...(system.length + asked.length > 0 ? { system: [...system, ...asked] } : {}),
    ...inferenceOf(body, unsampled, dropped),
    ...(toolConfig ? { toolConfig } : {}),
    ...(Object.keys(output).length > 0 ? { outputConfig: output } : {}),
    ...(Object.keys(fields).length > 0 ? { additionalModelRequestFields: fields } : {}),
    ...tierOf(body["service_tier"], dropped),
  };
  return { bytes: Buffer.from(writeJson(wire)), dropped: [...dropped] };
}
