import { randomBytes } from "node:crypto";
import { RequestRing, type RequestBounds } from "./request-ring.ts";
import type { Admission, Admitted, KeyLimits, Lease, Store } from "./store.ts";
import { pers, windowOf, type Per } from "./windows.ts";

/** A value with its place and the moment (milliseconds since 1970) from which it is no more. */
export interface StoredValue {
  readonly space: string;
  readonly key: string;
  readonly value: string;
  readonly expiresAt: number;
}

/** What a key spent in the window that begins at `start`, in billionths of a dollar. */
export interface StoredSpend {
  readonly key: string;
  readonly per: Per;
  readonly start: number;
  readonly nanos: number;
}

/** Makes a memory store durable: gives back what an earlier process left, hears of every change. */
export interface Journal {
  readonly spends: Iterable<StoredSpend>;
  /** Oldest first. */
  readonly values: Iterable<StoredValue>;
  /** A further spend, in the window of every length that `at` falls in. */
  spend(key: string, at: number, nanos: number): void;
  value(value: StoredValue, now: number): void;
  /** A value expired or made room. */
  valueDropped(space: string, key: string): void;
}

export interface Bounds extends RequestBounds {
  readonly values: number;
  /** Of all values with their names, at two bytes a character. */
  readonly valueBytes: number;
}

export const defaultBounds: Bounds = { requests: 10_000, requestBytes: 64 * 2 ** 20, values: 10_000, valueBytes: 64 * 2 ** 20 };

const minuteMs = 60_000;
/** A request in flight ends when it likes: when to come back for its room is a guess. */
const busyRetryMs = 1000;
/** More than one request can use: sums stay exact, and what is broken is forgotten with the minute. */
const mostTokens = 1e10;
/** Leases that expired but may still be settled; beyond this the oldest are taken for crashed. */
const maxExpired = 10_000;

/** One string for two names, whatever characters they hold. */
export const pair = (space: string, key: string): string => `${space.length}:${space}${key}`;

/** Whole billionths: sums of dollars as floats drift, and 3 x 0.1 would not fit into 0.3. */
const toNanos = (usd: number): number => (usd > 0 ? Math.min(Math.round(usd * 1e9), 1e15) : 0);

interface Counts {
  requests: number;
  tokens: number;
}

interface Hold {
  nanos: number;
  readonly expiresAt: number;
}

interface Account {
  /** Newest first, at most two of each length: a settlement may come from just before an edge. */
  readonly spent: Record<Per, { readonly start: number; nanos: number }[]>;
  readonly holds: Map<string, Hold>;
  /** Sum of `holds`. */
  held: number;
  /** No hold expires before this. */
  nextExpiry: number;
  /** Oldest first, and their sums. */
  readonly recent: (Counts & { readonly at: number })[];
  readonly sums: Counts;
}

const newAccount = (): Account => ({
  spent: { minute: [], hour: [], day: [], month: [] },
  holds: new Map(),
  held: 0,
  nextExpiry: Infinity,
  recent: [],
  sums: { requests: 0, tokens: 0 },
});

const spentIn = ({ spent }: Account, per: Per, start: number): number => spent[per].find((window) => window.start === start)?.nanos ?? 0;

function book({ spent }: Account, { per, start, nanos }: Omit<StoredSpend, "key">): void {
  const [newest] = spent[per];
  const window = newest?.start === start ? newest : spent[per].find((window) => window.start === start);
  if (window) window.nanos += nanos;
  else {
    spent[per].push({ start, nanos });
    spent[per].sort((one, other) => other.start - one.start).splice(2);
  }
}

/*
 * Rates are of the last 60 s, in buckets of up to 1 s. A fixed minute would let twice the limit
 * through at its edge and send all who wait back at one moment; a log of every request would grow
 * with the limit. This is exact to a second, in at most 61 buckets.
 */

function forget({ recent, sums }: Account, now: number): void {
  for (;;) {
    const [oldest] = recent;
    // A clock that was set back must not refuse until it has caught up.
    if (!oldest || Math.abs(now - oldest.at) < minuteMs) return;
    sums.requests -= oldest.requests;
    sums.tokens -= oldest.tokens;
    recent.shift();
  }
}

function count({ recent, sums }: Account, at: number, { requests, tokens }: Counts): void {
  let bucket = recent.at(-1);
  if (!bucket || at >= bucket.at + 1000) recent.push((bucket = { at, requests: 0, tokens: 0 }));
  bucket.requests += requests;
  bucket.tokens += tokens;
  sums.requests += requests;
  sums.tokens += tokens;
}

