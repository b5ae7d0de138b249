import type { Timeouts } from "../model/call.ts";
import type { Clock } from "../model/clock.ts";

/**
 * The four timers of a leg as one: `connect` until a connection carries the request, `firstToken` from there, `idle` between two signs of life,
 * `total` over all. A sign of life only notes the time; the running timer looks again when it fires, so that a chunk costs no timer.
 */
export class LegTimers implements Disposable {
  readonly #clock: Clock;
  readonly #timeouts: Timeouts;
  readonly #expired: (message: string) => void;
  readonly #startMs: number;
  #phase: "connect" | "firstToken" | "idle" = "connect";
  #sinceMs: number;
  #timer: Disposable | undefined;
  #dueMs = Infinity;

  /** `expired` is called once, with a text that says which bound was passed. */
  constructor(clock: Clock, timeouts: Timeouts, expired: (message: string) => void) {
    this.#clock = clock;
    this.#timeouts = timeouts;
    this.#expired = expired;
    this.#startMs = clock.now();
    this.#sinceMs = this.#startMs;
    this.#arm(this.#startMs);
  }

  /** Something real happened. Comments and heartbeats do not count. */
  touch(phase: "firstToken" | "idle"): void {
    this.#sinceMs = this.#clock.now();
    if (phase === this.#phase) return;
    this.#phase = phase;
    // The running timer fires in time, or too early and looks again; only a tighter bound needs a new one.
    if (this.#sinceMs + this.#bound() >= this.#dueMs) return;
    this.#timer?.[Symbol.dispose]();
    this.#arm(this.#sinceMs);
  }

  [Symbol.dispose](): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
  }

  #bound(): number {
    if (this.#phase === "connect") return this.#timeouts.connectMs;
    return this.#phase === "firstToken" ? this.#timeouts.firstTokenMs : this.#timeouts.idleMs;
  }

  #arm(nowMs: number): void {
    const dueMs = Math.min(this.#sinceMs + this.#bound(), this.#startMs + this.#timeouts.totalMs);
    this.#dueMs = dueMs;
    if (dueMs === Infinity) return;
    this.#timer = this.#clock.timer(Math.max(0, dueMs - nowMs), () => this.#look());
  }

  #look(): void {
    const nowMs = this.#clock.now();
    if (nowMs >= this.#startMs + this.#timeouts.totalMs) this.#expired(`took longer than ${this.#timeouts.totalMs} ms in all`);
    else if (nowMs < this.#sinceMs + this.#bound()) this.#arm(nowMs);
    else if (this.#phase === "connect") this.#expired(`could not be reached within ${this.#timeouts.connectMs} ms`);
    else if (this.#phase === "firstToken") this.#expired(`gave no first token within ${this.#timeouts.firstTokenMs} ms`);
    else this.#expired(`was silent for ${this.#timeouts.idleMs} ms`);
  }
}
