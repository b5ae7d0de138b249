import { thresholdFor } from "../panel/route/table.ts";
import type { GradedRow } from "./scoreboard.ts";

/** What a route between a weak member (first in each row) and a strong one (second) comes to. */
export interface Routed {
  /** Of calls to the strong member. */
  readonly share: number;
  /** Mean grade. */
  readonly score: number;
  /** Mean cost of an answer, without the decision's; undefined unless it is known of all. */
  readonly usd: number | undefined;
}

/** Goes to the strong member where `strong` says so. */
function outcome(rows: readonly GradedRow[], strong: (index: number) => boolean): Routed {
  const cells = rows.flatMap(({ cells }, index) => cells[strong(index) ? 1 : 0] ?? []);
  const costs = cells.flatMap(({ usd }) => usd ?? []);
  const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
  return {
    share: rows.filter((_, index) => strong(index)).length / rows.length,
    score: sum(cells.map(({ score }) => score)) / rows.length,
    usd: costs.length === cells.length ? sum(costs) / rows.length : undefined,
  };
}

/** By win rates, from a threshold up. */
export function routedBy(rows: readonly GradedRow[], rates: readonly number[], share: number): Routed & { readonly threshold: number } {
  const threshold = thresholdFor(rates, share);
  return { ...outcome(rows, (index) => (rates[index] ?? 0) >= threshold), threshold };
}

/** Whoever answered better, and the weak one where both did as well: what no router can beat. */
export function oracleOf(rows: readonly GradedRow[]): Routed {
  return outcome(rows, (index) => {
    const [weak, strong] = rows[index]?.cells ?? [];
    return (strong?.score ?? 0) > (weak?.score ?? 0);
  });
}

/** Always the same member: 0 the weak one, 1 the strong one. */
export function aloneOf(rows: readonly GradedRow[], member: 0 | 1): Routed {
  return outcome(rows, () => member === 1);
}
