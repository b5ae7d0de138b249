import type { Timeouts } from "../model/call.ts";
import type { Clock } from "../model/clock.ts";

/** What the timers ask of a leg, and tell it. */
export interface Leg {
  /** Called once, with a text that says which bound was passed. */
  expired(message: string): void;
  /** Somebody waits for what the upstream sends next. */
  isAwaited(): boolean;
}

/**
 * The four timers of a leg as one: `connect` until a connection carries the request, `firstToken` from there, `idle` between two signs of life,
 * `total` over all. A sign of life only notes the time; the running timer looks again when it fires, so that a chunk costs no timer.
 */
export class LegTimers implements Disposable {
  readonly #clock: Clock;
  readonly #timeouts: Timeouts;
  readonly #leg: Leg;
  readonly #startMs: number;
  #phase: "connect" | "firstToken" | "idle" = "connect";
  #sinceMs: number;
  #timer: Disposable | undefined;
  #dueMs = Infinity;
  /** Nobody was waiting when `idle` had passed. */
  #away = false;

  constructor(clock: Clock, timeouts: Timeouts, leg: Leg) {
    this.#clock = clock;
    this.#timeouts = timeouts;
    this.#leg = leg;
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

  /** The consumer asks for more. Silence while it was busy is not the upstream's: `idle` starts again. */
  back(): void {
    if (!this.#away) return;
    this.#away = false;
    this.#sinceMs = this.#clock.now();
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
    const { connectMs, firstTokenMs, idleMs, totalMs } = this.#timeouts;
    if (nowMs >= this.#startMs + totalMs) this.#leg.expired(`took longer than ${totalMs} ms in all`);
    else if (nowMs < this.#sinceMs + this.#bound()) this.#arm(nowMs);
    else if (this.#phase === "connect") this.#leg.expired(`could not be reached within ${connectMs} ms`);
    else if (this.#phase === "firstToken") this.#leg.expired(`gave no first token within ${firstTokenMs} ms`);
    else if (this.#leg.isAwaited()) this.#leg.expired(`was silent for ${idleMs} ms`);
    else {
      this.#away = true;
      this.#sinceMs = nowMs;
      this.#arm(nowMs);
    }
  }
}
