import type { GradedRow, Member } from "./scoreboard.ts";

/** One line of the file that `route` by `embedding` reads. */
export interface LabelledText {
  readonly text: string;
  readonly scores: Readonly<Record<string, number>>;
  readonly costs?: Readonly<Record<string, number>>;
}

/** Texts with the grades of all members; with costs where those are known of all. Questions that were recorded without content have no text. */
export function labelledOf(rows: readonly GradedRow[], members: readonly Member[]): readonly LabelledText[] {
  const byName = (values: readonly number[]) => Object.fromEntries(members.map(({ name }, index) => [name, values[index] ?? 0]));
  return rows.flatMap(({ question: { text }, cells }) => {
    if (text === undefined || text.trim() === "") return [];
    const costs = cells.flatMap(({ usd }) => usd ?? []);
    const scores = byName(cells.map(({ score }) => score));
    return [{ text, scores, ...(costs.length === cells.length ? { costs: byName(costs) } : {}) }];
  });
}
