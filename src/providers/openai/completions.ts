import { isUtf8 } from "node:buffer";
import { tightest, type Call } from "../../model/call.ts";
import type { Completion } from "../../model/completion.ts";
import { GatewayError, toGatewayError, type ErrorCode } from "../../model/errors.ts";
import { CONTENT, Flag, type BatchEvent, type FinishReason, type ModelEvent } from "../../model/events.ts";
import type { Model } from "../../model/model.ts";
import { change, type ChatRequest } from "../../model/request.ts";
import { Exchange } from "../../upstream/post.ts";
import { SseReader } from "../../upstream/sse.ts";
import { readWhole } from "../../upstream/whole.ts";
import { inbandError, tellsError } from "./errors.ts";
import { isDraft, saysFinished } from "./message.ts";
import { answering, isRecord, parsed, postBytes, type Endpoint } from "./post-json.ts";
import type { RequestWriter } from "./request.ts";
import { mendChoice } from "./text-choice.ts";
import { TextChunkReader } from "./text-chunks.ts";
import { readUsage } from "./usage.ts";

/** How a connection can end under an answer. */
const lost: ReadonlySet<ErrorCode> = new Set(["upstream_unreachable", "upstream_timeout", "upstream_protocol"]);

interface CompletionsOptions {
  readonly model: string;
  readonly writer: RequestWriter;
  /** Fields that the server takes and does not heed. */
  readonly refused: readonly string[];
}

/** A server that completes text by itself, without a chat's template round it. */
export class CompletionsLeaf implements Model {
  readonly name: string;
  readonly #endpoint: Endpoint;
  readonly #options: CompletionsOptions;

  constructor(endpoint: Endpoint, options: CompletionsOptions) {
    this.name = endpoint.name;
    this.#endpoint = endpoint;
    this.#options = options;
  }

  async *stream(request: ChatRequest, call: Call): AsyncGenerator<ModelEvent> {
    const { model, writer, refused } = this.#options;
    const unread = refused.find((field) => asksFor(request.body[field]));
    if (unread !== undefined)
      throw new GatewayError("unsupported_parameter", `${this.name} does not support "${unread}".`, { param: unread, upstream: this.name });
    const { bytes, dropped, wantsUsage } = writer.write(bounded(request), model, call.delivery);
    for (const field of dropped) call.trace.warnings.push(`${this.name} does not take "${field}"; it was left out`);
    if (call.delivery === "stream") yield* this.#streamed({ bytes, wantsUsage, choices: request.body.n ?? 1 }, call);
    else yield { type: "finish", completion: await this.#whole(bytes, call) };
  }

  async #whole(bytes: Buffer, call: Call): Promise<Completion> {
    const { bytes: answer, body } = await postBytes(this.#endpoint, bytes, call);
    return this.#completion(answer, body);
  }

  /** A whole answer to whom a stream was promised. */
  #read(answer: Buffer, call: Call): string {
    const body = parsed(answer);
    if (tellsError(body)) throw inbandError(this.name, body, call.clock.wall());
    return (this.#completion(answer, body).bytes ?? answer).toString("latin1");
  }

  #completion(bytes: Buffer, body: unknown): Completion {
    const { name } = this;
    const rows: unknown = isRecord(body) ? body["choices"] : undefined;
    const drafts = Array.isArray(rows) ? rows.filter(isDraft).filter(({ text }) => typeof text === "string") : [];
    if (!isRecord(body) || drafts.length === 0 || drafts.length !== (rows as readonly unknown[]).length)
      throw new GatewayError("upstream_protocol", `${name} did not send a text completion.`, { upstream: name });
    let odd = body["object"] !== "text_completion" || !isUtf8(bytes);
    const choices = drafts.map((draft, position) => {
      // A whole answer has ended, whether it says so or not.
      const said = saysFinished(draft["finish_reason"]);
      if (!said) draft["finish_reason"] = "stop";
      if (mendChoice(draft, { position }).odd || !said) odd = true;
      const { index, text, finish_reason: finishReason } = draft as { index: number; text: string; finish_reason: FinishReason };
      return { index, message: { role: "assistant" as const, content: text }, finishReason };
    });
    const usage = readUsage(body["usage"]);
    // Written anew as a whole, so that no field is lost that nobody here knows.
    const canonical = odd ? Buffer.from(JSON.stringify({ ...body, object: "text_completion" })) : bytes;
    return { choices, bytes: canonical, ...(usage ? { usage } : {}) };
  }

