import type { ChatBody, ChatRequest } from "../../model/request.ts";
import { exactField, isRecord, isText, writeJson, type Json } from "../translate/json.ts";
import { subsetOf } from "../translate/schema-subset.ts";
import { refuseFields, unsupported } from "../translate/unsupported.ts";
import type { ThoughtMemory } from "./answer.ts";
import { familyOf, type Family } from "./families.ts";
import { inferenceOf } from "./inference.ts";
import { toMessages, type Told } from "./messages.ts";
import { isThought, thinkingOf } from "./thinking.ts";
import { enforced, toolSettings } from "./tools.ts";

export interface WrittenRequest {
  readonly bytes: Buffer;
  /** What was left out or changed, because the API has nothing for it and the answer's meaning does not hang on it. */
  readonly warnings: readonly string[];
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
    "reasoning_effort reasoning thinking tools tool_choice functions function_call parallel_tool_calls modalities service_tier"
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

function has(message: Told | undefined, block: string): boolean {
  return message?.content.some((part) => part[block] !== undefined) ?? false;
}

/** True where the messages forbid to think about them. */
function isHindered(messages: readonly Told[], { needsThoughts }: Family): boolean {
  const last = messages.at(-1);
  if (last?.role === "assistant") return true;
  return needsThoughts && has(last, "toolResult") && !has(messages.at(-2), "reasoningContent");
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
  const thinking = thinkingOf(body, { family, hindered: isForced || isHindered(messages, family), dropped });
  const { textFormat, system: asked } = formatOf(exactField(request, "response_format"));
  const isSampled = !family.isUnsampled && !(family.isStrict && isThought(thinking));
  const { inferenceConfig, warnings } = inferenceOf(body, family, isSampled);
  const { top_k: topK } = body;
  const takesTopK = typeof topK === "number" && family.topK && isSampled;
  if (typeof topK === "number" && isSampled && !family.topK) dropped.add("top_k");
  const fields = { ...thinking.fields, ...(takesTopK ? { top_k: topK } : {}) };
  const output = { ...(textFormat ? { textFormat } : {}), ...(thinking.effort === undefined ? {} : { effort: thinking.effort }) };
  const wire = {
    messages,
    ...(system.length + asked.length > 0 ? { system: [...system, ...asked] } : {}),
    ...(inferenceConfig ? { inferenceConfig } : {}),
    ...(toolConfig ? { toolConfig } : {}),
    ...(Object.keys(output).length > 0 ? { outputConfig: output } : {}),
    ...(Object.keys(fields).length > 0 ? { additionalModelRequestFields: fields } : {}),
    ...tierOf(body["service_tier"], dropped),
  };
  const left = [...dropped].map((field) => `does not take "${field}"; it was left out`);
  return { bytes: Buffer.from(writeJson(wire)), warnings: [...left, ...warnings] };
}
