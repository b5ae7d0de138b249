/** Text completions as servers send them, and what a client is to get. */
import { frame } from "../support/upstream.ts";

export const identity = { id: "cmpl-upstream", object: "text_completion", created: 1_790_000_000, model: "upstream-model" };
export const usage = { prompt_tokens: 7, completion_tokens: 3, total_tokens: 10 };

/** A whole answer with these texts as its choices. */
export function textJson(texts: readonly string[], more: object = {}): object {
  const choices = texts.map((text, index) => ({ text, index, logprobs: null, finish_reason: "stop" }));
  return { ...identity, choices, usage, ...more };
}

export interface TextStream {
  /** Each choice gets all the texts. */
  readonly n?: number;
  readonly finish?: string | null;
  readonly usage?: boolean;
  readonly done?: boolean;
}

/** The frames of a streamed text completion as OpenAI writes it. One string a frame. */
export function textStream(
  texts: readonly string[],
  { n = 1, finish = "stop", usage: told = false, done = true }: TextStream = {},
): string[] {
  const rest = told ? { usage: null } : {};
  const all = Array.from({ length: n }, (_, index) => index);
  const chunk = (index: number, text: string, reason: string | null) =>
    frame({ ...identity, choices: [{ text, index, logprobs: null, finish_reason: reason }], ...rest });
  return [
    ...texts.flatMap((text) => all.map((index) => chunk(index, text, null))),
    ...(finish === null ? [] : all.map((index) => chunk(index, "", finish))),
    ...(told ? [frame({ ...identity, choices: [], usage })] : []),
    ...(done ? [frame("[DONE]")] : []),
  ];
}

interface Chunk {
  readonly object: string;
  readonly choices: readonly { readonly text: string; readonly index: number; readonly finish_reason: string | null }[];
  readonly usage?: object | null;
}

/** What a stream says in all, and every way in which it is no text completion. */
export function readText(text: string): {
  readonly texts: readonly string[];
  readonly ends: readonly (string | null)[];
  readonly usage: object | undefined;
  readonly wrong: readonly string[];
} {
  const datas = text.split("\n\n").filter((event) => event.startsWith("data: "));
  const wrong: string[] = [];
  if (datas.pop() !== "data: [DONE]") wrong.push("no [DONE]");
  const texts: string[] = [];
  const ends: (string | null)[] = [];
  const ids = new Set<unknown>();
  let usage: object | undefined;
  for (const data of datas) {
    const chunk = JSON.parse(data.slice(6)) as Chunk & { readonly id: unknown };
    ids.add(chunk.id);
    if (chunk.object !== "text_completion") wrong.push(`an object is ${chunk.object}`);
    if (usage) wrong.push("something follows the usage");
    if (chunk.usage) usage = chunk.usage;
    for (const { text: said, index, finish_reason: reason } of chunk.choices) {
      if (ends[index]) wrong.push(`choice ${index} goes on after its end`);
      texts[index] = (texts[index] ?? "") + said;
      ends[index] = reason;
    }
  }
  if (ids.size !== 1) wrong.push(`${ids.size} ids`);
  if (ends.some((end) => !end)) wrong.push("a choice has no end");
  return { texts, ends, usage, wrong };
}
