import type { RequestRecord } from "./store.ts";

/** A record is for its day. */
export const requestTtlMs = 86_400_000;

export interface RequestBounds {
  readonly requests: number;
  /** Of all records in memory. */
  readonly requestBytes: number;
}

/** The newest requests, in a ring and without an index: every request is put, hardly one is asked for. */
export class RequestRing {
  readonly #bounds: RequestBounds;
  readonly #ring: (RequestRecord | undefined)[] = [];
  #puts = 0;
  #oldest = 0;
  #bytes = 0;

  constructor(bounds: RequestBounds) {
    this.#bounds = bounds;
  }

  #dropOldest(): void {
    const place = this.#oldest % this.#bounds.requests;
    this.#bytes -= this.#ring[place]?.body.size ?? 0;
    this.#ring[place] = undefined;
    this.#oldest += 1;
  }

  put(record: RequestRecord): void {
    const { requests, requestBytes } = this.#bounds;
    // Lets go of what has expired, a few at a time: puts come one by one, so nothing stays for long.
    for (let few = 0; few < 2 && this.#oldest < this.#puts; few += 1) {
      const kept = this.#ring[this.#oldest % requests];
      if (this.#puts - this.#oldest < requests && kept && kept.at + requestTtlMs > record.at) break;
      this.#dropOldest();
    }
    this.#ring[this.#puts % requests] = record;
    this.#puts += 1;
    this.#bytes += record.body.size;
    while (this.#bytes > requestBytes && this.#oldest < this.#puts) this.#dropOldest();
  }

  get(key: string, id: string, now: number): RequestRecord | undefined {
    // The same id again is the newest.
    for (let place = this.#puts - 1; place >= this.#oldest; place -= 1) {
      const record = this.#ring[place % this.#bounds.requests];
      if (record?.id === id && record.key === key) return record.at + requestTtlMs > now ? record : undefined;
    }
    return undefined;
  }
}
