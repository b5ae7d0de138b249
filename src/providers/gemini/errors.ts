import type { ErrorCode, GatewayError } from "../../model/errors.ts";
import { isRecord, isText, type Json } from "../translate/json.ts";
import type { Refusal } from "../translate/leg.ts";
import { codeOfStatus, refusalOf, retryAfterMs } from "../translate/refusal.ts";

/** Words of `google.rpc.Code`. */
const statuses: Readonly<Record<string, ErrorCode>> = {
  INVALID_ARGUMENT: "upstream_invalid",
  OUT_OF_RANGE: "upstream_invalid",
  // The account or its place, never the request: no billing, a country that is not served.
  FAILED_PRECONDITION: "upstream_auth",
  UNAUTHENTICATED: "upstream_auth",
  PERMISSION_DENIED: "upstream_auth",
  NOT_FOUND: "upstream_model_not_found",
  RESOURCE_EXHAUSTED: "upstream_rate_limited",
  CANCELLED: "upstream_error",
  ABORTED: "upstream_error",
  INTERNAL: "upstream_error",
  UNKNOWN: "upstream_error",
  DATA_LOSS: "upstream_error",
  UNIMPLEMENTED: "upstream_error",
  UNAVAILABLE: "upstream_overloaded",
  DEADLINE_EXCEEDED: "upstream_timeout",
};

const tooLong = /input token count.*exceeds|exceeds the maximum number of tokens|context (?:length|window)|maximum context/i;

/** The error of a body; some endpoints put it into a list. */
function errorOf(body: unknown): Json | undefined {
  const outer = Array.isArray(body) ? (body as readonly unknown[])[0] : body;
  const error = isRecord(outer) ? outer["error"] : undefined;
  return isRecord(error) ? error : undefined;
}

function detailsOf(error: Json | undefined): readonly Json[] {
  const details = error?.["details"];
  return Array.isArray(details) ? details.filter(isRecord) : [];
}

/** `RetryInfo.retryDelay`, such as "37s" or "0.5s". */
function delayMs(details: readonly Json[]): number | undefined {
  for (const { retryDelay } of details) {
    const found = typeof retryDelay === "string" ? /^(\d+(?:\.\d+)?)s$/.exec(retryDelay) : null;
    if (found) return Number(found[1]) * 1000;
  }
  return undefined;
}

function codeOf(error: Json | undefined, status: number): ErrorCode {
  // A bad key is an invalid argument there.
  if (detailsOf(error).some(({ reason }) => typeof reason === "string" && reason.startsWith("API_KEY"))) return "upstream_auth";
  const said = error?.["status"];
  const code = (isText(said) && Object.hasOwn(statuses, said) ? statuses[said] : undefined) ?? codeOfStatus(status);
  return code === "upstream_invalid" && tooLong.test(messageOf(error)) ? "context_length_exceeded" : code;
}

function messageOf(error: Json | undefined): string {
  const message = error?.["message"];
  return typeof message === "string" ? message : "";
}

/** What a refusal means to us and to the client. */
export function refusalError(upstream: string, { status, headers, body, wallMs }: Refusal): GatewayError {
  const error = errorOf(body);
  const wait = delayMs(detailsOf(error)) ?? retryAfterMs(headers, wallMs);
  return refusalOf({ upstream, code: codeOf(error, status), message: messageOf(error), status, retryAfterMs: wait });
}

/** An error that came inside an answer that had begun well; undefined when there is none. */
export function inbandError(upstream: string, body: unknown): GatewayError | undefined {
  const error = errorOf(body);
  if (!error) return undefined;
  const { code } = error;
  const status = typeof code === "number" ? code : 502;
  return refusalOf({ upstream, code: codeOf(error, status), message: messageOf(error), retryAfterMs: delayMs(detailsOf(error)) });
}
