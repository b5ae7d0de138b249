import type { ServerResponse } from "node:http";

/** Answers 200 with JSON. */
export function sendJson(reply: ServerResponse, body: unknown, headers: readonly string[], status = 200): void {
  const json = JSON.stringify(body);
  reply.writeHead(status, ["content-type", "application/json", "content-length", String(Buffer.byteLength(json)), ...headers]);
  reply.end(json);
}
