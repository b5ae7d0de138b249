import type { Signal } from "./abort.ts";

/** Time, injected: nothing in a strategy reads the machine's clock. */
export interface Clock {
  /** Monotonic milliseconds. */
  now(): number;
  /** Milliseconds since 1970, for `created` and records. */
  wall(): number;
  /** Runs `action` after `ms`, unless the returned handle is disposed of first. */
  timer(ms: number, action: () => void): Disposable;
}

/** The machine's clock. */
export const systemClock: Clock = {
  now: () => performance.now(),
  wall: () => Date.now(),
  // Node's own handle is disposed of by clearing it.
  timer: (ms, action) => setTimeout(action, Math.min(ms, 2 ** 31 - 1)),
};

/** Waits `ms`, or rejects with the signal's reason when it aborts first. */
export function sleep(clock: Clock, ms: number, signal: Signal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) {
      reject(signal.reason);
      return;
    }
    const abort = () => {
      timer[Symbol.dispose]();
      reject(signal.reason);
    };
    const timer = clock.timer(ms, () => {
      signal.removeEventListener("abort", abort);
      resolve();
    });
    signal.addEventListener("abort", abort, { once: true });
  });
}
