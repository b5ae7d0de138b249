import type { ErrorCode, GatewayError } from "../../model/errors.ts";
import { isRecord, isText } from "../translate/json.ts";
import type { Refusal } from "../translate/leg.ts";
import { codeOfStatus, refusalOf, retryAfterMs } from "../translate/refusal.ts";

/** By the name of the exception, in lower case and without that word. */
const exceptions: Readonly<Record<string, ErrorCode>> = {
  validation: "upstream_invalid",
  throttling: "upstream_rate_limited",
  toomanyrequests: "upstream_rate_limited",
  servicequotaexceeded: "upstream_quota",
  accessdenied: "upstream_auth",
  unrecognizedclient: "upstream_auth",
  invalidsignature: "upstream_auth",
  incompletesignature: "upstream_auth",
  missingauthenticationtoken: "upstream_auth",
  expiredtoken: "upstream_auth",
  notauthorized: "upstream_auth",
  resourcenotfound: "upstream_model_not_found",
  unknownoperation: "upstream_model_not_found",
  modeltimeout: "upstream_timeout",
  modelnotready: "upstream_overloaded",
  modelerror: "upstream_error",
  modelstreamerror: "upstream_error",
  internalserver: "upstream_error",
  internalfailure: "upstream_error",
  serviceunavailable: "upstream_overloaded",
};

const tooLong =
  /input is too long|prompt is too long|too many (?:input )?tokens|maximum context|context (?:length|window)|exceeds? the maximum (?:number|length)/i;

/** `com.amazon.coral.service#ThrottlingException:http://...` and `throttlingException` are both `throttling`. */
function nameOf(said: string): string {
  const name = said.split(":", 1)[0]?.split("#").at(-1) ?? "";
  return name.toLowerCase().replace(/exception$/, "");
}

function codeOf(said: string, message: string, status: number): ErrorCode {
  const name = nameOf(said);
  const code = (Object.hasOwn(exceptions, name) ? exceptions[name] : undefined) ?? codeOfStatus(status);
  return code === "upstream_invalid" && tooLong.test(message) ? "context_length_exceeded" : code;
}

/** Names of resources carry the number of the account. */
function withoutResources(message: string): string {
  return message.replace(/\barn:[\w-]+:\S+/gi, "[resource]");
}

function messageOf(body: unknown): string {
  const message = isRecord(body) ? (body["message"] ?? body["Message"]) : undefined;
  return typeof message === "string" ? withoutResources(message) : "";
}

/** What a refusal means to us and to the client. */
export function refusalError(upstream: string, { status, headers, body, wallMs }: Refusal): GatewayError {
  const header = headers["x-amzn-errortype"];
  const type = isRecord(body) ? body["__type"] : undefined;
  const said = isText(header) ? header : isText(type) ? type : "";
  const message = messageOf(body);
  return refusalOf({ upstream, code: codeOf(said, message, status), message, status, retryAfterMs: retryAfterMs(headers, wallMs) });
}

/** An exception that came as a message of a stream. */
export function streamedError(upstream: string, name: string, body: unknown): GatewayError {
  const message = typeof body === "string" ? withoutResources(body) : messageOf(body);
  return refusalOf({ upstream, code: codeOf(name, message, 502), message });
}
