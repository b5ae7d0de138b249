/** How long something took as the event loop of this process saw it. */
import type { OnFinished } from "./upstream.ts";

export interface LoopClock {
  /** Milliseconds between two readings of `performance.now()` in which the loop ran. Never more than passed. */
  between(fromMs: number, toMs: number): number;
}

/** Counts the milliseconds in which the loop runs: a machine that does not let the process run does not age it, a timer or a wait in our code does. */
export function startLoopClock(onFinished: OnFinished): LoopClock {
  const ticks: number[] = [];
  const ticking = setInterval(() => ticks.push(performance.now()), 1);
  ticking.unref();
  onFinished(async () => clearInterval(ticking));
  return { between: (fromMs, toMs) => ticks.filter((atMs) => atMs > fromMs && atMs <= toMs).length };
}
