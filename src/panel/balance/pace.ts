/**
 * How slow somebody is, as a peak-EWMA (Finagle's): a slower sample counts at once and whole, faster ones draw the estimate down with time, and
 * an estimate that nobody renews fades. So one outlier is avoided for a while and then tried again; it never starves.
 */
export class Pace {
  readonly #decayMs: number;
  #ms: number | undefined;
  #at = 0;

  constructor(decayMs: number) {
    this.#decayMs = decayMs;
  }

  /** The estimate as it is now; undefined before the first sample. */
  read(now: number): number | undefined {
    return this.#ms === undefined ? undefined : this.#ms * this.#kept(now);
  }

  record(ms: number, now: number): void {
    const known = this.read(now);
    const kept = this.#kept(now);
    this.#ms = known === undefined || this.#ms === undefined || ms >= known ? ms : this.#ms * kept + ms * (1 - kept);
    this.#at = now;
  }

  #kept(now: number): number {
    return Math.exp(-Math.max(0, now - this.#at) / this.#decayMs);
  }
}
