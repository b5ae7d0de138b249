import type { IncomingHttpHeaders } from "node:http";
import type { ErrorCode, GatewayError } from "../../model/errors.ts";
import { isRecord, isText } from "../translate/json.ts";
import type { Refusal } from "../translate/leg.ts";
import { codeOfStatus, refusalOf, retryAfterMs } from "../translate/refusal.ts";

interface Told {
  readonly type: string;
  readonly message: string;
  /** A finer word than the type, where there is one. */
  readonly reason: string;
}

const byType = new Map<string, ErrorCode>([
  ["invalid_request_error", "upstream_invalid"],
  ["authentication_error", "upstream_auth"],
  ["permission_error", "upstream_auth"],
  ["billing_error", "upstream_quota"],
  ["not_found_error", "upstream_model_not_found"],
  ["conflict_error", "upstream_invalid"],
  ["request_too_large", "payload_too_large"],
  ["rate_limit_error", "upstream_rate_limited"],
  ["api_error", "upstream_error"],
  ["timeout_error", "upstream_timeout"],
  ["overloaded_error", "upstream_overloaded"],
  // Of a llama.cpp server.
  ["exceed_context_size_error", "context_length_exceeded"],
  ["unavailable_error", "upstream_overloaded"],
]);

const tooLong = /prompt is too long|context (length|size|window|limit)|maximum context|too many tokens|exceeds? the (available )?context/i;
const unpaid = /credit balance is too low|purchase credits/i;

/** The error in a body; empty words when there is none. */
function readError(body: unknown): Told {
  const error = isRecord(body) ? (body["error"] ?? body) : undefined;
  if (!isRecord(error)) return { type: "", message: isText(error) ? error : "", reason: "" };
  const { type, message, details } = error;
  const reason = isRecord(details) ? details["error_code"] : undefined;
  return { type: isText(type) ? type : "", message: isText(message) ? message : "", reason: isText(reason) ? reason : "" };
}

/** The word of the API goes before the status, except where a status is finer: a gateway in between may have set it. */
function codeOf({ type, message, reason }: Told, status: number | undefined): ErrorCode {
  const code = byType.get(type) ?? (status === undefined ? "upstream_error" : codeOfStatus(status));
  if (code === "upstream_rate_limited") return reason === "enforced_spend_limit_reached" ? "upstream_quota" : code;
  if (code === "upstream_invalid" && unpaid.test(message)) return "upstream_quota";
  if ((code === "upstream_invalid" || code === "payload_too_large") && tooLong.test(message)) return "context_length_exceeded";
  return code;
}

const kinds = ["requests", "tokens", "input-tokens", "output-tokens"] as const;

/** When the limits that are used up are free again; they are told as dates. */
function resetMs(headers: IncomingHttpHeaders, wallMs: number): number | undefined {
  const waits = kinds.flatMap((kind) => {
    if (headers[`anthropic-ratelimit-${kind}-remaining`] !== "0") return [];
    const at = Date.parse(String(headers[`anthropic-ratelimit-${kind}-reset`] ?? ""));
    return Number.isNaN(at) ? [] : [Math.max(0, at - wallMs)];
  });
  return waits.length > 0 ? Math.max(...waits) : undefined;
}

/** What a refusal of the API means to us and to the client. */
export function refusalError(upstream: string, { status, headers, body, wallMs }: Refusal): GatewayError {
  const told = readError(body);
  const code = codeOf(told, status);
  const wait = retryAfterMs(headers, wallMs) ?? (code === "upstream_rate_limited" ? resetMs(headers, wallMs) : undefined);
  return refusalOf({ upstream, code, message: told.message, status, retryAfterMs: wait });
}

/** True when a body tells of a failure in place of an answer. */
export function tellsError(body: unknown): boolean {
  return isRecord(body) && (body["type"] === "error" || (body["error"] !== undefined && body["error"] !== null));
}

/** A failure inside an answer that had begun well. */
export function inbandError(upstream: string, body: unknown): GatewayError {
  const told = readError(body);
  return refusalOf({ upstream, code: codeOf(told, undefined), message: told.message });
}
