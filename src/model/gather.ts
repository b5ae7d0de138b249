import { enter, type Call, type Delivery } from "./call.ts";
import { complete } from "./complete.ts";
import type { Completion } from "./completion.ts";
import { GatewayError, throwIfAborted, toGatewayError } from "./errors.ts";
import type { Latency } from "./latency.ts";
import type { Model } from "./model.ts";
import type { ChatRequest } from "./request.ts";
import { openDeadline, openScope, type Scope } from "./scope.ts";

/** One seat of a panel, with the request that it gets. */
export interface Seat {
  /** Stands in the trace: the member's name, with its sample number when it has several. */
  readonly label: string;
  readonly model: Model;
  readonly request: ChatRequest;
  /** Where to learn the p90 for a hedge, and to record this run. */
  readonly latency?: Latency;
}

/** A finished, usable answer. */
export interface Candidate {
  /** Index of the seat in the list that was given. A reserve answers for the seat that it replaced. */
  readonly seat: number;
  readonly label: string;
  readonly completion: Completion;
  /** Milliseconds from the start of its leg. */
  readonly ms: number;
}

/** Why a seat has no answer. */
export interface Loss {
  readonly seat: number;
  readonly label: string;
  readonly error: GatewayError;
  /** The answer, where there was a whole one that does not count. */
  readonly completion?: Completion;
}

export interface GatherPolicy {
  /** Usable answers that are enough. */
  readonly min: number;
  /** How long to wait for the others once there are enough; undefined waits for all. */
  readonly graceMs?: number;
  /** When to stop whatever there is. */
  readonly deadlineMs?: number;
  /** Started when a seat fails, or when one is slow and `hedge` says so; first come, first served. */
  readonly reserves?: readonly Seat[];
  /** Start a reserve beside a seat that is slower than this many milliseconds, or than its own p90. */
  readonly hedge?: number | "p90";
  /** Why a finished answer does not count; undefined when it does. */
  unusable?(completion: Completion): string | undefined;
  /** Called for each usable answer as it comes; a reason ends the gathering. */
  stop?(candidate: Candidate): string | undefined;
}

export interface Gathered {
  /** In the order of the seats. */
  readonly candidates: readonly Candidate[];
  readonly losses: readonly Loss[];
  /** True when fewer than `min` were usable. */
  readonly short: boolean;
  /** Why it ended before all had settled. */
  readonly early?: string;
}

interface SeatState {
  readonly seat: Seat;
  readonly index: number;
  /** Legs under way. */
  readonly running: Set<Scope>;
  done: boolean;
  hedge?: Disposable;
}

/** A panel counts by itself: the agreement that a member tells is read by nobody. */
const unread: readonly number[] = Object.freeze([]);

/** A leg is streamed upstream when this policy, or one above, may cut it, so that what it wrote can be billed. */
function deliveryOf(policy: GatherPolicy, call: Call): Delivery {
  const cuts = call.delivery === "metered" || policy.graceMs !== undefined || policy.stop !== undefined || policy.hedge !== undefined;
  return cuts ? "metered" : "unary";
}

/**
 * Runs many models at once. Resolves when at least `min` are usable and either all have settled or the grace time has passed; at the deadline
 * always. A failed seat takes the next reserve at once. Losers are aborted, and their legs have ended and are billed when this returns.
 * Throws only when `call` itself was aborted, or a function of the policy throws.
 */
export async function gather(seats: readonly Seat[], call: Call, policy: GatherPolicy): Promise<Gathered> {
  const gathering = new Gathering(seats, call, policy);
  try {
    await gathering.settled();
  } finally {
    await gathering.close();
  }
  throwIfAborted(call.signal);
  return gathering.result();
}

class Gathering {
  readonly #policy: GatherPolicy;
  readonly #call: Call;
  readonly #scope: Scope;
  readonly #states: readonly SeatState[];
  readonly #reserves: Seat[];
  readonly #legs = new Set<Promise<void>>();
  readonly #candidates: Candidate[] = [];
  readonly #losses: Loss[] = [];
  readonly #delivery: Delivery;
  #grace: Disposable | undefined;
  #early: string | undefined;
  #fault: GatewayError | undefined;
  #finish: () => void = () => {};

  constructor(seats: readonly Seat[], call: Call, policy: GatherPolicy) {
    this.#policy = policy;
    this.#call = call;
    this.#delivery = deliveryOf(policy, call);
    this.#reserves = [...(policy.reserves ?? [])];
    this.#scope = openDeadline(call, policy.deadlineMs, () => new GatewayError("upstream_timeout", "The panel's deadline passed."));
    this.#states = seats.map((seat, index) => ({ seat, index, running: new Set(), done: false }));
  }

