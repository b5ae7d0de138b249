import { hearAll, judgeable, put, type Sitting, type Heard, type Judge, type Jury, type Putting } from "./judge.ts";
import type { Showable } from "../showing.ts";
import { oneOf } from "./verdict.ts";

/** What came of comparing all with all. */
export interface Comparison<T> {
  /** In the order of the items: the share of its comparisons that each won, a tie as half of one; undefined where it was in none. */
  readonly shares: readonly (number | undefined)[];
  /** Wins, ties as halves. */
  readonly wins: readonly { readonly item: T; readonly wins: number }[];
  /** Pairs whose verdict followed the place and not the answer. */
  readonly flips: number;
  /** Comparisons without a verdict, of so many. */
  readonly missing: number;
  readonly asked: number;
  /** Why judges gave none. */
  readonly failed: readonly string[];
}

/** One pair in one order. */
interface Duel<T> {
  readonly first: T;
  readonly second: T;
}

/** Both orders of every pair that some judge may judge. */
function duelsOf<T extends Showable>(items: readonly T[], jury: Jury): readonly Duel<T>[] {
  return items.flatMap((first, i) =>
    items.slice(i + 1).flatMap((second) => {
      const judged = jury.some((judge) => isOpen(judge, { first, second }));
      return judged
        ? [
            { first, second },
            { first: second, second: first },
          ]
        : [];
    }),
  );
}

/** How many questions it takes to compare these. */
export function comparisons(items: readonly Showable[], jury: Jury): number {
  return duelsOf(items, jury).length;
}

function isOpen<T extends Showable>(judge: Judge, { first, second }: Duel<T>): boolean {
  return judgeable([first, second], judge).length === 2;
}

function winnerOf<T>({ first, second }: Duel<T>, heard: Heard<string> | undefined): T | undefined {
  if (!heard?.ok) return undefined;
  return heard.value === "A" ? first : second;
}

/**
 * Compares every two candidates, each pair in both orders: a judge that changes its mind with the order has no preference, so a flip is a tie.
 * So is a pair with a verdict missing: one order alone would let the place decide. n(n-1) questions at once. After PairRanker of LLM-Blender
 * (arXiv 2306.02561) with counted wins; its text form in later code asks one order only.
 */
export async function pairwise<T extends Showable>(
  jury: Jury,
  items: readonly T[],
  putting: Putting,
  sitting: Sitting,
): Promise<Comparison<T>> {
  const duels = duelsOf(items, jury);
  const heard = await hearAll(
    duels,
    (duel) => jury.filter((judge) => isOpen(judge, duel)),
    (judge, { first, second }) => {
      const label = `${judge.label} ${first.label} ${second.label}`;
      return put([first, second], { ...putting, judge, label, asGiven: true, form: (letters) => oneOf(letters) }, sitting).question;
    },
    sitting,
  );
  const wins = new Map<T, number>();
  const fought = new Map<T, number>();
  const add = (to: Map<T, number>, item: T, count: number) => void to.set(item, (to.get(item) ?? 0) + count);
  let flips = 0;
  // The two orders of a pair follow each other.
  for (let i = 0; i + 1 < duels.length; i += 2) {
    const duel = duels[i];
    const back = duels[i + 1];
    if (!duel || !back) continue;
    const [one, other] = [winnerOf(duel, heard[i]), winnerOf(back, heard[i + 1])];
    const known = one !== undefined && other !== undefined;
    if (known && one !== other) flips += 1;
    const winner = known && one === other ? one : undefined;
    for (const item of [duel.first, duel.second]) {
      add(fought, item, 1);
      add(wins, item, winner === undefined ? 0.5 : winner === item ? 1 : 0);
    }
  }
  return {
    shares: items.map((item) => (fought.has(item) ? (wins.get(item) ?? 0) / (fought.get(item) ?? 1) : undefined)),
    wins: items.map((item) => ({ item, wins: wins.get(item) ?? 0 })),
    flips,
    missing: heard.filter(({ ok }) => !ok).length,
    asked: heard.length,
    failed: [...new Set(heard.flatMap(({ failed }) => failed))],
  };
}
