import { extractAnswer, resolveAuto } from "../panel/answers/answers.ts";
import { LearnError } from "./learn-error.ts";
import type { Answered, Question } from "./questions.ts";

/** A model under the name that the config gives it. */
export interface Member {
  readonly name: string;
  /** `provider/model`, as it was recorded. */
  readonly upstream: string;
}

/** What a member did with a question. */
export interface Cell {
  /** The mean of its grades; undefined without any. */
  readonly score: number | undefined;
  /** What a vote compares; undefined when nothing can be told, or without content. */
  readonly key: string | undefined;
  /** The mean of what its answers cost; undefined unless it is known of each. */
  readonly usd: number | undefined;
}

/** A question with a cell for each member, in their order. */
export interface Row {
  readonly question: Question;
  readonly cells: readonly (Cell | undefined)[];
}

/** A row in which everybody has a grade. */
export interface GradedRow {
  readonly question: Question;
  readonly cells: readonly (Cell & { readonly score: number })[];
}

function mean(values: readonly number[]): number | undefined {
  return values.length === 0 ? undefined : values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** The answer that a member gave most often, the earliest of equals. */
function commonest(keys: readonly string[]): string | undefined {
  const counts = new Map<string, number>();
  for (const key of keys) counts.set(key, (counts.get(key) ?? 0) + 1);
  let best: string | undefined;
  for (const [key, count] of counts) if (best === undefined || count > (counts.get(best) ?? 0)) best = key;
  return best;
}

function cellOf(answers: readonly Answered[], prompt: string): Cell | undefined {
  if (answers.length === 0) return undefined;
  const rule = resolveAuto({ kind: "auto" }, prompt);
  const keys = answers.flatMap(({ text }) => (text === undefined ? [] : (extractAnswer(text, rule)?.key ?? [])));
  const costs = answers.flatMap(({ usd }) => usd ?? []);
  return {
    score: mean(answers.flatMap(({ score }) => score ?? [])),
    key: commonest(keys),
    usd: costs.length === answers.length ? mean(costs) : undefined,
  };
}

/** Every question that at least one of the members answered. Several answers of one member to a question are one trial, not several. */
export function rowsOf(questions: readonly Question[], members: readonly Member[]): readonly Row[] {
  const rows = questions.map((question) => ({
    question,
    cells: members.map(({ upstream }) => {
      const own = question.answers.filter((answer) => answer.upstream === upstream);
      return cellOf(own, question.text ?? "");
    }),
  }));
  return rows.filter(({ cells }) => cells.some((cell) => cell !== undefined));
}

function isGraded(cell: Cell | undefined): cell is Cell & { readonly score: number } {
  return cell?.score !== undefined;
}

/** The questions of which every member's answer was graded: who is compared is compared on the same. */
export function gradedRows(questions: readonly Question[], members: readonly Member[]): readonly GradedRow[] {
  return rowsOf(questions, members).flatMap(({ question, cells }) => {
    const graded = cells.filter(isGraded);
    return graded.length === cells.length ? [{ question, cells: graded }] : [];
  });
}

/** All upstreams that answered, in the order in which they first did; with grades those that have some. */
export function upstreamsOf(questions: readonly Question[], graded: boolean): readonly Member[] {
  const answers = questions.flatMap(({ answers }) => answers).filter(({ score }) => !graded || score !== undefined);
  const names = [...new Set(answers.map(({ upstream }) => upstream))];
  if (names.length === 0) {
    throw new LearnError(graded ? "no answer of this history has a grade: give `--grades` or `--truth`" : "this history has no answers");
  }
  return names.map((name) => ({ name, upstream: name }));
}

/** The mean of a column, and of its costs where all are known. */
export function averageOf(rows: readonly GradedRow[], member: number): { readonly score: number; readonly usd: number | undefined } {
  const cells = rows.flatMap(({ cells }) => cells[member] ?? []);
  const costs = cells.flatMap(({ usd }) => usd ?? []);
  return {
    score: mean(cells.map(({ score }) => score)) ?? 0,
    usd: costs.length === cells.length ? mean(costs) : undefined,
  };
}
