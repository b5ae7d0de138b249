import type { Identity } from "../../../model/call.ts";
import type { WireError } from "../../../model/errors.ts";
import type { Usage } from "../../../model/usage.ts";
import type { End } from "./end.ts";
import { isObject, type Json } from "./json.ts";
import type { Asking } from "./request.ts";
import { shownTool } from "./tools.ts";
import { responseUsage } from "./usage.ts";

/** Shown where the request had them, and not else: the schema allows no null. */
const onlyGiven = [
  "user",
  "safety_identifier",
  "prompt_cache_key",
  "prompt_cache_retention",
  "service_tier",
  "top_logprobs",
  "max_tool_calls",
];

/** What a response says of its request; the same in each of its states. */
export function echoOf({ body, previous }: Asking, store: boolean): Json {
  const { tools, text, reasoning } = body;
  const shown = onlyGiven.filter((key) => body[key] !== undefined && body[key] !== null);
  return {
    background: false,
    instructions: body["instructions"] ?? null,
    max_output_tokens: body["max_output_tokens"] ?? null,
    metadata: body["metadata"] ?? {},
    parallel_tool_calls: body["parallel_tool_calls"] ?? true,
    previous_response_id: previous ?? null,
    reasoning: { effort: null, summary: null, ...(isObject(reasoning) ? reasoning : {}) },
    store,
    temperature: body["temperature"] ?? null,
    text: { format: { type: "text" }, ...(isObject(text) ? text : {}) },
    tool_choice: body["tool_choice"] ?? "auto",
    tools: Array.isArray(tools) ? tools.map(shownTool) : [],
    top_p: body["top_p"] ?? null,
    truncation: body["truncation"] ?? "disabled",
    ...Object.fromEntries(shown.map((key) => [key, body[key]])),
  };
}

/** What may be known of a response. */
export interface State {
  readonly identity: Identity;
  readonly echo: Json;
  readonly output: readonly Json[];
  /** Absent while it runs. */
  readonly end?: End;
  readonly error?: WireError;
  readonly usage?: Usage | undefined;
  readonly completedAt?: number;
  /** The `chorale` field, where it was asked for. */
  readonly extension?: unknown;
}

function statusOf({ end, error }: State): string {
  if (error) return "failed";
  return end ? end.status : "in_progress";
}

/** Codes of this API's own; clients that look at others know these too. */
const codes = new Set<unknown>(["rate_limit_exceeded", "context_length_exceeded", "insufficient_quota"]);

function errorOf({ type, code, message }: WireError): Json {
  if (codes.has(code)) return { code, message };
  return { code: type === "invalid_request_error" ? "invalid_prompt" : "server_error", message };
}

/** A response in any of its states. */
export function responseOf(state: State): Json {
  const { identity, echo, output, end, error, usage, completedAt, extension } = state;
  return {
    id: identity.id,
    object: "response",
    created_at: identity.created,
    status: statusOf(state),
    ...(end?.status === "completed" && completedAt !== undefined ? { completed_at: completedAt } : {}),
    error: error ? errorOf(error) : null,
    incomplete_details: end?.reason === undefined ? null : { reason: end.reason },
    model: identity.model,
    output,
    ...echo,
    ...(usage ? { usage: responseUsage(usage) } : {}),
    ...(extension === undefined ? {} : { chorale: extension }),
  };
}
