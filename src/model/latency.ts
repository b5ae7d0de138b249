/** The last durations of one member, for a hedge at its own p90. Bounded. */
export interface Latency {
  record(ms: number): void;
  /** Milliseconds; undefined until there are ten. */
  p90(): number | undefined;
}

const SIZE = 64;
const ENOUGH = 10;

/** A ring of the last 64 durations. */
export function newLatency(): Latency {
  const ring: number[] = [];
  let at = 0;
  return {
    record(ms) {
      ring[at % SIZE] = ms;
      at += 1;
    },
    p90() {
      if (ring.length < ENOUGH) return undefined;
      const sorted = [...ring].sort((a, b) => a - b);
      return sorted[Math.ceil(sorted.length * 0.9) - 1];
    },
  };
}
