import { subscribe } from "node:diagnostics_channel";
import type { IncomingHttpHeaders } from "node:http";
import type { Dispatcher, Pool } from "undici";
import type { Signal } from "../model/abort.ts";
import type { Timeouts } from "../model/call.ts";
import type { Clock } from "../model/clock.ts";
import { GatewayError, toGatewayError } from "../model/errors.ts";
import { LegTimers, type Leg } from "./timers.ts";

export interface PostRequest {
  readonly pool: Pool;
  readonly method: "POST" | "GET";
  readonly path: string;
  /** Flat: name, value, name, value. */
  readonly headers: readonly string[];
  readonly body: Buffer | undefined;
  readonly timeouts: Timeouts;
  readonly clock: Clock;
  readonly signal: Signal;
  /** `provider/model`, for errors. */
  readonly upstream: string;
}

export interface Head {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
}

/** How often a reused socket that had died in the pool was replaced. */
export const replacedSockets = { count: 0 };

const HIGH_WATER = 64 * 1024;
/** So much of a body is gathered unread, in so many pieces; the rest is read as it comes. A piece of a byte costs as much memory as one of a hundred. */
const GATHERED_BYTES = 1024 * 1024;
const GATHERED_PIECES = 64;
/** How long, and for how many bytes, a connection may take to end an answer that said that it is whole. */
const LINGER_MS = 250;
const LINGER_BYTES = 16 * 1024;
/** On a socket that has carried a request. */
const carried = Symbol("carried");
let starting: { carriedBy(reused: boolean): void } | undefined;

/** The next socket that undici shows carries this request. */
function expectSocket(exchange: { carriedBy(reused: boolean): void }): void {
  starting = exchange;
}

// undici tells which socket carries a request only here, in the same turn as `onRequestStart`.
subscribe("undici:client:sendHeaders", (message) => {
  const { socket } = message as { readonly socket: { [carried]?: true } };
  starting?.carriedBy(socket[carried] === true);
  starting = undefined;
  socket[carried] = true;
});

function transportError(upstream: string, error: Error & { readonly code?: string }, started: boolean): GatewayError {
  const { code = "", name } = error;
  const details = { upstream, cause: error };
  if (code === "UND_ERR_INVALID_ARG") return new GatewayError("internal", "The gateway failed on this request.", details);
  // The end of a connection in the middle of a body comes as a parser's error where the body ends with its connection; it has no code.
  const ended = started && error.message.includes("EOF state");
  if (!ended && (name === "HTTPParserError" || code.startsWith("HPE_") || code === "UND_ERR_HEADERS_OVERFLOW")) {
    return new GatewayError("upstream_protocol", `${upstream} sent something that is not HTTP.`, details);
  }
  if (code === "UND_ERR_CONNECT_TIMEOUT") {
    return new GatewayError("upstream_timeout", `${upstream} could not be reached in time.`, details);
  }
  if (started) return new GatewayError("upstream_unreachable", `${upstream} closed the connection in the middle of its answer.`, details);
  const why = code === "ECONNREFUSED" ? "refused the connection" : code === "ENOTFOUND" ? "has no known address" : "closed the connection";
  return new GatewayError("upstream_unreachable", `${upstream} ${why}.`, details);
}

/**
 * One request to an upstream and its answer as reads of the socket. Owns the socket until `close`: call it in a `finally`. A reused socket that
 * turns out dead before any byte of an answer is replaced once, silently.
 */
export class Exchange implements Dispatcher.DispatchHandler, Leg {
  readonly #request: PostRequest;
  readonly #timers: LegTimers;
  #controller: Dispatcher.DispatchController | undefined;
  #head: Head | undefined;
  #chunks: Buffer[] = [];
  #queued = 0;
  #ended = false;
  #error: GatewayError | undefined;
  #wake: (() => void) | undefined;
  #reused = false;
  #replaced = false;
  #linger: Disposable | undefined;
  /** Says by the head whether nobody reads before the end. */
  #gathers: ((head: Head) => boolean) | undefined;
  #gathering = false;

