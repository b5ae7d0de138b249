import { tightest, type Call } from "../../model/call.ts";
import type { Completion } from "../../model/completion.ts";
import { GatewayError, toGatewayError, type ErrorCode } from "../../model/errors.ts";
import { CONTENT, type BatchEvent, type ModelEvent } from "../../model/events.ts";
import type { Model } from "../../model/model.ts";
import type { ChatRequest } from "../../model/request.ts";
import { Exchange } from "../../upstream/post.ts";
import { SseReader } from "../../upstream/sse.ts";
import { isRecord, postBytes, refuse, type Endpoint } from "./post-json.ts";
import type { RequestWriter } from "./request.ts";
import { isAlive, textEnd, TextChunkReader } from "./text-chunks.ts";
import { readUsage } from "./usage.ts";

/** How a connection can end under an answer. */
const lost: ReadonlySet<ErrorCode> = new Set(["upstream_unreachable", "upstream_timeout", "upstream_protocol"]);

/** A server that completes text by itself, without a chat's template round it. */
export class CompletionsLeaf implements Model {
  readonly name: string;
  readonly #endpoint: Endpoint;
  readonly #options: { readonly model: string; readonly writer: RequestWriter };

  constructor(endpoint: Endpoint, options: { readonly model: string; readonly writer: RequestWriter }) {
    this.name = endpoint.name;
    this.#endpoint = endpoint;
    this.#options = options;
  }

  async *stream(request: ChatRequest, call: Call): AsyncGenerator<ModelEvent> {
    const { model, writer } = this.#options;
    const { bytes, dropped } = writer.write(request, model, call.delivery);
    for (const field of dropped) call.trace.warnings.push(`${this.name} does not take "${field}"; it was left out`);
    if (call.delivery === "stream") yield* this.#streamed(bytes, call);
    else yield { type: "finish", completion: await this.#whole(bytes, call) };
  }

  async #whole(bytes: Buffer, call: Call): Promise<Completion> {
    const { bytes: answer, body } = await postBytes(this.#endpoint, bytes, call);
    return this.#completion(answer, body);
  }

  #completion(bytes: Buffer, body: unknown): Completion {
    const { name } = this;
    const rows: unknown = isRecord(body) ? body["choices"] : undefined;
    const texts = Array.isArray(rows) ? rows.filter(isRecord).filter(({ text }) => typeof text === "string") : [];
    if (!isRecord(body) || texts.length === 0)
      throw new GatewayError("upstream_protocol", `${name} did not send a text completion.`, { upstream: name });
    const usage = readUsage(body["usage"]);
    const choices = texts.map(({ text, index, finish_reason: reason }, at) => ({
      index: typeof index === "number" ? index : at,
      message: { role: "assistant" as const, content: String(text) },
      finishReason: textEnd(reason) ?? ("stop" as const),
    }));
    // What is no text completion yet but says all of one is written anew by whoever answers.
    const isCanonical = body["object"] === "text_completion";
    return { choices, ...(isCanonical ? { bytes } : {}), ...(usage ? { usage } : {}), extra: { answer: body } };
  }

  async *#streamed(bytes: Buffer, call: Call): AsyncGenerator<ModelEvent> {
    const { name, pool, path, headers, timeouts } = this.#endpoint;
    const exchange = new Exchange({
      pool,
      method: "POST",
      path,
      headers: [...headers, "content-length", String(bytes.length), "x-chorale-hops", String(call.hops + 1)],
      body: bytes,
      timeouts: tightest(timeouts, call.timeouts),
      clock: call.clock,
      signal: call.signal,
      upstream: name,
    });
    const reader = new TextChunkReader({ identity: call.identity, upstream: name, wallMs: () => call.clock.wall() });
    let whole = false;
    try {
      const { status, headers: said } = await exchange.head();
      if (status !== 200 || !(said["content-type"] ?? "").startsWith("text/event-stream"))
        await refuse(exchange, { name, status, said }, call);
      yield* this.#batches(exchange, reader);
      reader.end();
      whole = true;
      const { usage } = reader;
      yield { type: "finish", ...(usage && { usage }) };
    } catch (thrown) {
      throw toGatewayError(thrown, call.signal);
    } finally {
      if (!whole) noteCut(call, reader);
      if (exchange.sent) call.span.sent = true;
      exchange.close();
    }
  }

  async *#batches(exchange: Exchange, reader: TextChunkReader): AsyncGenerator<BatchEvent> {
    const events = new SseReader();
    let first = true;
    while (!reader.done) {
      const piece = await readOn(exchange, reader);
      // A stream that was closed may owe the blank line of its last event.
      events.push(piece ? piece.toString("latin1") : "\n\n");
      const found = reader.read(events);
      if (reader.done) exchange.finish();
      if (found) {
        if (first ? (found.flags & CONTENT) !== 0 : isAlive(found)) {
          first = false;
          exchange.alive();
        }
        yield found;
      }
      if (!piece) return;
    }
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
