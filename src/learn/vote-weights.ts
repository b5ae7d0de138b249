import { logOdds } from "../panel/voting/weights.ts";
import { isRight } from "./grades.ts";
import { LearnError, needs } from "./learn-error.ts";
import type { Cell, Member, Row } from "./scoreboard.ts";

/** What a weight rests on. Agreement is not truth: members that are wrong together confirm each other. */
export type Basis = "grades" | "agreement with the others";

/** How often a member was right, of how many questions. */
export interface Trials {
  readonly right: number;
  readonly total: number;
}

/** How often each member was right, by its grades. */
function byGrades(rows: readonly Row[], members: readonly Member[]): readonly Trials[] {
  return members.map((_, at) => {
    const scores = rows.flatMap(({ cells }) => cells[at]?.score ?? []);
    return { right: scores.filter(isRight).length, total: scores.length };
  });
}

/** The answer that most of some cells give; undefined in a tie, or when nobody's can be told. */
function majorityOf(cells: readonly (Cell | undefined)[]): string | undefined {
  const counts = new Map<string, number>();
  for (const cell of cells) if (cell?.key !== undefined) counts.set(cell.key, (counts.get(cell.key) ?? 0) + 1);
  const [first, second] = [...counts].sort(([, a], [, b]) => b - a);
  return first && first[1] > (second?.[1] ?? 0) ? first[0] : undefined;
}

/** How often each member said what most of the others did: its own vote would make it right by itself. */
function byAgreement(rows: readonly Row[], members: readonly Member[]): readonly Trials[] {
  if (members.length < 3) throw new LearnError("without grades at least three members are needed: two can only contradict each other");
  return members.map((_, at) => {
    const told = rows.flatMap(({ cells }) => {
      const key = cells[at]?.key;
      const majority = majorityOf(cells.toSpliced(at, 1));
      return key === undefined || majority === undefined ? [] : [key === majority];
    });
    return { right: told.filter(Boolean).length, total: told.length };
  });
}

/**
 * K, the number of possible answers, as the weights understand it: two that are wrong about a question say the same with probability 1 / (K - 1).
 * So it is taken from how often they did, and members that err together get the small K that they deserve. One coincidence in one pair is added:
 * without any evidence K is 2, the least.
 */
export function estimateClasses(rows: readonly Row[]): number {
  let pairs = 1;
  let same = 1;
  for (const { cells } of rows) {
    const wrong = cells.flatMap((cell) => (cell?.score !== undefined && !isRight(cell.score) ? (cell.key ?? []) : []));
    for (const [at, key] of wrong.entries()) {
      for (const other of wrong.slice(at + 1)) {
        pairs += 1;
        if (other === key) same += 1;
      }
    }
  }
  return 1 + pairs / same;
}

/** The file that `vote` and `consensus` read as `weights`. */
export interface VoteWeights {
  readonly version: 1;
  readonly kind: "vote-weights";
  readonly by: Basis;
  readonly classes: number;
  readonly members: Readonly<Record<string, Trials & { readonly weight: number }>>;
}

/** Weighs members by the grades of their answers; where nothing is graded, by how often they agree with the others. */
export function voteWeights(
  rows: readonly Row[],
  members: readonly Member[],
  { classes, least }: { readonly classes?: number | undefined; readonly least: number },
): VoteWeights {
  const isGraded = rows.some(({ cells }) => cells.some((cell) => cell?.score !== undefined));
  const trials = isGraded ? byGrades(rows, members) : byAgreement(rows, members);
  const k = classes ?? (isGraded ? estimateClasses(rows) : 2);
  const weighed = members.map(({ name }, at) => {
    const { right, total } = trials[at] ?? { right: 0, total: 0 };
    needs(least, total, `questions tell whether ${name} is right`);
    return [name, { weight: Number(logOdds(right, total, k).toFixed(4)), right, total }] as const;
  });
  return {
    version: 1,
    kind: "vote-weights",
    by: isGraded ? "grades" : "agreement with the others",
    classes: Number(k.toFixed(3)),
    members: Object.fromEntries(weighed),
  };
}
