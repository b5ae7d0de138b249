import type { ChatBody } from "../model/request.ts";
import { findSum, formatNumber, slips } from "./demo-arithmetic.ts";
import { findFact, readOptions, type Asked } from "./demo-quiz.ts";
import { hash, pick, uniform } from "./demo-random.ts";

export const demoModels = ["alto", "tenor", "bass"] as const;

export type DemoModel = (typeof demoModels)[number];

/**
 * The questions that each model has wrong, as a part of all questions on a line from 0 to 1: a fifth, a quarter and about a third. They overlap by a
 * twentieth, so a majority of the three is wrong on a tenth of the questions at most.
 */
const errors: Record<DemoModel, readonly [from: number, to: number]> = { alto: [0, 0.2], tenor: [0.15, 0.4], bass: [0.35, 0.7] };

/** A model with the number of its sample; sample 0 is what it says at temperature 0. */
export interface Voice {
  readonly model: DemoModel;
  readonly sample: number;
}

export function isDemoModel(model: string): model is DemoModel {
  return (demoModels as readonly string[]).includes(model);
}

/** Without a seed, or at temperature 0, the first choice is sample 0; further choices stray unless the temperature forbids it. */
export function voiceOf(model: DemoModel, { seed, temperature }: ChatBody, choice: number): Voice {
  const sample = temperature === 0 ? 0 : (seed ?? 0);
  return { model, sample: temperature === 0 || choice === 0 ? sample : hash(`${sample} ${choice}`) };
}

/** A question that the demo can answer. */
export interface Problem {
  /** The same for all wordings of a question, so that a model errs on the question and not on its wording. */
  readonly id: string;
  readonly right: string;
  readonly wrong: readonly string[];
  /** The sum as it stands left of an equals sign. */
  readonly expression?: string;
  /** What the letters of a multiple choice stand for. */
  readonly options?: ReadonlyMap<string, string>;
}

/** What a voice has to say. */
export interface Thought {
  /** A sentence in the model's own manner. */
  readonly text: string;
  /** The bare answer; absent where it only echoes. */
  readonly answer?: string;
  /** Mean negative log-probability of its tokens: errors have more of it, but not always. */
  readonly doubt: number;
}

/** Finds a sum or a question of the quiz in a text. */
export function findProblem(text: string): Problem | undefined {
  const asked = readOptions(text);
  const open = openProblem(asked.stem);
  return open && asked.options.length > 0 ? (choiceOf(open, asked) ?? open) : open;
}

function openProblem(text: string): Problem | undefined {
  const sum = findSum(text);
  if (sum)
    return { id: sum.expression.replaceAll(" ", ""), right: formatNumber(sum.value), wrong: slips(sum.value), expression: sum.expression };
  const fact = findFact(text);
  return fact && { id: fact.keys.join(), right: fact.answer, wrong: fact.wrong };
}

function choiceOf(open: Problem, { options }: Asked): Problem | undefined {
  const right = options.find((option) => option.text.toLowerCase() === open.right.toLowerCase());
  if (!right) return undefined;
  const wrong = options.filter((option) => option !== right).map(({ letter }) => letter);
  return { id: open.id, right: right.letter, wrong, options: new Map(options.map(({ letter, text }) => [letter, text])) };
}

/**
 * What a voice says to a problem. Samples other than 0 stray from it: an error is mostly repeated, most often word for word, and a right answer
 * is seldom lost.
 */
export function solve({ model, sample }: Voice, problem: Problem): Thought {
  const chance = (what: string) => uniform(model, problem.id, sample, what);
  const place = uniform(problem.id);
  const errs = place >= errors[model][0] && place < errors[model][1];
  const strays = sample !== 0 && chance("strays") < (errs ? 0.3 : 0.12);
  const isNew = sample !== 0 && chance("slips anew") < 0.4;
  const slip = isNew ? chance("slip") : uniform(model, problem.id, "slip");
  const wrong = errs !== strays ? pick(problem.wrong, slip) : undefined;
  const doubt = wrong === undefined ? 0.04 + 0.36 * chance("doubt") : 0.25 + 0.65 * chance("doubt");
  const answer = wrong ?? problem.right;
  return { text: say(model, problem, answer), answer, doubt };
}

/** Says that it is simulated, and what it was told. */
export function echo({ model, sample }: Voice, said: string, label: string): Thought {
  return { text: `[simulated answer by ${label}] ${said}`, doubt: 0.1 + 0.2 * uniform(model, said, sample) };
}

/** Says an answer in a model's own manner. */
export function say(model: DemoModel, problem: Problem, answer: string): string {
  const meaning = problem.options?.get(answer);
  const spelled = meaning === undefined ? answer : `${answer}) ${meaning}`;
  if (model === "alto") return `The answer is ${spelled}.`;
  if (model === "bass") return answer;
  if (problem.expression !== undefined) return `${problem.expression} = ${answer}`;
  return meaning === undefined ? `Answer: ${answer}` : spelled;
}
