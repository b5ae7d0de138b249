import type { IncomingHttpHeaders } from "node:http";
import { GatewayError, type ErrorCode, type ErrorDetails, type WireError } from "../../model/errors.ts";
import { cleanMessage, retryAfterMs, saidUnder } from "../translate/refusal.ts";

export { cleanMessage, retryAfterMs };

type Json = Readonly<Record<string, unknown>>;

const contextCodes = new Set(["context_length_exceeded", "exceed_context_size_error"]);
/** OpenAI says so of every text that is too long, an id as well as a prompt. */
const lengthCode = "string_above_max_length";
const contextParam = /^(?:messages|input|prompt)(?:$|\[\d+\](?:$|\.(?:content|text)))/;
const contextText = /context (length|size|window)|maximum context|too many tokens|prompt is too long|exceeds? the (available )?context/i;
const filterCodes = new Set(["content_filter", "content_policy_violation", "ResponsibleAIPolicyViolation"]);
const quotaCodes = new Set(["insufficient_quota", "credit_balance_exhausted", "billing_hard_limit_reached"]);

function isRecord(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

interface Told {
  readonly message: string;
  readonly type: string | undefined;
  readonly param: string | null;
  readonly code: string | undefined;
  /** A number in `code`, as some servers write the HTTP status there. */
  readonly status: number | undefined;
}

/** A field that is one word, such as a code or the path of a parameter; anything else may tell what it should not. */
function word(value: unknown): string | undefined {
  return typeof value === "string" && /^[\w.[\]-]{1,100}$/.test(value) ? value : undefined;
}

/** The error in an upstream's body, in any of the shapes that servers use; undefined when there is none. */
function readError(body: unknown): Told | undefined {
  const outer = Array.isArray(body) ? (body as readonly unknown[])[0] : body;
  if (!isRecord(outer)) return undefined;
  const inner =
    outer["error"] ??
    (outer["object"] === "error" || "detail" in outer || ("message" in outer && !("choices" in outer)) ? outer : undefined);
  if (inner === undefined || inner === null) return undefined;
  if (typeof inner === "string") return { message: cleanMessage(inner), type: undefined, param: null, code: undefined, status: undefined };
  if (!isRecord(inner)) return undefined;
  const said = inner["message"] ?? inner["detail"] ?? "";
  const message = cleanMessage(typeof said === "string" ? said : JSON.stringify(said));
  const code = inner["code"];
  return {
    message,
    type: word(inner["type"]) ?? word(inner["error_type"]),
    param: word(inner["param"]) ?? null,
    code: word(code),
    status: typeof code === "number" && code >= 400 && code < 600 ? code : undefined,
  };
}

/** True when a body says that something went wrong. */
export function tellsError(body: unknown): boolean {
  return readError(body) !== undefined;
}

function codeOf(status: number, told: Told | undefined): ErrorCode {
  const code = told?.code ?? "";
  const type = told?.type ?? "";
  if (status === 400 || status === 422 || status === 413) {
    if (code === lengthCode && contextParam.test(told?.param ?? "")) return "context_length_exceeded";
    if (contextCodes.has(code) || contextCodes.has(type) || contextText.test(told?.message ?? "")) return "context_length_exceeded";
    if (filterCodes.has(code)) return "content_filter";
    return status === 413 ? "payload_too_large" : "upstream_invalid";
  }
  if (status === 401 || status === 403) return "upstream_auth";
  if (status === 402 || (status === 429 && (quotaCodes.has(code) || quotaCodes.has(type)))) return "upstream_quota";
  if (status === 404) return "upstream_model_not_found";
  if (status === 408 || status === 504) return "upstream_timeout";
  if (status === 429) return "upstream_rate_limited";
  if (status === 508) return "loop_detected";
  if (status === 503 || status === 529) return "upstream_overloaded";
  if (status >= 500 || status === 424) return "upstream_error";
  return status >= 400 ? "upstream_invalid" : "upstream_protocol";
}

/** Codes under which the client sees the upstream's own four fields. */
const verbatim = new Set<ErrorCode>([
  "context_length_exceeded",
  "content_filter",
  "upstream_invalid",
  "upstream_rate_limited",
  "payload_too_large",
]);

function wireOf(code: ErrorCode, told: Told): WireError {
  const fallback = new GatewayError(code, told.message).wire;
  // A number or a server's own word in place of a code helps no client: the standard word does.
  const standard = code === "context_length_exceeded" || code === "content_filter" || told.code === undefined;
  return {
    message: told.message,
    type: code === "context_length_exceeded" ? fallback.type : (told.type ?? fallback.type),
    param: told.param,
    code: standard ? fallback.code : (told.code ?? null),
  };
}

/** Codes that are about the gateway's own account: what the upstream says of it is not for clients. */
const unsaid = new Set<ErrorCode>(["upstream_auth", "upstream_quota"]);

const plain: Partial<Record<ErrorCode, string>> = {
  upstream_auth: "refused the gateway's credentials",
  upstream_quota: "says that the gateway's quota there is used up",
  upstream_model_not_found: "does not know this model",
  upstream_overloaded: "is overloaded",
  upstream_timeout: "took too long",
  upstream_rate_limited: "limits the rate of requests",
};

/** A 404 that says nothing of a model: what a server answers that has its API elsewhere. */
const noAddress = "does not know this model, or its server has no such address: a baseUrl goes up to and with /v1";

export interface Refusal {
  readonly upstream: string;
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  /** The parsed body, or undefined when it is not JSON. */
  readonly body: unknown;
  readonly wallMs: number;
}

/** What an upstream's refusal means to us and to the client. */
export function refusalError({ upstream, status, headers, body, wallMs }: Refusal): GatewayError {
  const told = readError(body);
  const code = codeOf(told?.status ?? status, told);
  const waitMs = retryAfterMs(headers, wallMs);
  const details: ErrorDetails = {
    upstream,
    upstreamStatus: status,
    ...(waitMs === undefined ? {} : { retryAfterMs: waitMs }),
    ...(told && told.message !== "" && verbatim.has(code) ? { wire: wireOf(code, told) } : {}),
  };
  const said = told && told.message !== "" && !unsaid.has(code) ? `: ${saidUnder(code, told.message)}` : "";
  const what = code === "upstream_model_not_found" && (!told || told.message === "Not Found") ? noAddress : (plain[code] ?? "failed");
  return new GatewayError(code, `${upstream} ${what} (HTTP ${status})${said}`, details);
}

/** An error that came inside an answer that had begun well: a 200 with an error body, or an error frame. */
export function inbandError(upstream: string, body: unknown, wallMs: number): GatewayError {
  const told = readError(body);
  const type = told?.type ?? "";
  const guessed = type.includes("rate_limit") ? 429 : type.includes("overloaded") ? 503 : type.includes("invalid_request") ? 400 : 502;
  const error = refusalError({ upstream, status: told?.status ?? guessed, headers: {}, body, wallMs });
  const { upstreamStatus: _, ...details } = error.details;
  if (unsaid.has(error.code)) return new GatewayError(error.code, `${upstream} ${plain[error.code] ?? "failed"}.`, details);
  const said = saidUnder(error.code, told?.message ?? "");
  const message = said === "" ? `${upstream} failed in the middle of its answer.` : said;
  const wire = details.wire ?? {
    ...error.wire,
    message,
    ...(told?.type ? { type: told.type } : {}),
    ...(told?.code ? { code: told.code } : {}),
  };
  return new GatewayError(error.code, `${upstream}: ${message}`, { ...details, wire });
}
