import { appraise, type Grade } from "./grades.ts";
import { askAll, put, type Putting, type Sitting } from "./judge.ts";
import { pairUp } from "./reviews.ts";
import type { Seated } from "../rounds.ts";
import { drawsOf } from "../seed.ts";
import { numberOf } from "./verdict.ts";

/** How answers are graded. Fixed at boot. */
export interface Grading extends Putting {
  /** How many others grade an answer, where there are so many. */
  readonly perAnswer: number;
  /** How much a reviewer's grades count beforehand, by the name of its member; above 0. */
  readonly trust: (name: string) => number;
}

export interface Graded {
  /** In the order of the answers; undefined where no grade came. */
  readonly qualities: readonly (number | undefined)[];
  /** Who gave what, and what each reviewer counted; for the record. */
  readonly told: Readonly<Record<"grades" | "reliability", Readonly<Record<string, unknown>>>>;
  /** Why grades are missing, each reason once, sorted. */
  readonly missing: readonly string[];
}

const NO_SIZE = { usd: 0, tokens: 0 };

/** As many grades an answer as the budget has room for beside what comes `after`. */
function affordable(answers: number, perAnswer: number, after: number, { call }: Sitting): number {
  const wanted = Math.min(perAnswer, answers - 1);
  let count = wanted;
  while (count > 0 && !call.budget.allows(NO_SIZE, answers * count + after)) count -= 1;
  if (count > 0 && count < wanted) call.trace.degraded.push(`grades: budget_denied, ${count} of ${wanted} an answer`);
  return count;
}

function tabled(grades: readonly Grade[]): Readonly<Record<string, Readonly<Record<string, number>>>> {
  const table: Record<string, Record<string, number>> = {};
  for (const { reviewer, answer, grade } of grades) table[reviewer] = { ...table[reviewer], [answer]: grade };
  return table;
}

function rounded(values: ReadonlyMap<string, number>): Readonly<Record<string, number>> {
  return Object.fromEntries([...values].map(([name, value]) => [name, Number(value.toFixed(4))]));
}

/**
 * Lets each answer be graded by others, one question a grade, all at once: nobody sees its own, a name, or a second answer. What the grades say
 * together is `appraise`'s. Throws only when the call was aborted.
 */
export async function gradeEach(answers: readonly Seated[], grading: Grading, sitting: Sitting, after: number): Promise<Graded> {
  const { call, request } = sitting;
  const perAnswer = affordable(answers.length, grading.perAnswer, after, sitting);
  if (perAnswer === 0)
    return { qualities: answers.map(() => undefined), told: { grades: {}, reliability: {} }, missing: ["budget_denied"] };
  const pairs = pairUp(answers, perAnswer, drawsOf(request, call, "reviewers"));
  const questions = pairs.map(([author, reviewer]) => {
    const label = `grade of ${author.label} by ${reviewer.label}`;
    return put([author], { ...grading, judge: reviewer.place, label, form: () => numberOf({ min: 0, max: 1 }, "grade") }, sitting).question;
  });
  const replies = await askAll(questions, request, call, sitting);
  const missing = new Set<string>();
  const grades = replies.flatMap((reply, index): readonly Grade[] => {
    const [author, reviewer] = pairs[index] ?? [];
    if (!reply.ok) missing.add(`${reviewer?.label} ${reply.why}`);
    return reply.ok && author && reviewer ? [{ reviewer: reviewer.label, answer: author.label, grade: reply.value }] : [];
  });
  const names = new Map(answers.map(({ label, place }) => [label, place.name]));
  const { quality, reliability } = appraise(grades, (reviewer) => grading.trust(names.get(reviewer) ?? reviewer));
  return {
    qualities: answers.map(({ label }) => quality.get(label)),
    told: { grades: tabled(grades), reliability: rounded(reliability) },
    missing: [...missing].toSorted(),
  };
}
