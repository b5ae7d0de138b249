import type { ServerResponse } from "node:http";
import type { Call } from "../model/call.ts";
import { throwIfAborted, toGatewayError, type GatewayError } from "../model/errors.ts";
import { Flag, type BatchEvent, type Delta, type FinishEvent } from "../model/events.ts";
import { latin1Json } from "../model/latin1.ts";
import { open } from "../model/open.ts";
import { answerHeaders, lastWords } from "./answer-headers.ts";
import { rootCall, type Asked } from "./asked.ts";
import type { Outcome } from "./closing.ts";
import { extensionOf } from "./extension.ts";
import { ChunkWriter } from "./openai/chunks.ts";
import { SseResponse } from "./openai/sse.ts";

const streamHead = [
  "content-type",
  "text/event-stream; charset=utf-8",
  "cache-control",
  "no-cache, no-transform",
  "x-accel-buffering",
  "no",
];

/** How a dialect tells a stream to its client, over one `SseResponse`. Frames are latin1. */
export interface Teller {
  /** Nothing is known yet, and the client shall see that somebody is there: sends the head. */
  begin(): void;
  /** Gives a promise while the client's buffer is full. */
  batch(event: BatchEvent): Promise<void> | undefined;
  /** The end of a whole answer, and of the stream. */
  finish(event: FinishEvent): Promise<void> | undefined;
  /** The end of a stream that failed after its head: it must not look whole. */
  fail(error: GatewayError): void;
  /** A frame without content for proxies that cut streams of comments. */
  idle(): string;
}

type TellerOf<A extends Asked> = (asked: A, call: Call, sse: SseResponse) => Teller;

/** Sends batches on, and keeps back only what has to wait for the end: with the extension asked for, the last frame. */
class Relay implements Teller {
  readonly #asked: Asked;
  readonly #call: Call;
  readonly #sse: SseResponse;
  readonly #writer: ChunkWriter;
  readonly #rides: boolean;
  #held = "";

  constructor(asked: Asked, call: Call, sse: SseResponse) {
    this.#asked = asked;
    this.#call = call;
    this.#sse = sse;
    this.#writer = new ChunkWriter(call.identity);
    this.#rides = asked.narrowing.expose !== "none" && !this.#wantsUsage();
  }

  begin(): void {
    this.#sse.begin();
  }

  batch(event: BatchEvent): Promise<void> | undefined {
    const { flags } = event;
    const frames = event.bytes ?? this.#writer.write(event.deltas);
    let now = frames;
    if (this.#rides && (flags & Flag.end) !== 0) {
      // A frame starts its line; the same letters may stand inside a text.
      const last = frames.lastIndexOf("\ndata: ") + 1;
      now = this.#held + frames.slice(0, last);
      this.#held = frames.slice(last);
      if (now === "") return undefined;
    } else if (this.#held !== "") {
      now = this.#held + frames;
      this.#held = "";
    }
    return this.#sse.write(now);
  }

  finish(event: FinishEvent): undefined {
    const { expose } = this.#asked.narrowing;
    const sse = this.#sse;
    const extension = expose === "none" ? undefined : extensionOf(this.#call, expose, this.#call.clock.now());
    if (this.#wantsUsage()) {
      // A kept answer has no leg, and says itself that it cost nothing.
      const usage = this.#call.ledger.usage() ?? event.usage;
      const own = this.#call.ledger.legs.length === 1 && extension === undefined ? event.bytes : undefined;
      if (own !== undefined) void sse.write(own);
      else if (usage) void sse.write(this.#writer.usage(usage, extension));
    } else if (this.#held !== "") {
      const json = latin1Json(extension);
      void sse.write(this.#held.replace("{", () => `{"chorale":${json},`));
    }
    sse.done(lastWords(this.#call));
  }

  fail(error: GatewayError): void {
    this.#sse.fail(error.wire);
  }

  idle(): string {
    return this.#writer.idle();
  }

  #wantsUsage(): boolean {
    return this.#asked.request.body.stream_options?.include_usage === true;
  }
}

const relay: TellerOf<Asked> = (asked, call, sse) => new Relay(asked, call, sse);

/** Answers a chat request as a stream. Throws what fails before the head went out; later failures are frames. */
export function answerStream(asked: Asked, call: Call, reply: ServerResponse): Promise<Outcome> {
  return tellStream(asked, call, reply, relay);
}

/** Asks the model and lets a teller tell what comes. Throws what fails before the head went out. */
export async function tellStream<A extends Asked>(asked: A, call: Call, reply: ServerResponse, tellerOf: TellerOf<A>): Promise<Outcome> {
  const { entry, entered } = asked;
  const { served } = entered;
  const sse = new SseResponse(reply, {
    head: () => [...streamHead, ...entered.headers, ...answerHeaders(call, entry)],
    clock: call.clock,
    signal: call.signal,
    heartbeatMs: served.heartbeatMs,
    heartbeat: served.heartbeat === "data" ? () => teller.idle() : undefined,
  });
  const teller = tellerOf(asked, call, sse);
  // Not `using`: V8 runs it in C++.
  try {
    return await told(asked, call, { sse, teller });
  } finally {
    sse[Symbol.dispose]();
  }
}

async function told(asked: Asked, call: Call, { sse, teller }: { readonly sse: SseResponse; readonly teller: Teller }): Promise<Outcome> {
  const { entry, request, entered } = asked;
  const { served } = entered;
  const commit = call.clock.timer(served.commitAfterMs, () => teller.begin());
  let opening;
  try {
    opening = await open(entry.model, request, rootCall(call, entry));
  } finally {
    commit[Symbol.dispose]();
  }
  if (!opening.ok) {
    if (!sse.begun) throw opening.error;
    teller.fail(opening.error);
    return { status: 200, stream: true, error: opening.error };
  }
  let said = "";
  try {
    for await (const event of opening.events) {
      const full = event.type === "batch" ? teller.batch(event) : event.type === "finish" ? teller.finish(event) : undefined;
      if (full) {
        await full;
        throwIfAborted(call.signal);
      }
      if (served.logContent && event.type === "batch") said += textIn(event.deltas);
    }
  } catch (thrown) {
    const error = toGatewayError(thrown, call.signal);
    teller.fail(error);
    return { status: 200, stream: true, error };
  }
  return { status: 200, stream: true, ...(served.logContent ? { content: { messages: request.body.messages, answer: said } } : {}) };
}

function textIn(deltas: readonly Delta[]): string {
  let text = "";
  for (const delta of deltas) if (delta.type === "text" && delta.choice === 0) text += delta.text;
  return text;
}
