import type { ServerResponse } from "node:http";
import type { GatewayError } from "../../model/errors.ts";
import { sendError } from "../errors.ts";
import type { Json } from "../openai/responses/json.ts";
import { requestIdIn } from "../request-id.ts";

const types: Readonly<Record<number, string>> = {
  401: "authentication_error",
  402: "billing_error",
  403: "permission_error",
  404: "not_found_error",
  409: "conflict_error",
  413: "request_too_large",
  429: "rate_limit_error",
  503: "overloaded_error",
  504: "timeout_error",
};

function typeOf({ status, code }: GatewayError): string {
  if (code === "loop_detected") return "invalid_request_error";
  return types[status] ?? (status < 499 ? "invalid_request_error" : "api_error");
}

/** The API's word for money that is spent, at which official clients do not try again. */
const SPENT = "enforced_spend_limit_reached";

/** The API's word for a conversation that the server does not keep, at which official clients go on without. */
const UNTHREADED = "thread_unsupported_request";

/** An error as the API writes it. What its shape has no place for stands in `details`. */
export function errorFields(error: GatewayError, requestId: string): Json {
  const { message, param, code } = error.wire;
  const named = code === "insufficient_quota" ? SPENT : param === "thread" ? UNTHREADED : code;
  const details = { ...(named === null ? {} : { error_code: named }), ...(param === null ? {} : { param }) };
  const isBare = Object.keys(details).length === 0;
  return { error: { type: typeOf(error), message, ...(isBare ? {} : { details }) }, request_id: requestId };
}

/** The name under which clients of this API look for a request's id. */
export function withRequestId(headers: readonly string[]): readonly string[] {
  return headers.includes("request-id") ? headers : [...headers, "request-id", requestIdIn(headers)];
}

/** Answers with an error, if nothing has gone out. */
export function sendMessagesError(reply: ServerResponse, error: GatewayError, headers: readonly string[]): void {
  const body = (error: GatewayError) => JSON.stringify({ type: "error", ...errorFields(error, requestIdIn(headers)) });
  sendError(reply, error, withRequestId(headers), body);
}

/** True for a path of this API, the mistaken ones of its clients among them. */
export function isMessagesPath(path: string): boolean {
  return /^\/+(?:v1\/+)*messages(?:\/|$)/.test(path);
}
