import { createTally } from "../panel/voting/tally.ts";
import { isRight } from "./grades.ts";
import { LearnError, needs } from "./learn-error.ts";
import { averageOf, type GradedRow, type Member } from "./scoreboard.ts";

/** All sets of members are looked at: 2^12 with it. */
const MOST = 12;

/** How a member does alone. */
export interface Alone {
  readonly name: string;
  /** Share of its answers that are right. */
  readonly accuracy: number;
  /** Mean grade. */
  readonly quality: number;
  readonly usd?: number;
}

/** How two members go together. */
export interface Pair {
  readonly members: readonly [string, string];
  /** Share of questions where one is right and the other wrong. */
  readonly rescued: number;
  /** Share where both are wrong, which nothing that picks among the two can mend. */
  readonly bothWrong: number;
  /** Correlation of their errors, -1 to 1; 0 when one of them is always right or always wrong. */
  readonly correlation: number;
  /** The interaction of arXiv 2510.03930 beside the others, 0 to 1; 0 without others. It knows averages alone, not who is wrong where. */
  readonly chemistry: number;
}

/** How some members do together. */
export interface MemberSet {
  /** The most accurate first: who stands first wins ties. */
  readonly members: readonly string[];
  /** Share of questions that at least one of them has right. */
  readonly coverage: number;
  /** Share that a vote of them has right; of texts without an answer that can be compared, when more than half are right. */
  readonly vote: number;
  /** Of one question to all of them. */
  readonly usd?: number;
}

/** Version 1 of the file. */
export interface Chemistry {
  readonly version: 1;
  readonly kind: "chemistry";
  /** How many questions all figures rest on. */
  readonly questions: number;
  readonly size: number;
  readonly members: readonly Alone[];
  readonly pairs: readonly Pair[];
  /** All sets of that size, best first. */
  readonly sets: readonly MemberSet[];
}

function share(count: number, total: number): number {
  return Number((count / total).toFixed(4));
}

/** Error correlation (phi) of two columns of right and wrong. */
function correlation(a: readonly boolean[], b: readonly boolean[]): number {
  const n = a.length;
  const count = (of: (index: number) => boolean) => a.filter((_, index) => of(index)).length;
  const both = count((index) => a[index] === true && b[index] === true) / n;
  const one = count((index) => a[index] === true) / n;
  const other = count((index) => b[index] === true) / n;
  const spread = Math.sqrt(one * (1 - one) * other * (1 - other));
  return spread === 0 ? 0 : (both - one * other) / spread;
}

/** A used member is right more often than not; an error of a tenth is the least that is believed. */
const USED = 0.5;
const FLOOR = 0.1;

/** cost(X) = sum over the used members of X, best first, of (1/i) (1 - q_i) (1 - a_i). */
function costOf(members: readonly Alone[]): number {
  const best = members.toSorted((a, b) => b.quality - a.quality);
  return best.reduce(
    (sum, { quality, accuracy }, index) => sum + (Math.max(FLOOR, 1 - quality) * Math.max(FLOOR, 1 - accuracy)) / (index + 1),
    0,
  );
}

function* subsetsOf<T>(items: readonly T[]): Generator<readonly T[]> {
  for (let bits = 0; bits < 2 ** items.length; bits += 1) yield items.filter((_, index) => (bits >> index) & 1);
}

/**
 * chem(a, b) = max over X without them of min(1, |cost(X+a+b) - cost(X+a) - cost(X+b) + cost(X)| / cost(X+a+b)). As published X may be empty, at a cost
 * of 1 beside which all others vanish, so that every pair comes to 1. Here X has somebody in it, and who is not used plays no part.
 */
function interaction(a: Alone, b: Alone, all: readonly Alone[]): number {
  const isUsed = ({ accuracy }: Alone) => accuracy > USED;
  if (!isUsed(a) || !isUsed(b)) return 0;
  let most = 0;
  for (const rest of subsetsOf(all.filter((one) => one !== a && one !== b && isUsed(one)))) {
    if (rest.length === 0) continue;
    const together = costOf([...rest, a, b]);
    const difference = Math.abs(together - costOf([...rest, a]) - costOf([...rest, b]) + costOf(rest));
    most = Math.max(most, Math.min(1, difference / together));
  }
  return Number(most.toFixed(4));
}

