import type { Call } from "../model/call.ts";
import type { ChatRequest } from "../model/request.ts";
import { fenced, labelAt, newNonce, shownText, shuffled, type Labelled } from "./candidates.ts";
import { drawsOf } from "./seed.ts";

/** Something that a judge or a writer is shown: an answer, a card, a comment. */
export interface Showable {
  /** Whose it is. For the record; never shown. */
  readonly label: string;
  readonly text: string;
}

/** Candidates as a reader is shown them. */
export interface Shown<T extends Showable> {
  /** The mark on the fences; fills `{{nonce}}`. */
  readonly nonce: string;
  /** The fenced texts; fills `{{candidates}}`. */
  readonly candidates: string;
  /** What stands under which letter, in the order shown. */
  readonly letters: readonly Labelled<T>[];
}

export interface ShowOptions {
  /** How much of each text is shown at most; an estimate. */
  readonly maxTokens: number;
  /** Keeps the draws of one reader apart from those of another: its label. */
  readonly purpose?: string;
  /** In the order that is given. For comparisons that are asked in both orders. */
  readonly asGiven?: boolean;
  /** What the fences call a text: `answer A`. */
  readonly what?: string;
}

/**
 * Labels the candidates with letters in a random order, which the client's seed repeats, cuts them to equal length and fences them with a mark
 * that none of them can know. No name and no place tells who wrote what.
 */
export function show<T extends Showable>(items: readonly T[], options: ShowOptions, request: ChatRequest, call: Call): Shown<T> {
  const { maxTokens, purpose = "order", asGiven = false, what = "answer" } = options;
  const nonce = newNonce(call.random);
  const letters = asGiven
    ? items.map((item, index) => ({ label: labelAt(index), item }))
    : shuffled(items, drawsOf(request, call, purpose));
  const texts = letters.map(({ label, item }) => fenced(`${what} ${label}`, shownText(item.text, maxTokens), nonce));
  return { nonce, candidates: texts.join("\n\n"), letters };
}

/** Which letter was whose, for the record. */
export function lettersOf({ letters }: Shown<Showable>): Readonly<Record<string, string>> {
  return Object.fromEntries(letters.map(({ label, item }) => [label, item.label]));
}

/** What stands under a letter. */
export function under<T extends Showable>({ letters }: Shown<T>, letter: string): T | undefined {
  return letters.find(({ label }) => label === letter)?.item;
}
