/** Spend of one key in one window. */
export interface Lease {
  readonly id: string;
  readonly key: string;
  /** US dollars held for this request: its worst price, or what the budget of the key has left where that is less. */
  readonly usd: number;
}

export interface KeyLimits {
  readonly requestsPerMinute?: number;
  readonly tokensPerMinute?: number;
  readonly concurrency?: number;
  /** Spend per calendar window (UTC). */
  readonly budget?: { readonly usd: number; readonly per: "minute" | "hour" | "day" | "month" };
}

export interface Admission {
  /** Name of the key; the partition of everything that is stored. */
  readonly key: string;
  readonly limits: KeyLimits;
  /** Worst price of the request in US dollars, to be held until it is settled as far as the budget goes. */
  readonly usd: number;
  /** To hold less than this is of no use; absent where any part of the worst price is. */
  readonly leastUsd?: number;
  /** Milliseconds since 1970. */
  readonly now: number;
  /** The hold is given back by itself after this long: a crashed request does not lock money for ever. */
  readonly expiresMs: number;
}

export type Admitted =
  | { readonly ok: true; readonly lease: Lease }
  | {
      readonly ok: false;
      readonly limit: "requestsPerMinute" | "tokensPerMinute" | "concurrency" | "budget";
      readonly retryAfterMs: number;
      /** What the budget has left, where it is what refuses: not spent, but running requests may hold it. */
      readonly leftUsd?: number;
    };

/** What a lease is to hold besides. */
export interface Growth {
  readonly limits: KeyLimits;
  readonly usd: number;
  /** Milliseconds since 1970. */
  readonly now: number;
}

/** What was really spent. */
export interface Settlement {
  readonly usd: number;
  readonly tokens: number;
  /** Milliseconds since 1970. */
  readonly now: number;
}

/** JSON that is kept. It may be made when somebody asks: most of it nobody ever reads. */
export interface KeptJson {
  /** Bytes that it holds until then, about. */
  readonly size: number;
  json(): string;
}

/** JSON that is kept as text. */
export class KeptText implements KeptJson {
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
  }

  get size(): number {
    return 2 * this.#text.length;
  }

  json(): string {
    return this.#text;
  }
}

/** One answered request, for `GET /v1/chorale/requests/{id}`. */
export interface RequestRecord {
  readonly id: string;
  readonly key: string;
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly body: KeptJson;
}

/**
 * Shared state behind one interface with one contract suite. Partitioned by key. One call at admission, one at the end; what knows the
 * answer at once gives it without a promise.
 */
export interface Store {
  /** Checks the limits of a key and leases the worst price, capped by its budget, atomically. */
  admit(admission: Admission): Admitted | Promise<Admitted>;
  /**
   * Lets a lease hold more, where the budget has that much left which nobody holds: a worst price is a guess as long as answers have no bound. A
   * store that would have to ask elsewhere says no.
   */
  grow(lease: Lease, growth: Growth): boolean;
  /** Ends a lease: what was spent is booked, the rest given back. A second call with the same lease changes nothing. */
  settle(lease: Lease, settlement: Settlement): void | Promise<void>;
  /** US dollars that a key has spent in the window which `now` falls in, holds not counted. */
  spent(key: string, per: "minute" | "hour" | "day" | "month", now: number): Promise<number>;

  /** Keeps the newest 10,000 for 24 hours; in memory no more than 64 MB of them. */
  putRequest(record: RequestRecord): void | Promise<void>;
  /** Only for the key that made it. */
  getRequest(key: string, id: string, now: number): Promise<RequestRecord | undefined>;

  /** Small values with an expiry, partitioned by `space`. Bounded: the least recently used go first. */
  get(space: string, key: string, now: number): Promise<string | undefined>;
  set(space: string, key: string, entry: { readonly value: string; readonly ttlMs: number; readonly now: number }): Promise<void>;

  /** Writes what is pending and releases everything. */
  close(): Promise<void>;
}
