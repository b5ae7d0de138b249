import type { ServerResponse } from "node:http";
import type { Call } from "../model/call.ts";
import { throwIfAborted, toGatewayError } from "../model/errors.ts";
import { Flag, type FinishEvent } from "../model/events.ts";
import { latin1Json } from "../model/latin1.ts";
import { open } from "../model/open.ts";
import { answerHeaders, oneLine, usd } from "./answer-headers.ts";
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

/** Sends batches on, and keeps back only what has to wait for the end: with the extension asked for, the last frame. */
class Relay {
  readonly #asked: Asked;
  readonly #call: Call;
  readonly #out: { readonly sse: SseResponse; readonly writer: ChunkWriter };
  readonly #rides: boolean;
  #held = "";
  text = "";

  constructor(asked: Asked, call: Call, out: { readonly sse: SseResponse; readonly writer: ChunkWriter }) {
    this.#asked = asked;
    this.#call = call;
    this.#out = out;
    this.#rides = asked.narrowing.expose !== "none" && !this.#wantsUsage();
  }

  batch(frames: string, flags: number): Promise<void> | undefined {
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
    return this.#out.sse.write(now);
  }

  finish(event: FinishEvent): undefined {
    const { expose } = this.#asked.narrowing;
    const { sse, writer } = this.#out;
    const extension = expose === "none" ? undefined : extensionOf(this.#call, expose, this.#call.clock.now());
    if (this.#wantsUsage()) {
      // A kept answer has no leg, and says itself that it cost nothing.
      const usage = this.#call.ledger.usage() ?? event.usage;
      const own = this.#call.ledger.legs.length === 1 && extension === undefined ? event.bytes : undefined;
      if (own !== undefined) void sse.write(own);
      else if (usage) void sse.write(writer.usage(usage, extension));
    } else if (this.#held !== "") {
      const json = latin1Json(extension);
      void sse.write(this.#held.replace("{", () => `{"chorale":${json},`));
    }
    const degraded = this.#call.trace.degraded[0];
    sse.done(`chorale cost-usd=${usd(this.#call)}${degraded === undefined ? "" : ` degraded=${oneLine(degraded)}`}`);
  }

  remember(deltas: readonly { readonly type: string; readonly text?: string }[]): void {
    for (const delta of deltas) if (delta.type === "text") this.text += delta.text ?? "";
  }

  #wantsUsage(): boolean {
    return this.#asked.request.body.stream_options?.include_usage === true;
  }
}

/** Answers a request as a stream. Throws what fails before the head went out; later failures are frames. */
export async function answerStream(asked: Asked, call: Call, reply: ServerResponse): Promise<Outcome> {
  const { entry, entered } = asked;
  const { served } = entered;
  const writer = new ChunkWriter(call.identity);
  const sse = new SseResponse(reply, {
    head: () => [...streamHead, ...entered.headers, ...answerHeaders(call, entry)],
    clock: call.clock,
    signal: call.signal,
    heartbeatMs: served.heartbeatMs,
    heartbeat: served.heartbeat === "data" ? () => writer.idle() : undefined,
  });
  // Not `using`: V8 runs it in C++.
  try {
    return await relayed(asked, call, { sse, writer });
  } finally {
    sse[Symbol.dispose]();
  }
}

async function relayed(
  asked: Asked,
  call: Call,
  { sse, writer }: { readonly sse: SseResponse; readonly writer: ChunkWriter },
): Promise<Outcome> {
  const { entry, request, entered } = asked;
  const { served } = entered;
  const commit = call.clock.timer(served.commitAfterMs, () => sse.begin());
  let opening;
  try {
    opening = await open(entry.model, request, rootCall(call, entry));
  } finally {
    commit[Symbol.dispose]();
  }
  if (!opening.ok) {
    if (!sse.begun) throw opening.error;
    sse.fail(opening.error.wire);
    return { status: 200, stream: true, error: opening.error };
  }
  const relay = new Relay(asked, call, { sse, writer });
  try {
    for await (const event of opening.events) {
      const full =
        event.type === "batch"
          ? relay.batch(event.bytes ?? writer.write(event.deltas), event.flags)
          : event.type === "finish"
            ? relay.finish(event)
            : undefined;
      if (full) {
        await full;
        throwIfAborted(call.signal);
      }
      if (served.logContent && event.type === "batch") relay.remember(event.deltas);
    }
  } catch (thrown) {
    const error = toGatewayError(thrown, call.signal);
    sse.fail(error.wire);
    return { status: 200, stream: true, error };
  }
  return { status: 200, stream: true, ...(served.logContent ? { content: { messages: request.body.messages, answer: relay.text } } : {}) };
}
