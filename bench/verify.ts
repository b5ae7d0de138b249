// Whether an answer is what the mock said: every answer cheaply, some in full.
import { chunkCount, completions, hasEnd, streamText } from "./answers.ts";
import type { Question } from "./answers.ts";

/** Chunks that did not arrive as they were sent; each must be zero. */
export interface Disorder {
  lost: number;
  doubled: number;
  moved: number;
}

interface Completion {
  choices?: { message?: { content?: string } }[];
  usage?: { total_tokens?: number };
}

/** Says what is wrong with a whole answer, if anything. `full` parses and compares it. */
export function wholeFault(question: Question, body: string, full: boolean): string | undefined {
  if (!hasEnd(body)) return `answer cut: ...${body.slice(-80)}`;
  if (!full) return undefined;
  const answer = JSON.parse(body) as Completion;
  const expected = completions[question === "big" ? "big" : "plain"].text;
  const choices = answer.choices ?? [];
  if (choices.length === 0 || choices.some((choice) => choice.message?.content !== expected)) return `other text: ${body.slice(0, 200)}`;
  if (question === "fan" && choices.length !== 3) return `${choices.length} choices of 3`;
  return (answer.usage?.total_tokens ?? 0) > 0 ? undefined : "no usage";
}

/** Follows one stream by the numbers in its chunks. */
export class StreamCheck {
  readonly #seen = new Uint8Array(chunkCount);
  readonly #events: string[] | undefined;
  #highest = 0;
  #rest = "";
  #done = false;
  chunks = 0;

  /** `full` also keeps, parses and compares the whole text. */
  constructor(full: boolean) {
    this.#events = full ? [] : undefined;
  }

  read(piece: string, disorder: Disorder): void {
    const text = this.#rest === "" ? piece : this.#rest + piece;
    const end = text.lastIndexOf("\n\n") + 2;
    if (end === 1) {
      this.#rest = text;
      return;
    }
    this.#rest = text.slice(end);
    const events = end === text.length ? text : text.slice(0, end);
    for (let at = events.indexOf("#"); at !== -1; at = events.indexOf("#", at + 6)) {
      this.#note(Number(events.slice(at + 1, at + 6)), disorder);
    }
    if (events.endsWith("data: [DONE]\n\n")) this.#done = true;
    this.#events?.push(events);
  }

  /** Says what is wrong with the stream now that it ended, if anything. */
  fault(disorder: Disorder): string | undefined {
    const lost = this.#seen.reduce((sum, seen) => sum - seen, chunkCount);
    disorder.lost += lost;
    if (lost > 0) return `${lost} chunks lost`;
    if (!this.#done) return "no [DONE]";
    return this.#events === undefined ? undefined : textFault(this.#events.join(""));
  }

  #note(number: number, disorder: Disorder): void {
    this.chunks += 1;
    if (this.#seen[number] === 1) disorder.doubled += 1;
    else if (number < this.#highest || this.#done) disorder.moved += 1;
    this.#seen[number] = 1;
    this.#highest = Math.max(this.#highest, number);
  }
}

interface Chunk {
  choices: { delta?: { content?: string } }[];
}

function textFault(events: string): string | undefined {
  const texts = events
    .split("\n\n")
    .filter((event) => event.startsWith("data: {"))
    .map((event) => (JSON.parse(event.slice(6)) as Chunk).choices[0]?.delta?.content ?? "");
  return texts.join("") === streamText ? undefined : "the chunks do not make the text that was sent";
}