/** Whether a vote of these members, in this order, has a question right. */
function votesRight({ cells }: GradedRow, members: readonly number[]): boolean {
  const seats = members.flatMap((member) => cells[member] ?? []);
  if (seats.some(({ key }) => key === undefined)) return seats.filter(({ score }) => isRight(score)).length * 2 > seats.length;
  const tally = createTally();
  for (const [order, { key = "" }] of seats.entries()) tally.add(key, 1, order);
  const winner = seats[tally.leader()?.order ?? 0];
  return winner !== undefined && isRight(winner.score);
}

function pairsOf(rows: readonly GradedRow[], all: readonly Alone[]): readonly Pair[] {
  const right = all.map((_, member) => rows.map(({ cells }) => isRight(cells[member]?.score ?? 0)));
  return all.flatMap((a, i) =>
    all.slice(i + 1).map((b, offset): Pair => {
      const [mine = [], theirs = []] = [right[i], right[i + 1 + offset]];
      const count = (of: (one: boolean, other: boolean) => boolean) => mine.filter((one, index) => of(one, theirs[index] === true)).length;
      return {
        members: [a.name, b.name],
        rescued: share(
          count((one, other) => one !== other),
          rows.length,
        ),
        bothWrong: share(
          count((one, other) => !one && !other),
          rows.length,
        ),
        correlation: Number(correlation(mine, theirs).toFixed(4)),
        chemistry: interaction(a, b, all),
      };
    }),
  );
}

function setOf(rows: readonly GradedRow[], all: readonly Alone[], members: readonly number[]): MemberSet {
  const order = members.toSorted((a, b) => (all[b]?.accuracy ?? 0) - (all[a]?.accuracy ?? 0) || a - b);
  const costs = order.flatMap((member) => all[member]?.usd ?? []);
  const isCovered = ({ cells }: GradedRow) => order.some((member) => isRight(cells[member]?.score ?? 0));
  return {
    members: order.map((member) => all[member]?.name ?? ""),
    coverage: share(rows.filter(isCovered).length, rows.length),
    vote: share(rows.filter((row) => votesRight(row, order)).length, rows.length),
    ...(costs.length === order.length ? { usd: costs.reduce((sum, usd) => sum + usd, 0) } : {}),
  };
}

/**
 * Which members belong together, by what they did on the same questions. Sets are ranked by what a vote of them has right, then by what any of
 * them has right, then by cost: counted over the questions themselves, where the published interaction (kept in the pairs) sees averages alone.
 */
export function chemistry(
  rows: readonly GradedRow[],
  members: readonly Member[],
  options: { readonly size: number; readonly least: number },
): Chemistry {
  const { size, least } = options;
  if (members.length > MOST) throw new LearnError(`${members.length} members; at most ${MOST} are compared: name some with \`--members\``);
  if (!Number.isInteger(size) || size < 2 || size > members.length)
    throw new LearnError(`sets of ${size} of ${members.length} members there are none; set \`--size\``);
  needs(least, rows.length, "questions were answered by every member and graded");
  const all = members.map(({ name }, member): Alone => {
    const right = rows.filter(({ cells }) => isRight(cells[member]?.score ?? 0)).length;
    const { score, usd } = averageOf(rows, member);
    return { name, accuracy: share(right, rows.length), quality: Number(score.toFixed(4)), ...(usd === undefined ? {} : { usd }) };
  });
  const places = members.map((_, index) => index);
  const sets = [...subsetsOf(places)].filter((some) => some.length === size).map((some) => setOf(rows, all, some));
  return {
    version: 1,
    kind: "chemistry",
    questions: rows.length,
    size,
    members: all,
    pairs: pairsOf(rows, all),
    sets: sets.sort((a, b) => b.vote - a.vote || b.coverage - a.coverage || (a.usd ?? 0) - (b.usd ?? 0)),
  };
}
