import * as z from "zod";
import { extractAnswer, resolveAuto, type AnswerKind, type AnswerRule } from "../panel/answers/answers.ts";
import { readLines } from "./json-lines.ts";
import { LearnError } from "./learn-error.ts";

/** An answer that may be graded. */
export interface Gradable {
  readonly requestId: string;
  /** Of the leg. */
  readonly key: string;
  /** Of the question: the same in all ways of asking it. */
  readonly question: string;
  readonly upstream: string;
  /** The client got this very answer. */
  readonly final: boolean;
  /** What the user said last; known with content. */
  readonly prompt?: string | undefined;
  readonly text?: string | undefined;
}

/** Grades are 0 to 1; from here on an answer is called right. */
const RIGHT = 0.5;

export function isRight(score: number): boolean {
  return score >= RIGHT;
}

const grade = z
  .strictObject({
    requestId: z.string().min(1).optional(),
    key: z.string().min(1).optional(),
    upstream: z.string().min(1).optional(),
    score: z.number().min(0).max(1),
  })
  .refine(({ requestId, key }) => (requestId === undefined) !== (key === undefined), { error: "needs either requestId or key" })
  .refine(({ key, upstream }) => key === undefined || upstream !== undefined, {
    error: "a grade by key names the upstream whose answer it grades",
  });

export type GradeLine = z.output<typeof grade>;

const truth = z
  .strictObject({
    key: z.string().min(1).optional(),
    text: z.string().min(1).optional(),
    answer: z.union([z.string().min(1), z.number()]),
  })
  .refine(({ key, text }) => (key === undefined) !== (text === undefined), { error: "needs either key or text" });

/** Gives answers their grades, and remembers which grades were of use. */
export interface Grader {
  /** 0 to 1; undefined when nobody graded it. */
  scoreOf(answer: Gradable): number | undefined;
  /** Lines that no answer was found for. */
  unused(): number;
}

/** The grades of a file, by what they grade; of two for one answer the later holds. */
function readGrades(text: string, file: string): ReadonlyMap<string, number> {
  return new Map(
    readLines(text, grade, file).map(({ requestId, key, upstream, score }) => [
      requestId === undefined ? `key ${key} ${upstream}` : `request ${requestId} ${upstream ?? ""}`,
      score,
    ]),
  );
}

function readTruth(text: string, file: string): ReadonlyMap<string, string> {
  return new Map(
    readLines(text, truth, file).map(({ key, text: asked, answer }) => [
      asked === undefined ? `key ${key}` : `text ${asked.trim()}`,
      String(answer),
    ]),
  );
}

/** Compares as a vote does. An answer in which none can be told is wrong; a truth in which none can be told is a mistake. */
function compare(text: string, known: string, prompt: string, kind: AnswerKind): number {
  const rule: AnswerRule = resolveAuto({ kind }, prompt);
  const right = extractAnswer(known, rule);
  if (right === undefined) throw new LearnError(`the known answer ${JSON.stringify(known)} can not be read as ${rule.kind}`);
  return extractAnswer(text, rule)?.key === right.key ? 1 : 0;
}

interface GraderFiles {
  /** Text and name of a file of grades. */
  readonly grades?: readonly [text: string, file: string] | undefined;
  readonly truth?: readonly [text: string, file: string] | undefined;
  /** How answers are compared with the truth. */
  readonly kind?: AnswerKind;
}

/** A grade wins over the truth: somebody looked. */
export function openGrader(files: GraderFiles): Grader {
  const { kind = "auto" } = files;
  const grades = files.grades ? readGrades(...files.grades) : new Map<string, number>();
  const truths = files.truth ? readTruth(...files.truth) : new Map<string, string>();
  const used = new Set<string>();
  const find = <T>(known: ReadonlyMap<string, T>, names: readonly string[]): T | undefined => {
    const name = names.find((one) => known.has(one));
    if (name === undefined) return undefined;
    used.add(name);
    return known.get(name);
  };
  return {
    scoreOf({ requestId, key, question, upstream, final, prompt, text }) {
      const given = find(grades, [
        `request ${requestId} ${upstream}`,
        ...(final ? [`request ${requestId} `] : []),
        `key ${key} ${upstream}`,
        `key ${question} ${upstream}`,
      ]);
      if (given !== undefined || text === undefined) return given;
      const known = find(truths, [`key ${key}`, `key ${question}`, ...(prompt === undefined ? [] : [`text ${prompt.trim()}`])]);
      return known === undefined ? undefined : compare(text, known, prompt ?? "", kind);
    },
    unused: () => [...grades.keys(), ...truths.keys()].filter((name) => !used.has(name)).length,
  };
}
