import type { ModelEvent } from "./events.ts";

/** What a stream gives behind its last event. */
export const ended = { done: true, value: undefined } as const;

/** Decides at the first `next`, once; from then on it is the stream that was decided for. */
class HandedOver implements AsyncIterableIterator<ModelEvent, undefined> {
  readonly #decide: () => Promise<AsyncIterable<ModelEvent>>;
  #begun = false;
  #over = false;
  #inner: AsyncIterator<ModelEvent> | undefined;

  constructor(decide: () => Promise<AsyncIterable<ModelEvent>>) {
    this.#decide = decide;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<ModelEvent, undefined>> {
    if (this.#over) return Promise.resolve(ended);
    return this.#inner ? (this.#inner.next() as Promise<IteratorResult<ModelEvent, undefined>>) : this.#begin();
  }

  async return(): Promise<IteratorResult<ModelEvent, undefined>> {
    this.#over = true;
    await this.#inner?.return?.();
    return ended;
  }

  async #begin(): Promise<IteratorResult<ModelEvent, undefined>> {
    if (this.#begun) throw new Error("a stream is read one event at a time");
    this.#begun = true;
    try {
      this.#inner = (await this.#decide())[Symbol.asyncIterator]();
    } catch (thrown) {
      this.#over = true;
      throw thrown;
    }
    if (this.#over) await this.#inner.return?.();
    return this.next();
  }
}

/**
 * A stream for strategies that choose whom to listen to and add nothing of their own: `decide` runs at the first read, and what it gives is
 * read directly, so that a long answer costs nothing in the nodes above the one that gives it. What `decide` holds it has to give back before
 * it returns or throws; the stream that it returns has to end by itself.
 */
export function handOver(decide: () => Promise<AsyncIterable<ModelEvent>>): AsyncIterable<ModelEvent> {
  return new HandedOver(decide);
}

class Only implements AsyncIterableIterator<ModelEvent, undefined> {
  #event: ModelEvent | undefined;

  constructor(event: ModelEvent) {
    this.#event = event;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<ModelEvent, undefined>> {
    const value = this.#event;
    this.#event = undefined;
    return Promise.resolve(value ? { done: false, value } : ended);
  }
}

/** A stream of one event. */
export function only(event: ModelEvent): AsyncIterable<ModelEvent> {
  return new Only(event);
}
