import { GatewayError, toGatewayError, type ErrorCode } from "../../model/errors.ts";
import { CONTENT, Flag, type BatchEvent, type ModelEvent } from "../../model/events.ts";
import { ended } from "../../model/hand-over.ts";
import type { Exchange } from "../../upstream/post.ts";
import { SseReader } from "../../upstream/sse.ts";
import type { ChunkReader } from "./chunks.ts";
import { parsed } from "./post-json.ts";

/** What a stream that has begun may send to be alive. */
const LIFE = CONTENT | Flag.logprobs | Flag.end;
/** How a connection can end under an answer. */
const lost: ReadonlySet<ErrorCode> = new Set(["upstream_unreachable", "upstream_timeout", "upstream_protocol"]);

/** What an event stream brings, read by read. */
export class Batches {
  readonly #exchange: Exchange;
  readonly #reader: ChunkReader;
  readonly #events: SseReader;
  #first = true;
  #ended = false;

  constructor(exchange: Exchange, reader: ChunkReader, upstream: string) {
    this.#exchange = exchange;
    this.#reader = reader;
    this.#events = new SseReader(upstream);
  }

  /** What the next read brings for the client; undefined at the end. Rejects with a GatewayError. No async function: it is on the way of every chunk. */
  next(): Promise<BatchEvent | undefined> {
    const reader = this.#reader;
    if (reader.failed) return Promise.reject(reader.failed);
    if (this.#ended) return Promise.resolve(undefined);
    const reading = reader.done ? Promise.resolve(undefined) : this.#exchange.read();
    return reading.then(this.#came, this.#lost);
  }

  readonly #came = (chunk: Buffer | undefined): BatchEvent | undefined | Promise<BatchEvent | undefined> => {
    if (!chunk) return this.#last();
    const reader = this.#reader;
    this.#events.push(chunk.toString("latin1"));
    const found = reader.read(this.#events);
    if (reader.done) this.#exchange.finish();
    if (!found) return this.next();
    // Heartbeats, comments and empty deltas are no sign of life, nor is a bare role that of a first token.
    if ((found.flags & (this.#first ? CONTENT : LIFE)) !== 0) {
      this.#first = false;
      this.#exchange.alive();
    }
    return found;
  };

  readonly #lost = (thrown: unknown): BatchEvent | undefined => {
    // An answer that has ended is whole, however its connection ends.
    if (this.#reader.complete && thrown instanceof GatewayError && lost.has(thrown.code)) return this.#last();
    throw thrown;
  };

  /** What the end leaves to be said. */
  #last(): BatchEvent | undefined {
    this.#ended = true;
    const reader = this.#reader;
    if (!reader.done) {
      const rest = this.#events.rest();
      // An event that was cut says nothing; whether the answer was whole without it, `end` knows.
      if (rest && (rest.data.trim() === "[DONE]" || parsed(Buffer.from(rest.data, "latin1")) !== undefined))
        reader.event(rest.data, rest.event);
    }
    return reader.end();
  }
}

interface Telling {
  readonly reader: ChunkReader;
  readonly signal: AbortSignal;
  /** Called once, when the stream has ended or nobody reads on; with its reader where it had not ended. */
  close(cut: ChunkReader | undefined): void;
}

/** An event stream as events: `start` before the first batch, `finish` behind the last. Written by hand: a generator takes three turns of the queue for each. */
export class Told implements AsyncIterableIterator<ModelEvent, undefined> {
  readonly #batches: Batches;
  readonly #telling: Telling;
  #first: BatchEvent | undefined;
  #begun = false;
  #closed = false;

  constructor(batches: Batches, telling: Telling) {
    this.#batches = batches;
    this.#telling = telling;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<ModelEvent, undefined>> {
    if (this.#closed) return Promise.resolve(ended);
    const value = this.#first;
    if (!value) return this.#batches.next().then(this.#came, this.#failed);
    this.#first = undefined;
    return Promise.resolve({ done: false, value });
  }

  return(): Promise<IteratorResult<ModelEvent, undefined>> {
    this.#close(this.#telling.reader);
    return Promise.resolve(ended);
  }

  readonly #came = (found: BatchEvent | undefined): IteratorResult<ModelEvent, undefined> => {
    const { reader } = this.#telling;
    if (found && this.#begun) return { done: false, value: found };
    if (found) {
      this.#begun = true;
      this.#first = found;
      return { done: false, value: { type: "start", ...reader.reply } };
    }
    this.#close(undefined);
    const { usage, usageBytes: bytes } = reader;
    return { done: false, value: { type: "finish", ...(usage && { usage }), ...(bytes !== undefined && { bytes }) } };
  };

  readonly #failed = (thrown: unknown): IteratorResult<ModelEvent, undefined> => {
    if (this.#closed) return ended;
    this.#close(this.#telling.reader);
    throw toGatewayError(thrown, this.#telling.signal);
  };

  #close(cut: ChunkReader | undefined): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#telling.close(cut);
  }
}