  async *#streamed({ bytes, wantsUsage, choices }: Sent, call: Call): AsyncGenerator<ModelEvent> {
    const { name, pool, path, headers, timeouts } = this.#endpoint;
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
    const reader = new TextChunkReader({
      identity: call.identity,
      upstream: name,
      wantsUsage,
      wallMs: () => call.clock.wall(),
      choices,
    });
    let whole = false;
    try {
      const type = (await answering(exchange, name, call))["content-type"] ?? "";
      if (type.startsWith("text/event-stream")) yield* batches(exchange, reader, name);
      else {
        const found = reader.whole(this.#read(await readWhole(exchange, name), call));
        if (found) yield found;
      }
      const last = reader.end();
      if (last) yield last;
      whole = true;
      const { usage, usageBytes } = reader;
      yield { type: "finish", ...(usage && { usage }), ...(usageBytes !== undefined && { bytes: usageBytes }) };
    } catch (thrown) {
      throw toGatewayError(thrown, call.signal);
    } finally {
      if (!whole) noteCut(call, reader);
      if (exchange.sent) call.span.sent = true;
      exchange.close();
    }
  }
}

/** What was sent, as far as the answer depends on it. */
interface Sent {
  readonly bytes: Buffer;
  readonly wantsUsage: boolean;
  readonly choices: number;
}

/** The bound of a chat, by the only name that it has here. */
function bounded(request: ChatRequest): ChatRequest {
  const { max_tokens: own, max_completion_tokens: limit } = request.body;
  return typeof limit === "number" ? change(request, { max_tokens: own ?? limit, max_completion_tokens: undefined }) : request;
}

/** True for a value that differs from the field's absence: no text, no, and one are what there is without it. */
function asksFor(value: unknown): boolean {
  return value !== undefined && value !== null && value !== "" && value !== false && value !== 1;
}

/** What an event stream brings, read by read. */
async function* batches(exchange: Exchange, reader: TextChunkReader, upstream: string): AsyncGenerator<BatchEvent> {
  const events = new SseReader(upstream);
  let first = true;
  while (!reader.done) {
    const piece = await readOn(exchange, reader);
    if (piece) events.push(piece.toString("latin1"));
    const found = piece ? reader.read(events) : reader.rest(events);
    if (reader.done) exchange.finish();
    if (found) {
      // Heartbeats, comments and empty chunks are no sign of life.
      if ((found.flags & (first ? CONTENT : CONTENT | Flag.end)) !== 0) {
        first = false;
        exchange.alive();
      }
      yield found;
    }
    if (reader.failed) throw reader.failed;
    if (!piece) return;
  }
}

/** The next bytes. An answer that has ended is whole, however its connection ends. */
async function readOn(exchange: Exchange, reader: TextChunkReader): Promise<Buffer | undefined> {
  try {
    return await exchange.read();
  } catch (thrown) {
    if (reader.complete && thrown instanceof GatewayError && lost.has(thrown.code)) return undefined;
    throw thrown;
  }
}

/** Notes in the span what a cut leg wrote, for `observe` to bill. */
function noteCut({ span }: Call, reader: TextChunkReader): void {
  span.estimated = reader.usage === undefined;
  if (reader.usage) span.usage = reader.usage;
  else if (reader.contentChunks > 0) span.usage = { promptTokens: 0, completionTokens: reader.contentChunks };
}
