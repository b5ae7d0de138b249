import type { Call } from "./call.ts";
import { GatewayError, toGatewayError } from "./errors.ts";
import { CONTENT, type ModelEvent } from "./events.ts";
import type { Model } from "./model.ts";
import type { ChatRequest } from "./request.ts";

/** A model's stream up to its commit. Whoever holds a successful one iterates `events` or calls `discard`, or a socket stays open. */
export type Opening =
  | {
      readonly ok: true;
      readonly events: AsyncIterable<ModelEvent>;
      discard(): Promise<void>;
    }
  | { readonly ok: false; readonly error: GatewayError };

/**
 * Looks at each event of a stream as it comes and says whether what was read so far may be shown. Asked only where tokens go to the client;
 * a `finish` commits whatever it says.
 */
export type Gate = (event: ModelEvent) => boolean;

/** The commit of law 3: the first content. */
export const firstContent: Gate = (event) => event.type === "batch" && (event.flags & CONTENT) !== 0;

/** Replays what was held, then goes on with the iterator. Nothing is read until somebody asks. */
class Resumed implements AsyncIterableIterator<ModelEvent> {
  readonly #held: readonly ModelEvent[];
  readonly #iterator: AsyncIterator<ModelEvent>;
  #at = 0;

  constructor(held: readonly ModelEvent[], iterator: AsyncIterator<ModelEvent>) {
    this.#held = held;
    this.#iterator = iterator;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<ModelEvent>> {
    const value = this.#held[this.#at];
    if (value === undefined) return this.#iterator.next();
    this.#at += 1;
    return Promise.resolve({ done: false, value });
  }

  async return(): Promise<IteratorResult<ModelEvent>> {
    await this.#iterator.return?.();
    return { done: true, value: undefined };
  }
}

/** Ends a stream that may still run, as after a fault of the gate. What the end itself throws is no news. */
async function close(iterator: AsyncIterator<ModelEvent> | undefined): Promise<void> {
  try {
    await iterator?.return?.();
  } catch {
    // The first error is the one that counts.
  }
}

/**
 * Runs `model` up to its commit point and tells success or error as a value. The only way to ask "did it work?", so that no strategy has a
 * catch. Without success nothing was shown, and another model may be tried. A `gate` commits later than the first content.
 */
export async function open(model: Model, request: ChatRequest, call: Call, gate: Gate = firstContent): Promise<Opening> {
  const held: ModelEvent[] = [];
  let iterator: AsyncIterator<ModelEvent> | undefined;
  try {
    const running = (iterator = model.stream(request, call)[Symbol.asyncIterator]());
    for (;;) {
      const next = await running.next();
      if (next.done) throw new GatewayError("upstream_protocol", `${model.name} ended without finishing its answer.`);
      held.push(next.value);
      const shown = call.delivery === "stream" && gate(next.value);
      if (!shown && next.value.type !== "finish") continue;
      const discard = async () => void (await running.return?.());
      return { ok: true, events: new Resumed(held, running), discard };
    }
  } catch (thrown) {
    await close(iterator);
    return { ok: false, error: toGatewayError(thrown, call.signal) };
  }
}
