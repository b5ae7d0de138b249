import { GatewayError } from "../model/errors.ts";
import type { Exchange, Head } from "./post.ts";

/** The most of a whole answer that one leg may hold: well above any text, and room for some thousand vectors. */
const MAX_ANSWER_MIB = 64;
const MAX_ERROR_BODY = 64 * 1024;

/** All of a body's bytes; undefined when there are more than the limit. */
async function bodyOf(exchange: Exchange, limit: number): Promise<Buffer | undefined> {
  const chunks: Buffer[] = [];
  let size = 0;
  for (let chunk = await exchange.read(); chunk; chunk = await exchange.read()) {
    exchange.alive();
    size += chunk.length;
    if (size > limit) return undefined;
    chunks.push(chunk);
  }
  return chunks.length === 1 && chunks[0] ? chunks[0] : Buffer.concat(chunks);
}

/** All of an answer's bytes. Throws when there is no end to them. */
export async function readWhole(exchange: Exchange, upstream: string): Promise<Buffer> {
  const bytes = exchange.takeBody() ?? (await bodyOf(exchange, MAX_ANSWER_MIB * 1024 * 1024));
  if (bytes) return bytes;
  throw new GatewayError("upstream_protocol", `${upstream} sent an answer of more than ${MAX_ANSWER_MIB} MiB.`, { upstream });
}

/** The JSON of a refusal, if it comes: the head has said the most, and must not be lost over it. */
export async function readRefusal(exchange: Exchange): Promise<unknown> {
  try {
    const bytes = await bodyOf(exchange, MAX_ERROR_BODY);
    return bytes && JSON.parse(bytes.toString("utf8"));
  } catch {
    // Cut, late, HTML or plain text: the status alone has to do.
    return undefined;
  }
}

/** Throws for a page in place of an answer: a proxy's, or that of a wrong address. */
export function refusePage({ status, headers }: Head, upstream: string): void {
  if (status === 200 && (headers["content-type"] ?? "").startsWith("text/html"))
    throw new GatewayError("upstream_protocol", `${upstream} sent an HTML page.`, { upstream });
}
