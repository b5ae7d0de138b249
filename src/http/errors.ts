import type { ServerResponse } from "node:http";
import type { GatewayError } from "../model/errors.ts";

/** Bodies and headers of an error, as the OpenAI API writes them. */
export function errorBody(error: GatewayError): string {
  const { message, type, param, code } = error.wire;
  return JSON.stringify({ error: { message, type, param, code } });
}

/**
 * `retry-after` where somebody asked to wait; else `x-should-retry: false` where we have already tried: official clients would otherwise repeat
 * the whole panel.
 */
function errorHeaders(error: GatewayError): string[] {
  const { retryAfterMs } = error.details;
  if (retryAfterMs !== undefined) {
    const headers = ["retry-after", String(Math.max(1, Math.ceil(retryAfterMs / 1000))), "retry-after-ms", String(Math.ceil(retryAfterMs))];
    // Official clients ignore a Retry-After above a minute and come back at once.
    return retryAfterMs > 60_000 ? [...headers, "x-should-retry", "false"] : headers;
  }
  return error.status === 429 || error.status >= 500 ? ["x-should-retry", "false"] : [];
}

/** Answers with an error, if nothing has gone out. `written` is its body where a dialect has another shape for it. */
export function sendError(reply: ServerResponse, error: GatewayError, headers: readonly string[], written = errorBody): void {
  if (reply.destroyed || reply.headersSent) {
    reply.destroy();
    return;
  }
  const body = written(error);
  reply.writeHead(error.status, [
    "content-type",
    "application/json",
    "content-length",
    String(Buffer.byteLength(body)),
    ...headers,
    ...errorHeaders(error),
    ...(error.code === "shutting_down" ? ["connection", "close"] : []),
  ]);
  reply.end(body);
}
