import { isAscii } from "node:buffer";
import type { Signal } from "../../model/abort.ts";
import { GatewayError, toGatewayError, type ErrorCode } from "../../model/errors.ts";
import { CONTENT, Flag, type BatchEvent, type FinishEvent, type ModelEvent } from "../../model/events.ts";
import { ended } from "../../model/hand-over.ts";
import type { Exchange } from "../../upstream/post.ts";
import { SseReader } from "../../upstream/sse.ts";
import type { ChunkReader } from "./chunks.ts";
import { parsed } from "./post-json.ts";

/** What a stream that has begun may send to be alive. */
const LIFE = CONTENT | Flag.logprobs | Flag.end;
/** How a connection can end under an answer. */
const lost: ReadonlySet<ErrorCode> = new Set(["upstream_unreachable", "upstream_timeout", "upstream_protocol"]);

export interface EventStreamOptions {
  readonly exchange: Exchange;
  readonly reader: ChunkReader;
  /** `provider/model`, for errors. */
  readonly upstream: string;
  readonly signal: Signal;
  /** Called once, when the stream has ended or nobody reads on; with its reader where it had not ended. */
  close(cut: ChunkReader | undefined): void;
}

type Result = IteratorResult<ModelEvent, undefined>;

/**
 * What an upstream streams, as events: `start`, a batch for each read that brings something for the client, `finish`. Throws a GatewayError.
 * Written by hand and in one piece: it is on the way of every chunk, and each promise between would be a turn of the queue.
 */
export class EventStream implements AsyncIterableIterator<ModelEvent, undefined> {
  readonly #options: EventStreamOptions;
  readonly #reader: ChunkReader;
  readonly #events: SseReader;
  /** The batch that `start` was told for. */
  #held: BatchEvent | undefined;
  /** All that has come so far. */
  #ascii = true;
  #started = false;
  #alive = false;
  /** The reader was told of the end. */
  #ended = false;
  #closed = false;

  constructor(options: EventStreamOptions) {
    this.#options = options;
    this.#reader = options.reader;
    this.#events = new SseReader(options.upstream);
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<Result> {
    const value = this.#held;
    if (this.#closed) return Promise.resolve(ended);
    if (value) {
      this.#held = undefined;
      return Promise.resolve({ done: false, value });
    }
    const { failed, done } = this.#reader;
    const isKnown = failed !== undefined || done || this.#ended;
    return (isKnown ? Promise.resolve() : this.#options.exchange.ready()).then(this.#turn);
  }

  return(): Promise<Result> {
    this.#close(this.#reader);
    return Promise.resolve(ended);
  }

  readonly #turn = (): Result | Promise<Result> => {
    // Somebody left while it was awaited.
    if (this.#closed) return ended;
    try {
      const found = this.#read();
      if (found === null) return this.next();
      return { done: false, value: found ? this.#told(found) : this.#finish() };
    } catch (thrown) {
      this.#close(this.#reader);
      throw toGatewayError(thrown, this.#options.signal);
    }
  };

  /** What has come for the client; null for nothing, undefined at the end. */
  #read(): BatchEvent | undefined | null {
    const reader = this.#reader;
    if (reader.failed) throw reader.failed;
    if (this.#ended) return undefined;
    const chunk = reader.done ? undefined : this.#take();
    if (chunk === null) return null;
    if (chunk === undefined) return this.#last();
    const { exchange } = this.#options;
    reader.isAscii = this.#ascii &&= isAscii(chunk);
    this.#events.push(chunk.toString("latin1"));
    const found = reader.read(this.#events);
    if (reader.done) exchange.finish();
    if (!found) return null;
    // Heartbeats, comments and empty deltas are no sign of life, nor is a bare role that of a first token.
    if ((found.flags & (this.#alive ? LIFE : CONTENT)) !== 0) {
      this.#alive = true;
      exchange.alive();
    }
    return found;
  }

  #take(): Buffer | undefined | null {
    try {
      return this.#options.exchange.take();
    } catch (thrown) {
      // An answer that has ended is whole, however its connection ends.
      if (this.#reader.complete && thrown instanceof GatewayError && lost.has(thrown.code)) return undefined;
      throw thrown;
    }
  }

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

  #told(found: BatchEvent): ModelEvent {
    if (this.#started) return found;
    this.#started = true;
    this.#held = found;
    return { type: "start", ...this.#reader.reply };
  }

  #finish(): FinishEvent {
    this.#close(undefined);
    const { usage, usageBytes: bytes } = this.#reader;
    return { type: "finish", ...(usage && { usage }), ...(bytes !== undefined && { bytes }) };
  }

  #close(cut: ChunkReader | undefined): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#options.close(cut);
  }
}
