import type { Signal } from "./abort.ts";
import type { Budget } from "./budget.ts";
import type { Clock } from "./clock.ts";
import type { Ledger } from "./ledger.ts";
import type { Slot } from "./slot.ts";
import { openSpan, type Span, type Trace } from "./trace.ts";

/**
 * How an answer is read. `stream`: its tokens go to the client. `unary`: nobody looks before the end and nobody will cut it. `metered`: nobody
 * looks, but it may be cut, so it is streamed upstream to be billed for what it wrote.
 */
export type Delivery = "stream" | "unary" | "metered";

/** Who asks. */
export interface Principal {
  readonly name: string;
}

/** What the client will see as the answer's identity. Fixed at the door, so that a leaf can splice it in while it scans. */
export interface Identity {
  readonly id: string;
  /** The name that was asked for. */
  readonly model: string;
  /** Seconds since 1970. */
  readonly created: number;
}

/** Bounds on one upstream call, milliseconds. A node may tighten them for what is below it; the tightest holds. */
export interface Timeouts {
  /** Until a connection carries the request. */
  readonly connectMs: number;
  /** From there to the first token, or to the head of a whole answer. */
  readonly firstTokenMs: number;
  /** Between two reads. */
  readonly idleMs: number;
  readonly totalMs: number;
}

/** Where unusual things are told. Never a key, never text of a message. */
export interface Log {
  warn(fields: Readonly<Record<string, unknown>>, message: string): void;
}

/** One client request on its way down. Made once at the door; strategies narrow it through `enter`, never widen it. */
export interface Call {
  readonly id: string;
  readonly identity: Identity;
  readonly principal: Principal;
  /** Client gone, shutdown, deadline, or a parent that has its answer. Aborted with a GatewayError, always. */
  readonly signal: Signal;
  readonly delivery: Delivery;
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly log: Log;
  readonly slot: Slot;
  readonly budget: Budget;
  readonly ledger: Ledger;
  readonly trace: Trace;
  /** This node's own span. */
  readonly span: Span;
  /** Bounds set by nodes above. */
  readonly timeouts: Partial<Timeouts>;
  /** Shares that nodes above compare the agreement with. Who stops early must leave no doubt on which side of each the whole count would be. */
  readonly marks?: readonly number[] | undefined;
  /** How many Chorale gateways this request has passed. */
  readonly hops: number;
  /** A header of the client's request; absent where a call was not made by one. */
  readonly header?: (name: string) => string | undefined;
  /** What the request forbids a cache: to keep its answer, or to give a kept one. */
  readonly caching?: "no-store" | "no-cache" | undefined;
}

export interface Entry {
  /** What the parent calls this child in the trace. */
  readonly label: string;
  /** True for a member of a panel: a slot of its own. */
  readonly member?: boolean;
  readonly delivery?: Delivery;
  readonly signal?: Signal;
  readonly budget?: Budget;
  /** Whoever reads its agreement compares it with these; none where nobody reads it. The call's own unless given. */
  readonly marks?: readonly number[];
  /** Tighten the timers of every leg below. */
  readonly timeouts?: Partial<Timeouts>;
}

/** The only way to a child call: opens a span of the trace and, for a member, a new slot with its own attempts. */
export function enter(call: Call, entry: Entry): Call {
  return {
    ...call,
    span: openSpan(call.span, entry.label, call.clock.now()),
    slot: entry.member ? call.slot.fresh() : call.slot,
    delivery: entry.delivery ?? call.delivery,
    signal: entry.signal ?? call.signal,
    budget: entry.budget ?? call.budget,
    marks: entry.marks ?? call.marks,
    timeouts: entry.timeouts ? tightest(call.timeouts, entry.timeouts) : call.timeouts,
  };
}

/** Bounds of a call that nobody has tightened. */
export const noTimeouts: Partial<Timeouts> = Object.freeze({});

/** The smaller bound of each timer. */
export function tightest<T extends Partial<Timeouts>>(a: T, b: Partial<Timeouts>): T {
  if (b === noTimeouts) return a;
  const merged: Record<string, number> = { ...a };
  for (const [name, ms] of Object.entries(b)) merged[name] = Math.min(merged[name] ?? Infinity, ms);
  return merged as T;
}
