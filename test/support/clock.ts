import type { Clock } from "../../src/model/clock.ts";

export interface ManualClock extends Clock {
  /** Moves time on, firing what falls due on the way, and lets everything that follows from it happen. */
  advance(ms: number): Promise<void>;
  /** Runs a promise to its end; whenever nothing else can happen, time jumps to the next timer. */
  drive<T>(promise: Promise<T>): Promise<T>;
  /** Timers that are set. */
  readonly pending: number;
}

interface Timer {
  readonly dueMs: number;
  readonly action: () => void;
}

/** Lets everything happen that needs no time: the microtask queue is empty when this resolves. */
export function settle(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

/** Time that stands still until it is moved. */
export function manualClock(): ManualClock {
  const timers = new Set<Timer>();
  let nowMs = 0;

  function next(): Timer | undefined {
    let first: Timer | undefined;
    for (const timer of timers) if (!first || timer.dueMs < first.dueMs) first = timer;
    return first;
  }

  function fire(timer: Timer): void {
    timers.delete(timer);
    nowMs = Math.max(nowMs, timer.dueMs);
    timer.action();
  }

  return {
    now: () => nowMs,
    wall: () => 1_700_000_000_000 + nowMs,
    timer(ms, action) {
      const timer: Timer = { dueMs: nowMs + ms, action };
      timers.add(timer);
      return { [Symbol.dispose]: () => void timers.delete(timer) };
    },
    get pending() {
      return timers.size;
    },
    async advance(ms) {
      const untilMs = nowMs + ms;
      await settle();
      for (let timer = next(); timer && timer.dueMs <= untilMs; timer = next()) {
        fire(timer);
        await settle();
      }
      nowMs = untilMs;
    },
    async drive<T>(promise: Promise<T>): Promise<T> {
      const run = { over: false };
      const end = () => {
        run.over = true;
      };
      void promise.then(end, end);
      await settle();
      while (!run.over) {
        const timer = next();
        if (!timer) throw new Error("stuck: no timer is set and nothing happens");
        fire(timer);
        await settle();
      }
      return promise;
    },
  };
}