  settled(): Promise<void> {
    return new Promise((resolve) => {
      this.#finish = resolve;
      this.#scope.signal.addEventListener("abort", () => resolve(), { once: true });
      if (this.#scope.signal.aborted) {
        resolve();
        return;
      }
      for (const state of this.#states) this.#start(state, state.seat);
      for (const state of this.#states) this.#armHedge(state);
      this.#check();
    });
  }

  /** Aborts what still runs and waits for its end: a cancelled leg is billed before the request is answered. */
  async close(): Promise<void> {
    this.#grace?.[Symbol.dispose]();
    for (const state of this.#states) state.hedge?.[Symbol.dispose]();
    const late = this.#scope.signal.aborted && this.#states.some((state) => !state.done);
    if (!this.#scope.signal.aborted && this.#states.some(({ running }) => running.size > 0)) {
      this.#scope.abort(new GatewayError("cancelled", `No longer needed: ${this.#early ?? "the panel has its answer"}.`));
    }
    await Promise.all(this.#legs);
    if (late) this.#early ??= "the deadline passed";
    this.#scope[Symbol.dispose]();
  }

  result(): Gathered {
    if (this.#fault) throw this.#fault;
    const candidates = this.#candidates.sort((a, b) => a.seat - b.seat);
    const short = candidates.length < this.#policy.min;
    return {
      candidates,
      losses: this.#losses,
      short,
      ...(this.#early === undefined ? {} : { early: this.#early }),
    };
  }

  #start(state: SeatState, seat: Seat): void {
    const leg = this.#run(state, seat)
      .catch((thrown: unknown) => this.#fail(thrown))
      .finally(() => {
        this.#legs.delete(leg);
      });
    this.#legs.add(leg);
  }

  #armHedge(state: SeatState): void {
    const { hedge } = this.#policy;
    if (hedge === undefined || this.#reserves.length === 0) return;
    const ms = hedge === "p90" ? state.seat.latency?.p90() : hedge;
    if (ms === undefined) return;
    state.hedge = this.#call.clock.timer(ms, () => {
      const reserve = state.done ? undefined : this.#reserves.shift();
      if (reserve) this.#start(state, reserve);
    });
  }

  async #run(state: SeatState, seat: Seat): Promise<void> {
    const startMs = this.#call.clock.now();
    using scope = openScope(this.#scope.signal);
    state.running.add(scope);
    const inner = enter(this.#call, {
      label: seat.label,
      member: true,
      delivery: this.#delivery,
      signal: scope.signal,
      marks: unread,
    });
    const result = await complete(seat.model, seat.request, inner);
    state.running.delete(scope);
    if (!result.ok) {
      this.#lose(state, seat, result.error);
      return;
    }
    const { completion } = result;
    const ms = this.#call.clock.now() - startMs;
    seat.latency?.record(ms);
    const why = this.#policy.unusable?.(completion);
    if (why === undefined) this.#win(state, { seat: state.index, label: seat.label, completion, ms });
    else this.#lose(state, seat, new GatewayError("unusable_answer", `${seat.label}: ${why}.`, { upstream: seat.label }), completion);
  }

  #win(state: SeatState, candidate: Candidate): void {
    if (state.done || this.#early !== undefined) return;
    state.done = true;
    for (const other of state.running) other.abort(new GatewayError("cancelled", "No longer needed: the seat has its answer."));
    this.#candidates.push(candidate);
    const why = this.#policy.stop?.(candidate);
    // What comes with the last answer cuts nothing short.
    if (why !== undefined && !this.#states.every((other) => other.done)) this.#end(why);
    else this.#check();
  }

  #lose(state: SeatState, seat: Seat, error: GatewayError, completion?: Completion): void {
    if (state.done || this.#early !== undefined) return;
    this.#losses.push({ seat: state.index, label: seat.label, error, ...(completion && { completion }) });
    const reserve = this.#scope.signal.aborted ? undefined : this.#reserves.shift();
    if (reserve) this.#start(state, reserve);
    else if (state.running.size === 0) state.done = true;
    this.#check();
  }

  #check(): void {
    if (this.#states.every((state) => state.done)) {
      this.#finish();
      return;
    }
    const { min, graceMs } = this.#policy;
    if (graceMs === undefined || this.#grace || this.#candidates.length < min || this.#scope.signal.aborted) return;
    this.#grace = this.#call.clock.timer(graceMs, () => this.#end("quorum reached"));
  }

  /** A fault in a function of the policy ends the gathering: nobody else would hear of it. */
  #fail(thrown: unknown): void {
    this.#fault ??= toGatewayError(thrown);
    this.#end("a fault");
  }

  #end(why: string): void {
    this.#early = why;
    this.#finish();
  }
}
