import type { Call } from "../../model/call.ts";
import type { Store } from "../../store/store.ts";
import { readEntry, type CacheEntry } from "./entry.ts";

export interface ShelfOptions {
  readonly store: Store;
  readonly ttlSeconds: number;
  readonly maxBytes: number;
  /** One shelf for all principals. */
  readonly share: boolean;
}

/** Where answers are kept. A store that fails is no reason to fail a request: it is told in the log, and the model is asked. */
export class Shelf {
  readonly #store: Store;
  readonly #options: ShelfOptions;

  constructor(options: ShelfOptions) {
    this.#store = options.store;
    this.#options = options;
  }

  /** The partition of whoever asks. */
  space({ principal }: Call): string {
    return this.#options.share ? "cache, shared" : `cache of ${principal.name}`;
  }

  get ttlMs(): number {
    return this.#options.ttlSeconds * 1000;
  }

  async get(key: string, call: Call): Promise<CacheEntry | undefined> {
    const now = call.clock.wall();
    const value = await this.#store.get(this.space(call), key, now).then(
      (found) => found,
      () => this.#failed(call, "read"),
    );
    const entry = value === undefined ? undefined : readEntry(value);
    // Another node's longer time, or a clock that was set: what counts is how old it is here.
    return entry && Math.abs(now - entry.at) < this.ttlMs ? entry : undefined;
  }

  /** Why it could not be kept. */
  async set(key: string, entry: CacheEntry, call: Call): Promise<string | undefined> {
    const value = JSON.stringify(entry);
    if (Buffer.byteLength(value) > this.#options.maxBytes) return "it is too large";
    await this.#store.set(this.space(call), key, { value, ttlMs: this.ttlMs, now: entry.at }).then(
      () => {},
      () => this.#failed(call, "write"),
    );
    return undefined;
  }

  #failed({ log, id }: Call, what: string): undefined {
    log.warn({ requestId: id }, `the cache could not be ${what === "read" ? "read" : "written"}`);
    return undefined;
  }
}
