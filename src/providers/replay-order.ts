import type { Call } from "../model/call.ts";
import type { LegRecord } from "../model/history.ts";

/** How much later than it did something may happen before the order is given up. */
const LATE_MS = 1000;

/** A place in the order of what happened to the legs of a request. */
export type Moment = "start" | "first" | "end";

function momentsOf({ seq, cut }: LegRecord): readonly number[] {
  // The end of a leg that was cut is a consequence; nothing waits for it.
  return [seq.start, seq.first, cut === true ? undefined : seq.end].filter((moment) => moment !== undefined);
}

/**
 * Keeps the order in which things happened within a request: whose answer came first decides what a panel does, and timers alone do not repeat
 * it. When it can not be kept, because the config has changed since, it is given up.
 */
export class RecordedOrder {
  readonly #moments: readonly number[];
  readonly #done = new Set<number>();
  #changed = Promise.withResolvers<void>();
  #startMs: number | undefined;
  #isGivenUp = false;

  constructor(legs: readonly LegRecord[]) {
    this.#moments = legs.flatMap(momentsOf);
  }

  /** Resolves when a leg's moment has come; rejects when the call is aborted. */
  async reach(leg: LegRecord, moment: Moment, call: Call): Promise<void> {
    const { clock, signal } = call;
    this.#startMs ??= clock.now() - leg.startMs;
    const seq = leg.seq[moment];
    if (seq === undefined) return;
    const recordedMs = leg.startMs + (moment === "start" ? 0 : moment === "first" ? (leg.firstMs ?? leg.ms) : leg.ms);
    const dueMs = this.#startMs + recordedMs + LATE_MS;
    while (!this.#isGivenUp && this.#moments.some((other) => other < seq && !this.#done.has(other))) {
      const leftMs = dueMs - clock.now();
      if (leftMs <= 0) {
        this.#isGivenUp = true;
        break;
      }
      await this.#change(leftMs, call);
      if (signal.aborted) return;
    }
    this.#tell([seq], call);
  }

  /** A leg has ended, however: nobody waits for it any more. */
  leave(leg: LegRecord, call: Call): void {
    this.#tell(momentsOf(leg), call);
  }

  #tell(moments: readonly number[], { clock }: Call): void {
    const before = this.#done.size;
    for (const moment of moments) this.#done.add(moment);
    if (this.#done.size === before) return;
    const { resolve } = this.#changed;
    this.#changed = Promise.withResolvers();
    // What follows from this moment happens before the next one.
    clock.timer(0, () => resolve());
  }

  #change(ms: number, { clock, signal }: Call): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        timer[Symbol.dispose]();
        signal.removeEventListener("abort", wake);
        resolve();
      };
      const timer = clock.timer(ms, wake);
      signal.addEventListener("abort", wake, { once: true });
      void this.#changed.promise.then(wake);
    });
  }
}
