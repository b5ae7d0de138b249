import { drawsFrom } from "../../src/panel/seed.ts";

/** An item in RouteLLM's shape, with its true answer. */
export interface MadeItem {
  readonly prompt: string;
  readonly answer: number;
  readonly weak: MadeAnswer;
  readonly strong: MadeAnswer;
}

export interface MadeAnswer {
  readonly model: string;
  readonly response: string;
  readonly score: number;
  readonly usage: { readonly promptTokens: number; readonly completionTokens: number };
  readonly usd: number;
  readonly logprobs: readonly number[];
}

const easy = ["apples", "pears", "coins", "books", "cups"];
const hard = ["integrals", "permutations", "theorems", "matrices", "residues"];

/**
 * Questions of two sorts, told apart by their words: the weak model has 9 of 10 easy ones and 3 of 10 hard ones, the strong one 9 of 10 of both. Who
 * is wrong is less sure. Log-probabilities are all different, so that every share of them can be cut off exactly.
 */
export function makeItems(count: number, seed = 7): readonly MadeItem[] {
  const draw = drawsFrom(seed);
  const answerOf = (model: string, truth: number, right: boolean, usd: number): MadeAnswer => {
    const said = right ? truth : truth + 1 + Math.floor(draw() * 3);
    const sure = (right ? -0.1 : -0.6) - draw() * 0.4;
    return {
      model,
      response: `Let me see. The answer is ${said}.`,
      score: right ? 1 : 0,
      usage: { promptTokens: 20, completionTokens: 10 },
      usd,
      logprobs: [sure, sure],
    };
  };
  return Array.from({ length: count }, (_, index) => {
    const isHard = draw() < 0.5;
    const words = isHard ? hard : easy;
    const word = words[Math.floor(draw() * words.length)] ?? "";
    const answer = 10 + Math.floor(draw() * 900);
    return {
      prompt: `How many ${word} are there in case ${index + 1}?`,
      answer,
      weak: answerOf("small", answer, draw() < (isHard ? 0.3 : 0.9), 0.0001),
      strong: answerOf("big", answer, draw() < 0.9, 0.002),
    };
  });
}

export function linesOf(values: readonly unknown[]): string {
  return values.map((value) => `${JSON.stringify(value)}\n`).join("");
}
