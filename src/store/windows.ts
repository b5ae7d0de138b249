import type { KeyLimits } from "./store.ts";

/** How long a budget lasts. */
export type Per = NonNullable<KeyLimits["budget"]>["per"];

export const pers: readonly Per[] = ["minute", "hour", "day", "month"];

const lengths = { minute: 60_000, hour: 3_600_000, day: 86_400_000 };

interface Window {
  readonly start: number;
  readonly end: number;
}

/** The last windows that were asked for: nearly every request falls into the same. */
const known: Partial<Record<Per, Window>> = {};

/** The calendar window (UTC) that `at` falls in; `end` is the first moment after it. */
export function windowOf(per: Per, at: number): Window {
  const last = known[per];
  return last && at >= last.start && at < last.end ? last : (known[per] = newWindow(per, at));
}

function newWindow(per: Per, at: number): Window {
  if (per === "month") {
    const date = new Date(at);
    const [year, month] = [date.getUTCFullYear(), date.getUTCMonth()];
    return { start: Date.UTC(year, month), end: Date.UTC(year, month + 1) };
  }
  const start = Math.floor(at / lengths[per]) * lengths[per];
  return { start, end: start + lengths[per] };
}
