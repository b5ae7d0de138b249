import * as z from "zod";
import { parseCsv } from "./csv.ts";
import { readLines } from "./json-lines.ts";
import { LearnError } from "./learn-error.ts";

/** Grades come as numbers, or as right and wrong. */
const score = z.union([z.number().min(0).max(1), z.boolean().transform(Number)]);

const count = z.int().nonnegative();

const answer = z.looseObject({
  response: z.string(),
  score: score.optional(),
  usage: z.looseObject({ promptTokens: count, completionTokens: count }).optional(),
  usd: z.number().nonnegative().optional(),
  ms: z.number().nonnegative().optional(),
  logprobs: z.array(z.number().max(0)).min(1).optional().describe("Of the answer's tokens, natural."),
});

const named = answer.extend({ model: z.string().min(1) });

const common = { prompt: z.string().min(1) };

const pair = z.looseObject({ ...common, weak: named, strong: named });
const several = z.looseObject({ ...common, answers: z.record(z.string().min(1), answer) });

/** One model's answer to an item. */
export type ItemAnswer = z.output<typeof answer> & { readonly model: string };

/** A prompt with the graded answers of some models. */
export interface Item {
  readonly prompt: string;
  readonly answers: readonly ItemAnswer[];
}

const line = z.union([pair, several], {
  error: "expected {prompt, weak: {model, response, score}, strong: {...}} or {prompt, answers: {model: {...}}}",
});

function toItem(item: z.output<typeof line>): Item {
  const { prompt } = item;
  if ("weak" in item) return { prompt, answers: [item.weak, item.strong] as readonly ItemAnswer[] };
  return {
    prompt,
    answers: Object.entries(item.answers).map(([model, one]) => ({ ...one, model })),
  };
}

const SUFFIX = "_response";
const FLAGS: Readonly<Record<string, number>> = { true: 1, false: 0 };

function csvScore(text: string, where: string): number {
  const flag = FLAGS[text.trim().toLowerCase()] ?? (text.trim() === "" ? Number.NaN : Number(text));
  if (flag >= 0 && flag <= 1) return flag;
  throw new LearnError(`${where}: the grade ${JSON.stringify(text)} is neither True, False nor a number from 0 to 1`);
}

/** RouteLLM's table: `prompt`, then for each model a column of its name with True or False, and one `<model>_response` with its answer. */
function csvItems(text: string, file: string): readonly Item[] {
  const [head = [], ...rows] = parseCsv(text);
  const models = head.filter((name) => head.includes(`${name}${SUFFIX}`));
  const prompt = head.indexOf("prompt");
  if (prompt < 0 || models.length === 0) {
    throw new LearnError(`${file}: expected the columns prompt, <model> and <model>${SUFFIX}; there are ${head.join(", ")}`);
  }
  return rows.map((row, index) => {
    const where = `${file}, row ${index + 2}`;
    if (row.length !== head.length) throw new LearnError(`${where}: ${row.length} fields where the head has ${head.length}`);
    const answers = models.map((model) => ({
      model,
      response: row[head.indexOf(`${model}${SUFFIX}`)] ?? "",
      score: csvScore(row[head.indexOf(model)] ?? "", where),
    }));
    return { prompt: row[prompt] ?? "", answers };
  });
}

/** Reads graded items: JSON lines, or RouteLLM's CSV by the name's ending. */
export function readItems(text: string, file: string): readonly Item[] {
  const items = file.endsWith(".csv") ? csvItems(text, file) : readLines(text, line, file).map(toItem);
  if (items.length === 0) throw new LearnError(`${file} has no items`);
  return items;
}
