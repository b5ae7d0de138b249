/** Votes that are still out: what they may do to the agreement, and when they need not be waited for. */
import type { Weighed } from "../assemble.ts";
import type { Seating } from "../seats.ts";

/** Sums over the votes that are out. */
export interface Outstanding {
  /** What they count, whatever they say. */
  readonly weight: number;
  /** What they may put behind one answer. */
  readonly behind: number;
  /** What they may take from it by saying the same: weights below 0. */
  readonly against: number;
}

export const nothingOut: Outstanding = { weight: 0, behind: 0, against: 0 };

/** Where an agreement may end. */
export interface Bounds {
  readonly least: number;
  readonly most: number;
}

function within(share: number): number {
  return Math.min(1, Math.max(0, share));
}

/** Where the share of an answer may end that has `weight` of the `total` that was cast. */
export function boundsOf(weight: number, total: number, { weight: out, behind, against }: Outstanding): Bounds {
  const most = total + behind;
  return {
    least: total + out > 0 ? within((weight - against) / (total + out)) : 0,
    most: most > 0 ? within((weight + behind) / most) : 1,
  };
}

/** Whether it is known on which side of each mark an agreement ends. At a mark is above it. */
export function isDecided({ least, most }: Bounds, marks: readonly number[]): boolean {
  return marks.every((mark) => least >= mark || most < mark);
}

/** When to stop, and what was left out by that. */
export interface Stopping<Out> {
  /** Why no more answers are needed, asked with each as it comes. */
  readonly stop: (candidate: Weighed) => string | undefined;
  /** What was still out, when it ended for this reason. An end for another reason leaves nothing out: who is late has no vote. */
  readonly out: (early: string | undefined) => Out;
}

/** Remembers what was out at the stop. */
export function stopping<Out>(
  nothing: Out,
  look: (candidate: Weighed) => { readonly why: string | undefined; readonly out: Out },
): Stopping<Out> {
  let last: ReturnType<typeof look> | undefined;
  return {
    stop(candidate) {
      last = look(candidate);
      return last.why;
    },
    out: (early) => (last !== undefined && early !== undefined && last.why === early ? last.out : nothing),
  };
}

/**
 * Watches the seats come in. One that failed stays out: it may be replaced, by a reserve of another weight, and nobody tells when it is not.
 */
export function seatWatch({ places, reserves }: Seating): (seat: number) => Outstanding {
  const largest = (of: (weight: number) => number, weight: number) => Math.max(0, of(weight), ...reserves.map((spare) => of(spare.weight)));
  const open = new Map(
    places.map(({ weight }, seat): [number, Outstanding] => [
      seat,
      { weight: largest(Math.abs, weight), behind: largest((own) => own, weight), against: largest((own) => -own, weight) },
    ]),
  );
  return (seat) => {
    open.delete(seat);
    let sum = nothingOut;
    for (const { weight, behind, against } of open.values()) {
      sum = { weight: sum.weight + weight, behind: sum.behind + behind, against: sum.against + against };
    }
    return sum;
  };
}
