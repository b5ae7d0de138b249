import type { ServerResponse } from "node:http";
import type { Signal } from "../../model/abort.ts";
import type { Clock } from "../../model/clock.ts";
import type { WireError } from "../../model/errors.ts";
import { latin1Json } from "../../model/latin1.ts";

export interface SseOptions {
  /** Flat response headers: name, value, name, value. Asked for when the head goes out. */
  head(): string[];
  readonly clock: Clock;
  /** Aborted when nobody shall wait for this client any longer. */
  readonly signal: Signal;
  /** Silence after which a heartbeat goes out. */
  readonly heartbeatMs: number;
  /** What a heartbeat is; undefined for a comment. */
  readonly heartbeat: (() => string) | undefined;
}

const COMMENT = ": keep-alive\n\n";
/** How long a client that does not read may take for the frame that tells of a failure. */
const LINGER_MS = 1000;

/**
 * One event stream to one client. The head leaves with the first frame, in one write. Never sends `id:` or `retry:`: after either, some clients
 * fail at the next comment.
 */
export class SseResponse implements Disposable {
  readonly #raw: ServerResponse;
  readonly #options: SseOptions;
  #begun = false;
  #lastMs = 0;
  #timer: Disposable | undefined;

  constructor(raw: ServerResponse, options: SseOptions) {
    this.#raw = raw;
    this.#options = options;
  }

  /** The status has gone out: errors are frames from here on. */
  get begun(): boolean {
    return this.#begun;
  }

  /** Sends the head now and starts the heartbeat. */
  begin(): void {
    if (this.#begun) return;
    this.#begun = true;
    const raw = this.#raw;
    // Head and first frame in one write: apart, the first frame would wait for the client's delayed acknowledgement.
    raw.socket?.cork();
    raw.writeHead(200, this.#options.head());
    raw.flushHeaders();
    process.nextTick(() => raw.socket?.uncork());
    this.#lastMs = this.#options.clock.now();
    this.#arm(this.#options.heartbeatMs);
  }

  /** Writes whole frames. Resolves when the client can take more, or when the signal aborts; at once while its buffer has room. */
  write(frames: string): Promise<void> | undefined {
    if (this.#raw.destroyed || this.#raw.writableEnded) return undefined;
    if (!this.#begun) this.begin();
    this.#lastMs = this.#options.clock.now();
    if (this.#raw.write(frames, "latin1")) return undefined;
    return this.#drained();
  }

  /** The one frame that tells of a failure after the head, then the end without `[DONE]`: a cut answer never looks whole. */
  fail(error: WireError): void {
    const { message, type, param, code } = error;
    this.cut(`data: ${latin1Json({ error: { message, type, param, code } })}\n\n`);
  }

  /** Frames of another dialect that tell of a failure, and the end. */
  cut(last: string): void {
    if (this.#raw.writableNeedDrain) this.#linger();
    this.#close(last);
  }

  /** The last frames of another dialect's whole answer, and the end. */
  end(last: string): void {
    this.#close(last);
  }

  /** `[DONE]` and the end. `comment` tells what was known only now, with its blank line; empty for nothing. */
  done(comment: string): void {
    this.#close(`${comment}data: [DONE]\n\n`);
  }

  [Symbol.dispose](): void {
    this.#timer?.[Symbol.dispose]();
  }

  #close(last: string): void {
    const raw = this.#raw;
    if (!raw.destroyed && !raw.writableEnded) {
      if (!this.#begun) this.begin();
      raw.end(last, "latin1");
    }
    this[Symbol.dispose]();
  }

  /** Closes the connection of a client that does not read its last frame. */
  #linger(): void {
    const raw = this.#raw;
    const timer = this.#options.clock.timer(LINGER_MS, () => raw.destroy());
    raw.once("close", () => timer[Symbol.dispose]());
  }

  #drained(): Promise<void> {
    const raw = this.#raw;
    const { signal } = this.#options;
    return new Promise((resolve) => {
      const settle = () => {
        raw.off("drain", settle);
        raw.off("close", settle);
        signal.removeEventListener("abort", settle);
        resolve();
      };
      raw.on("drain", settle);
      raw.on("close", settle);
      if (signal.aborted) settle();
      else signal.addEventListener("abort", settle);
    });
  }

  #arm(ms: number): void {
    this.#timer = this.#options.clock.timer(ms, () => this.#beat());
  }

  #beat(): void {
    const { clock, heartbeatMs, heartbeat } = this.#options;
    const silentMs = clock.now() - this.#lastMs;
    if (silentMs < heartbeatMs) {
      this.#arm(heartbeatMs - silentMs);
      return;
    }
    if (!this.#raw.destroyed && !this.#raw.writableNeedDrain) void this.write(heartbeat?.() ?? COMMENT);
    this.#lastMs = clock.now();
    this.#arm(heartbeatMs);
  }
}