  constructor(request: PostRequest) {
    this.#request = request;
    this.#timers = new LegTimers(request.clock, request.timeouts, this);
    if (request.signal.aborted) this.#abort();
    else {
      request.signal.addEventListener("abort", this.#abort, { once: true });
      this.#dispatch();
    }
  }

  /** True once the request went out on a connection: from then on it may cost something. */
  get sent(): boolean {
    return this.#controller !== undefined;
  }

  /**
   * Status and headers. Where `gathers` says so of them, it waits for the end of the body too, for a fault, or until more has come than is
   * gathered. Throws a GatewayError.
   */
  head(gathers?: (head: Head) => boolean): Promise<Head> {
    this.#gathers = gathers;
    return new Promise((resolve, reject) => {
      const look = (): void => {
        if (this.#head && !this.#gathering) resolve(this.#head);
        else if (this.#error) reject(this.#error);
        else this.#wake = look;
      };
      look();
    });
  }

  /** Takes the body, where all of it has come already; undefined otherwise. */
  takeBody(): Buffer | undefined {
    return this.#ended && !this.#error ? this.#take() : undefined;
  }

  /** All that came since the last read; undefined at the end. Throws a GatewayError when the answer was cut. */
  async read(): Promise<Buffer | undefined> {
    let chunk: Buffer | undefined | null = null;
    while (chunk === null) {
      await this.ready();
      chunk = this.take();
    }
    return chunk;
  }

  /** Resolves when there may be something to take, a turn after it came: so that all chunks of one read of the socket are there. */
  ready(): Promise<void> {
    this.#timers.back();
    return new Promise(this.#settle);
  }

  readonly #settle = (resolve: () => void): void => {
    if (this.#chunks.length > 0 || this.#error || this.#ended) resolve();
    else this.#wake = resolve;
  };

  /** What `read` gives, and null where nothing has come yet. */
  take(): Buffer | undefined | null {
    if (this.#chunks.length > 0) {
      const chunks = this.#take();
      if (this.#controller?.paused) this.#controller.resume();
      return chunks;
    }
    if (this.#error) throw this.#error;
    return this.#ended ? undefined : null;
  }

  /** The leg saw a sign of life: the first token, or any later one. */
  alive(): void {
    this.#timers.touch("idle");
  }

  /**
   * The answer says that it is whole. Nobody reads from here on; the connection gets a moment to end it as HTTP does, so that it can carry
   * another request.
   */
  finish(): void {
    if (this.#ended || this.#error || this.#linger) return;
    this.#release();
    this.#chunks = [];
    this.#queued = 0;
    this.#linger = this.#request.clock.timer(LINGER_MS, () => this.#fail(new GatewayError("cancelled", "No longer needed.")));
    if (this.#controller?.paused) this.#controller.resume();
  }

  /** Releases everything; aborts what still runs, unless it was finished. */
  close(): void {
    this.#release();
    if (this.#linger) return;
    if (!this.#ended && !this.#error) this.#fail(new GatewayError("cancelled", "No longer needed."));
    this.#chunks = [];
  }

  /** Told by the timers, as is the next. */
  expired(message: string): void {
    const { upstream } = this.#request;
    this.#fail(new GatewayError("upstream_timeout", `${upstream} ${message}.`, { upstream }));
  }

  isAwaited(): boolean {
    return this.#wake !== undefined;
  }

  /** Told in the same turn as `onRequestStart`, when undici shows which socket carries this request. */
  carriedBy(reused: boolean): void {
    this.#reused = reused;
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    if (this.#error) {
      controller.abort(this.#error);
      return;
    }
    this.#controller = controller;
    expectSocket(this);
    this.#timers.touch("firstToken");
  }

  onResponseStart(_controller: Dispatcher.DispatchController, status: number, headers: IncomingHttpHeaders): void {
    // Informational answers (103) come before the real one.
    if (status < 200) return;
    this.#head = { status, headers };
    this.#gathering = this.#gathers?.(this.#head) ?? false;
    if (!this.#gathering) this.#notify();
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#queued += chunk.length;
    if (this.#linger) {
      if (this.#queued > LINGER_BYTES) this.#fail(new GatewayError("cancelled", "No longer needed."));
      return;
    }
    // Nearly always the only one, and an array that grows takes room for sixteen.
    if (this.#chunks.length === 0) this.#chunks = [chunk];
    else this.#chunks.push(chunk);
    if (this.#gathering && this.#queued <= GATHERED_BYTES && this.#chunks.length < GATHERED_PIECES) {
      this.#timers.touch("idle");
      return;
    }
    if (this.#queued > HIGH_WATER) controller.pause();
    this.#notify();
  }

  onResponseEnd(): void {
    this.#ended = true;
    this.#timers[Symbol.dispose]();
    this.#linger?.[Symbol.dispose]();
    this.#notify();
  }

  onResponseError(_controller: Dispatcher.DispatchController | undefined, error: Error): void {
    if (this.#error) return;
    if (this.#reused && !this.#head && !this.#replaced) {
      this.#replaced = true;
      this.#reused = false;
      replacedSockets.count += 1;
      this.#dispatch();
      return;
    }
    this.#fail(transportError(this.#request.upstream, error, this.#head !== undefined));
  }

  readonly #abort = (): void => {
    this.#fail(toGatewayError(this.#request.signal.reason, this.#request.signal));
  };

  #release(): void {
    this.#timers[Symbol.dispose]();
    this.#request.signal.removeEventListener("abort", this.#abort);
  }

  #dispatch(): void {
    const { pool, method, path, headers, body } = this.#request;
    // Read only: nothing is written into what all requests of a provider share.
    pool.dispatch({ method, path, headers: headers as string[], body: body ?? null }, this);
  }

  #fail(error: GatewayError): void {
    if (this.#error || this.#ended) return;
    this.#error = error;
    this.#timers[Symbol.dispose]();
    this.#linger?.[Symbol.dispose]();
    this.#controller?.abort(error);
    this.#notify();
  }

  #take(): Buffer {
    const chunks = this.#chunks;
    this.#chunks = [];
    this.#queued = 0;
    const [first] = chunks;
    return chunks.length === 1 && first ? first : Buffer.concat(chunks);
  }

  #notify(): void {
    this.#gathering = false;
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }
}
