import type { Pool } from "undici";
// By its file: the whole of undici, with fetch, caches and sockets, takes 50 ms longer to load, at every start.
import PoolOfOrigin from "undici/lib/dispatcher/pool.js";

/** One connection pool per origin, for the life of the process. */
export interface Pools {
  /** The pool of an origin such as `https://api.openai.com`. */
  of(origin: string): Pool;
  /** Waits for nothing: requests still under way are aborted. */
  close(): Promise<void>;
}

export interface PoolOptions {
  /** Connections per origin. Far above the streams expected: a request that waits for a socket looks like a slow upstream. */
  readonly connections?: number;
  /** Milliseconds for TCP and TLS together. */
  readonly connectMs?: number;
}

/** Far above what any leg waits: its own timer bounds it. */
const CONNECT_MS = 10 * 60_000;

/** Opens pools on demand. HTTP/1.1 without pipelining: HTTP/2 costs several times the CPU per request. */
export function openPools({ connections = 4096, connectMs = CONNECT_MS }: PoolOptions = {}): Pools {
  const pools = new Map<string, Pool>();
  return {
    of(origin) {
      let pool = pools.get(origin);
      if (!pool) {
        pool = new PoolOfOrigin(origin, {
          connections,
          pipelining: 1,
          allowH2: false,
          connect: { timeout: connectMs },
          // The four timers of a leg stand above this; undici's own would only fire beside them.
          headersTimeout: 0,
          bodyTimeout: 0,
          keepAliveTimeout: 30_000,
        });
        pools.set(origin, pool);
      }
      return pool;
    },
    async close() {
      await Promise.all([...pools.values()].map((pool) => pool.destroy()));
      pools.clear();
    },
  };
}
