import type { ChatBody, ChatRequest } from "../../model/request.ts";
import type { Remembered } from "../translate/call-memory.ts";
import { exactField, writeJson } from "../translate/json.ts";
import { refuseFields, unsupported } from "../translate/unsupported.ts";
import { toContents } from "./contents.ts";
import { generationConfig, toolSettings } from "./settings.ts";
import { needsSignature } from "./thinking.ts";

export interface WrittenRequest {
  readonly bytes: Buffer;
  /** Fields that were left out, because the API has nothing for them and the answer's meaning does not hang on them. */
  readonly dropped: readonly string[];
}

/** What the client would miss. */
const refused = { logit_bias: undefined, audio: undefined, web_search_options: undefined, moderation: undefined };

/** What is translated, or is about the way to the gateway and not about the answer. */
const understood = new Set([
  ...(
    "model messages stream stream_options chorale n seed temperature top_p top_k max_tokens max_completion_tokens stop " +
    "presence_penalty frequency_penalty logprobs top_logprobs response_format reasoning_effort reasoning tools tool_choice " +
    "functions function_call parallel_tool_calls modalities"
  ).split(" "),
  ...Object.keys(refused),
]);

/** Values that ask for what happens anyway. */
const idle: Readonly<Record<string, unknown>> = { service_tier: "auto", store: false };

function leftOut(body: ChatBody): readonly string[] {
  return Object.keys(body).filter((field) => {
    const value = body[field];
    return value !== undefined && value !== null && !understood.has(field) && value !== idle[field];
  });
}

export interface RequestOptions {
  readonly model: string;
  readonly upstream: string;
  readonly signatures?: Pick<Remembered<string>, "recall">;
}

/** Writes a `GenerateContentRequest`. Throws `unsupported_parameter` for what can not be said there. */
export function writeRequest(request: ChatRequest, { model, upstream, signatures }: RequestOptions): WrittenRequest {
  const { body } = request;
  refuseFields(body, upstream, refused);
  const { modalities } = body;
  if (Array.isArray(modalities) && modalities.includes("audio")) throw unsupported(upstream, "modalities", "its answers are text");
  const dropped = new Set(leftOut(body));
  const options = {
    upstream,
    model,
    dropped,
    signatures,
    signed: needsSignature(model),
    exact: (field: string) => exactField(request, field),
  };
  const config = generationConfig(body, options);
  const wire = { ...toContents(body, options), ...toolSettings(body, options), ...(config ? { generationConfig: config } : {}) };
  return { bytes: Buffer.from(writeJson(wire)), dropped: [...dropped] };
}
