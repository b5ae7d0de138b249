import type { IncomingHttpHeaders } from "node:http";
import { GatewayError, type ErrorCode, type ErrorDetails } from "../../model/errors.ts";

const MAX_MESSAGE = 500;
/** Of a longer text nobody reads more. */
const MAX_READ = 4000;
const MAX_WAIT_MS = 24 * 60 * 60_000;

/** Text that an upstream wrote, fit for a client: no markup, no addresses, no keys, bounded. */
export function cleanMessage(text: string): string {
  return text
    .slice(0, MAX_READ)
    .replace(/<[^<>]*>/g, " ")
    .replace(/\b(?:https?|wss?):\/\/\S+/gi, "[address]")
    .replace(/\[[\da-f:.%]+\]:\d+/gi, "[address]")
    .replace(/(?<![\w.-])(?:localhost|[\w.-]+\.[a-z]{2,}):\d+/gi, "[address]")
    .replace(/(?<![\w.-])(?:[\w-]+\.)+(?:internal|intranet|localdomain|local|lan|corp|svc)(?![\w-])/gi, "[address]")
    .replace(/\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b/g, "[address]")
    .replace(/\b(?:sk|pk|rk|gsk|xai|key)-[\w-]{8,}/gi, "[key]")
    .replace(/\bAIza[\w-]{10,}/g, "[key]")
    .replace(/\bBearer\s+\S+/gi, "Bearer [key]")
    .replace(/[<>\p{Cc}]+/gu, " ")
    .replace(/\s+/g, " ")
    .trim()
    .slice(0, MAX_MESSAGE);
}

/** Bare names of hosts: with three parts or a well-known end, or with a port. */
const hosts =
  /(?<![\w.-])(?:(?:[a-z\d-]+\.){2,}[a-z]{2,}|[a-z\d-]+\.(?:com|net|org|io|ai|dev|app|cloud)|[a-z][\w-]*:\d{4,5})(?![\w-]|\.\w)/g;

/**
 * An upstream's own words under a code. Where the failure is the upstream's and not the request's, nothing in them is a path of a field, so that what
 * looks like a host is one.
 */
export function saidUnder(code: ErrorCode, message: string): string {
  return new GatewayError(code, "").status < 500 ? message : message.replace(hosts, "[address]");
}

/** `retry-after-ms`, then `retry-after` in seconds or as a date; milliseconds, a day at most. */
export function retryAfterMs(headers: IncomingHttpHeaders, wallMs: number): number | undefined {
  const ms = saidRetryAfterMs(headers, wallMs);
  return ms === undefined ? undefined : Math.min(ms, MAX_WAIT_MS);
}

function saidRetryAfterMs(headers: IncomingHttpHeaders, wallMs: number): number | undefined {
  const ms = Number(headers["retry-after-ms"] ?? Number.NaN);
  if (Number.isFinite(ms) && ms >= 0) return ms;
  const said = headers["retry-after"];
  if (said === undefined || said === "") return undefined;
  const seconds = Number(said);
  if (Number.isFinite(seconds)) return seconds >= 0 ? seconds * 1000 : undefined;
  const date = Date.parse(said);
  return Number.isNaN(date) ? undefined : Math.max(0, date - wallMs);
}

/** What an HTTP status means where the body says nothing better. */
export function codeOfStatus(status: number): ErrorCode {
  if (status === 413) return "payload_too_large";
  if (status === 401 || status === 403) return "upstream_auth";
  if (status === 402) return "upstream_quota";
  if (status === 404) return "upstream_model_not_found";
  if (status === 408 || status === 504) return "upstream_timeout";
  if (status === 429) return "upstream_rate_limited";
  if (status === 508) return "loop_detected";
  if (status === 503 || status === 529) return "upstream_overloaded";
  if (status >= 500 || status === 424) return "upstream_error";
  return status >= 400 ? "upstream_invalid" : "upstream_protocol";
}

/** What is said in place of the upstream's own word, or before it. */
const plain: Partial<Record<ErrorCode, string>> = {
  upstream_auth: "refused the gateway's credentials",
  upstream_quota: "says that the gateway's quota there is used up",
  upstream_model_not_found: "does not know this model",
  upstream_overloaded: "is overloaded",
  upstream_timeout: "took too long",
  upstream_rate_limited: "limits the rate of requests",
};

/** About the gateway's own account: what the upstream says of it is not for clients. */
const unsaid = new Set<ErrorCode>(["upstream_auth", "upstream_quota"]);

/** Codes under which the client sees the upstream's own message and nothing else: it can act on it. */
const verbatim = new Set<ErrorCode>([
  "context_length_exceeded",
  "content_filter",
  "upstream_invalid",
  "upstream_rate_limited",
  "payload_too_large",
]);

export interface Refused {
  readonly upstream: string;
  readonly code: ErrorCode;
  /** As the upstream wrote it; empty when it said nothing. */
  readonly message: string;
  /** Absent for a failure inside an answer that had begun well. */
  readonly status?: number;
  readonly retryAfterMs?: number | undefined;
}

/** A refusal as an error for the client: its code, its message as far as it is for clients, and nothing of the upstream's own words beside. */
export function refusalOf({ upstream, code, message, status, retryAfterMs }: Refused): GatewayError {
  const said = unsaid.has(code) ? "" : saidUnder(code, cleanMessage(message));
  const details: ErrorDetails = {
    upstream,
    ...(status === undefined ? {} : { upstreamStatus: status }),
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  };
  const where = status === undefined ? " in the middle of its answer" : ` (HTTP ${status})`;
  const error = new GatewayError(code, `${upstream} ${plain[code] ?? "failed"}${where}${said === "" ? "" : `: ${said}`}`, details);
  if (said === "" || (status !== undefined && !verbatim.has(code))) return error;
  return new GatewayError(code, error.message, { ...details, wire: { ...error.wire, message: said } });
}
