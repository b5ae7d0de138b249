import type { IncomingMessage } from "node:http";

/** What most clients send; any other spelling of the same goes through the framework. */
const PATH = "/v1/chat/completions";
const JSON_TYPE = "application/json";

/** The bytes of the body of a request that needs no framework: a chat in plain JSON of a known length within `limit`. Undefined for any other. */
export function straightLength({ method, url, headers }: IncomingMessage, limit: number): number | undefined {
  if (method !== "POST" || url !== PATH || headers["content-type"] !== JSON_TYPE) return undefined;
  if (headers["content-encoding"] !== undefined || headers["transfer-encoding"] !== undefined) return undefined;
  const length = Number(headers["content-length"]);
  return length <= limit ? length : undefined;
}

/** Reads a body of a known length; calls one of the two, once. */
export function readBody(raw: IncomingMessage, length: number, taker: { take(body: Buffer): void; fail(error: Error): void }): void {
  let first: Buffer | undefined;
  let others: Buffer[] | undefined;
  raw.on("data", (piece: Buffer) => {
    if (first) (others ??= [first]).push(piece);
    else first = piece;
  });
  raw.on("end", () => taker.take(others ? Buffer.concat(others, length) : (first ?? Buffer.alloc(0))));
  raw.on("error", (error) => taker.fail(error));
}
