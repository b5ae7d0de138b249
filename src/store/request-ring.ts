import type { KeptJson, RequestRecord } from "./store.ts";

/** A record is for its day. */
export const requestTtlMs = 86_400_000;

export interface RequestBounds {
  readonly requests: number;
  /** Of all records in memory. */
  readonly requestBytes: number;
}

/**
 * The newest requests, in a ring and without an index: every request is put, hardly one is asked for. A list for each field: thousands of records
 * would be so many more objects for the garbage collector to move.
 */
export class RequestRing {
  readonly #bounds: RequestBounds;
  readonly #ids: string[] = [];
  readonly #keys: string[] = [];
  readonly #bodies: (KeptJson | undefined)[] = [];
  readonly #ats: Float64Array;
  #puts = 0;
  #oldest = 0;
  #bytes = 0;

  constructor(bounds: RequestBounds) {
    this.#bounds = bounds;
    this.#ats = new Float64Array(bounds.requests);
  }

  #dropOldest(): void {
    const place = this.#oldest % this.#bounds.requests;
    this.#bytes -= this.#bodies[place]?.size ?? 0;
    this.#ids[place] = "";
    this.#bodies[place] = undefined;
    this.#oldest += 1;
  }

  put({ id, key, at, body }: RequestRecord): void {
    const { requests, requestBytes } = this.#bounds;
    // Lets go of what has expired, a few at a time: puts come one by one, so nothing stays for long.
    for (let few = 0; few < 2 && this.#oldest < this.#puts; few += 1) {
      const keptAt = this.#ats[this.#oldest % requests] ?? 0;
      if (this.#puts - this.#oldest < requests && keptAt + requestTtlMs > at) break;
      this.#dropOldest();
    }
    const place = this.#puts % requests;
    this.#ids[place] = id;
    this.#keys[place] = key;
    this.#bodies[place] = body;
    this.#ats[place] = at;
    this.#puts += 1;
    this.#bytes += body.size;
    while (this.#bytes > requestBytes && this.#oldest < this.#puts) this.#dropOldest();
  }

  get(key: string, id: string, now: number): RequestRecord | undefined {
    // The same id again is the newest.
    for (let put = this.#puts - 1; put >= this.#oldest; put -= 1) {
      const place = put % this.#bounds.requests;
      if (this.#ids[place] !== id || this.#keys[place] !== key) continue;
      const at = this.#ats[place] ?? 0;
      const body = this.#bodies[place];
      return body && at + requestTtlMs > now ? { id, key, at, body } : undefined;
    }
    return undefined;
  }
}
