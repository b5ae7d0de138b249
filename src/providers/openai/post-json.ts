import type { IncomingHttpHeaders } from "node:http";
import { tightest, type Call, type Timeouts } from "../../model/call.ts";
import { GatewayError, toGatewayError } from "../../model/errors.ts";
import { tokenCount } from "../../model/usage.ts";
import type { Pools } from "../../upstream/pools.ts";
import { Exchange } from "../../upstream/post.ts";
import { readRefusal, readWhole, refusePage } from "../../upstream/whole.ts";
import { inbandError, refusalError, tellsError } from "./errors.ts";

/** An endpoint that takes one JSON object and answers with another. */
export interface Endpoint {
  /** `provider/model`. */
  readonly name: string;
  readonly pool: ReturnType<Pools["of"]>;
  readonly path: string;
  /** Flat, without hops; the length is told by the client of HTTP. */
  readonly headers: readonly string[];
  readonly timeouts: Timeouts;
}

export type Json = Readonly<Record<string, unknown>>;

export function isRecord(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** What bytes say; undefined for what is no JSON. */
export function parsed(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString("utf8"));
  } catch {
    // HTML or plain text: the status alone has to do.
    return undefined;
  }
}

/** Waits for a head that promises an answer, and gives its headers. Throws what any other means. */
export async function answering(exchange: Exchange, name: string, call: Call): Promise<IncomingHttpHeaders> {
  const head = await exchange.head();
  refusePage(head, name);
  const { status, headers } = head;
  if (status === 200) return headers;
  throw refusalError({ upstream: name, status, headers, body: await readRefusal(exchange), wallMs: call.clock.wall() });
}

/** A whole answer: its bytes, and what they say. */
export interface Answered {
  readonly bytes: Buffer;
  readonly body: unknown;
}

export async function postJson(endpoint: Endpoint, body: Json, call: Call): Promise<unknown> {
  return (await postBytes(endpoint, Buffer.from(JSON.stringify(body)), call)).body;
}

/** One upstream call, told in the span like that of a chat leaf. Throws a GatewayError, the same for the same failure as chat does. */
export async function postBytes({ name, pool, path, headers, timeouts }: Endpoint, bytes: Buffer, call: Call): Promise<Answered> {
  const exchange = new Exchange({
    pool,
    method: "POST",
    path,
    headers: [...headers, "x-chorale-hops", String(call.hops + 1)],
    body: bytes,
    timeouts: tightest(timeouts, call.timeouts),
    clock: call.clock,
    signal: call.signal,
    upstream: name,
  });
  try {
    await answering(exchange, name, call);
    const answer = await readWhole(exchange, name);
    const body = parsed(answer);
    if (body === undefined) throw new GatewayError("upstream_protocol", `${name} sent an answer that is not JSON.`, { upstream: name });
    if (tellsError(body)) throw inbandError(name, body, call.clock.wall());
    return { bytes: answer, body };
  } catch (thrown) {
    throw toGatewayError(thrown, call.signal);
  } finally {
    if (exchange.sent) call.span.sent = true;
    exchange.close();
  }
}

/** Notes the usage that an answer tells, for whoever bills; both words for the tokens of the prompt are in use. */
export function noteUsage(answer: unknown, { span }: Call): void {
  const usage = isRecord(answer) ? answer["usage"] : undefined;
  const tokens = isRecord(usage) ? tokenCount(usage["prompt_tokens"] ?? usage["total_tokens"]) : undefined;
  if (tokens === undefined) return;
  span.usage = { promptTokens: tokens, completionTokens: 0 };
  span.estimated = false;
}

/**
 * The rows of an answer in the order of what was sent: they come in any order, each with its `index`. Undefined unless there is exactly one for
 * each.
 */
export function inOrder(rows: unknown, count: number): readonly Json[] | undefined {
  if (!Array.isArray(rows) || rows.length !== count) return undefined;
  const ordered: Json[] = [];
  for (const [position, row] of (rows as readonly unknown[]).entries()) {
    if (!isRecord(row)) return undefined;
    const { index = position } = row as { readonly index?: unknown };
    if (typeof index !== "number" || !Number.isInteger(index) || index < 0 || index >= count || ordered[index]) return undefined;
    ordered[index] = row;
  }
  return ordered;
}