/** Milliseconds until fewer than `limit` were counted in a minute; 0 when that is so. */
function rateWait(account: Account, what: keyof Counts, { limits, now }: Admission): number {
  const limit = limits[`${what}PerMinute`];
  if (limit === undefined) return 0;
  let left = account.sums[what];
  if (left < limit) return 0;
  for (const bucket of account.recent) {
    left -= bucket[what];
    if (left < limit) return bucket.at + minuteMs - now;
  }
  return minuteMs;
}

/** Milliseconds until a hold may be back. */
const busyWait = ({ nextExpiry }: Account, now: number): number => Math.min(busyRetryMs, nextExpiry - now);

/** What a key may still spend, in billionths. */
interface Room {
  /** Running requests may hold it. */
  readonly unspent: number;
  readonly free: number;
  /** Milliseconds until there is a new budget. */
  readonly endsIn: number;
}

function roomOf(account: Account, { budget }: KeyLimits, now: number): Room | undefined {
  if (!budget) return undefined;
  const { start, end } = windowOf(budget.per, now);
  const unspent = Math.round(budget.usd * 1e9) - spentIn(account, budget.per, start);
  return { unspent, free: unspent - account.held, endsIn: end - now };
}

function budgetWait(account: Account, { usd, leastUsd = 0, now }: Admission, room: Room | undefined): number {
  if (!room) return 0;
  const nanos = toNanos(usd);
  // Without a price nothing is held, so what is held can not be in its way.
  const least = Math.min(nanos, Math.max(toNanos(leastUsd), 1));
  if (room.unspent <= 0 || least > room.unspent) return room.endsIn;
  return nanos > 0 && least > room.free ? Math.min(busyWait(account, now), room.endsIn) : 0;
}

/** Of the limits that refuse, the one that does so longest: to come back sooner is of no use. */
function refusal(account: Account, admission: Admission, room: Room | undefined): Admitted | undefined {
  const busy = account.holds.size >= (admission.limits.concurrency ?? Infinity);
  const waits = {
    budget: budgetWait(account, admission, room),
    requestsPerMinute: rateWait(account, "requests", admission),
    tokensPerMinute: rateWait(account, "tokens", admission),
    concurrency: busy ? busyWait(account, admission.now) : 0,
  };
  let limit: keyof typeof waits = "budget";
  for (const other of ["requestsPerMinute", "tokensPerMinute", "concurrency"] as const) if (waits[other] > waits[limit]) limit = other;
  if (waits[limit] === 0) return undefined;
  const refused = { ok: false, limit, retryAfterMs: Math.ceil(waits[limit]) } as const;
  return limit === "budget" && room ? { ...refused, leftUsd: Math.max(0, room.unspent) / 1e9 } : refused;
}

