import type { ServerResponse } from "node:http";

/** Answers 200 with JSON. */
export function sendJson(reply: ServerResponse, body: unknown, headers: readonly string[], status = 200): void {
  sendJsonText(reply, JSON.stringify(body), headers, status);
}

/** Answers 200 with what is JSON already. */
export function sendJsonText(reply: ServerResponse, json: string, headers: readonly string[], status = 200): void {
  reply.writeHead(status, ["content-type", "application/json", "content-length", String(Buffer.byteLength(json)), ...headers]);
  reply.end(json);
}