/** Limits, leases and spend. */
function newAccounts(journal: Journal | undefined): Pick<Store, "admit" | "grow" | "settle" | "spent"> {
  const accounts = new Map<string, Account>();
  const expired = new Set<string>();
  // Unique beyond this process: a lease of an earlier one must not end one of ours. Short: each id is hashed twice.
  const prefix = randomBytes(6).toString("base64url");
  let leases = 0;
  let sweepAt = 1000;

  const open = (key: string): Account => {
    let account = accounts.get(key);
    if (!account) accounts.set(key, (account = newAccount()));
    return account;
  };

  const release = (account: Account, id: string, { nanos }: Hold) => {
    account.holds.delete(id);
    account.held -= nanos;
  };

  const expire = (account: Account, now: number) => {
    if (now < account.nextExpiry) return;
    for (const [id, hold] of account.holds) {
      if (hold.expiresAt > now) continue;
      release(account, id, hold);
      expired.add(id);
    }
    account.nextExpiry = Infinity;
    for (const { expiresAt } of account.holds.values()) account.nextExpiry = Math.min(account.nextExpiry, expiresAt);
    for (const id of expired) {
      if (expired.size <= maxExpired) break;
      expired.delete(id);
    }
  };

  /** Lets go of keys that nothing is known about any more. */
  const sweep = (now: number) => {
    const { start } = windowOf("month", now);
    for (const [key, account] of accounts) {
      forget(account, now);
      expire(account, now);
      const busy = account.holds.size > 0 || account.recent.length > 0;
      if (!busy && !account.spent.month.some((window) => window.start >= start)) accounts.delete(key);
    }
    sweepAt = Math.max(1000, accounts.size * 2);
  };

  for (const spend of journal?.spends ?? []) book(open(spend.key), spend);

  return {
    admit: (admission) => {
      const { key, usd, now } = admission;
      if (accounts.size >= sweepAt) sweep(now);
      const account = open(key);
      const worst = toNanos(usd);
      forget(account, now);
      expire(account, now);
      const room = roomOf(account, admission.limits, now);
      const refused = refusal(account, admission, room);
      if (refused) return refused;
      const nanos = room ? Math.min(worst, Math.max(0, room.free)) : worst;
      const lease: Lease = { id: `${prefix}${(leases += 1)}`, key, usd: nanos < worst ? nanos / 1e9 : usd };
      const expiresAt = now + admission.expiresMs;
      account.holds.set(lease.id, { nanos, expiresAt });
      account.held += nanos;
      account.nextExpiry = Math.min(account.nextExpiry, expiresAt);
      count(account, now, { requests: 1, tokens: 0 });
      return { ok: true, lease };
    },

    grow: ({ id, key }, { limits, usd, now }) => {
      const account = accounts.get(key);
      if (!account) return false;
      expire(account, now);
      const hold = account.holds.get(id);
      const nanos = toNanos(usd);
      if (!hold || (nanos > 0 && nanos > (roomOf(account, limits, now)?.free ?? Infinity))) return false;
      hold.nanos += nanos;
      account.held += nanos;
      return true;
    },

    settle: ({ id, key }, { usd, tokens, now }) => {
      const hold = accounts.get(key)?.holds.get(id);
      // What an expired lease spent was spent all the same.
      if (!hold && !expired.delete(id)) return;
      const account = open(key);
      if (hold) release(account, id, hold);
      forget(account, now);
      if (tokens > 0) count(account, now, { requests: 0, tokens: Math.min(tokens, mostTokens) });
      const nanos = Number.isFinite(usd) ? toNanos(usd) : 0;
      if (nanos === 0) return;
      for (const per of pers) book(account, { per, start: windowOf(per, now).start, nanos });
      journal?.spend(key, now, nanos);
    },

    spent: async (key, per, now) => {
      const account = accounts.get(key);
      return account ? spentIn(account, per, windowOf(per, now).start) / 1e9 : 0;
    },
  };
}

function newValues(bounds: Bounds, journal: Journal | undefined): Pick<Store, "get" | "set"> {
  // A Map keeps the order of insertion, so its first entry is the least recently used.
  const values = new Map<string, StoredValue>();
  let bytes = 0;
  const sizeOf = ({ space, key, value }: StoredValue) => 2 * (space.length + key.length + value.length);

  const remove = (id: string, value: StoredValue) => {
    values.delete(id);
    bytes -= sizeOf(value);
  };

  const drop = (id: string, value: StoredValue) => {
    remove(id, value);
    journal?.valueDropped(value.space, value.key);
  };

  const put = (value: StoredValue) => {
    const id = pair(value.space, value.key);
    const old = values.get(id);
    if (old) remove(id, old);
    values.set(id, value);
    bytes += sizeOf(value);
    // One that is larger than all may be together must not push the others out.
    if (sizeOf(value) > bounds.valueBytes) drop(id, value);
    for (const [id, oldest] of values) {
      if (values.size <= bounds.values && bytes <= bounds.valueBytes) break;
      drop(id, oldest);
    }
  };

  for (const value of journal?.values ?? []) put(value);

  return {
    get: async (space, key, now) => {
      const id = pair(space, key);
      const value = values.get(id);
      if (!value) return undefined;
      if (value.expiresAt <= now) {
        drop(id, value);
        return undefined;
      }
      values.delete(id);
      values.set(id, value);
      return value.value;
    },

    set: async (space, key, { value, ttlMs, now }) => {
      const stored = { space, key, value, expiresAt: now + ttlMs };
      // First told, then put: the bounds may drop it at once.
      journal?.value(stored, now);
      put(stored);
    },
  };
}

/** Everything in this process; gone when it ends, unless a journal keeps it. */
export function memoryStore(options: { readonly bounds?: Partial<Bounds>; readonly journal?: Journal } = {}): Store {
  const bounds = { ...defaultBounds, ...options.bounds };
  const requests = new RequestRing(bounds);
  return {
    ...newAccounts(options.journal),
    ...newValues(bounds, options.journal),
    putRequest: (record) => requests.put(record),
    getRequest: async (key, id, now) => requests.get(key, id, now),
    close: async () => {},
  };
}
