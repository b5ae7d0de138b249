/** The options of a multiple-choice question: as a config lists them, or as they stand in a prompt. */
import { toPlain } from "./plain.ts";
import { toWords } from "./text.ts";

export interface Option {
  /** A, B, 1, Б; undefined for an option that has only a text (yes, no). */
  readonly label: string | undefined;
  /** Its text as words (`toWords`); empty when only labels are known. */
  readonly words: string;
  readonly written: string;
}

const LABELLED = /^\s*[*_]{0,2}[([]?([A-Za-zА-Яа-я]|\d{1,2})(?:[)\].:、]+[*_]{0,2}|\s?[-–](?=\s))\s*([\s\S]*)$/;

/** Reads options written as "A) Paris", or without a label. */
export function toOptions(written: readonly string[]): Option[] {
  return written.map((option) => {
    const plain = toPlain(option);
    const match = LABELLED.exec(plain);
    return { label: match?.[1]?.toUpperCase(), words: toWords(match?.[2] ?? plain), written: option };
  });
}

const LATIN = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const CYRILLIC = "АБВГДЕЖЗИК";

/** Labels at line starts: A) A. (A) A: **A.** - A) */
const AT_LINE = /^[ \t>*_-]{0,6}[([]?([A-ZА-К]|[a-zа-к]|\d{1,2})(?:[)\].:、][)*_]{0,2}|\s[-–](?=\s))[ \t]*(?=\S)/gmu;
/** Labels within a line: only with a bracket, or a sentence that ends in "A." would be one. */
const IN_LINE = /(?:(?<=^|[\s;,?:])[([]([A-ZА-К]|[a-zа-к]|\d{1,2})[)\]]|(?<=^|[\s;,?:])([A-ZА-К])\))[ \t]*(?=\S)/gmu;

/** What a question says right before or after its options. */
const CUE =
  /\banswer\b|\bwhich\b|\bchoose\b|\bchoices?\b|\boptions?\b|\bselect\b|\bpick one\b|multiple[- ]choice|\b(?:correct|right|best) (?:answer|option)|\bletter\b|welche|wähle|auswahl|laquelle|lequel|lesquels|choisi|cuál|elige|opci[oó]n|quale|scegli|opzion|\bqual\b|escolha|opç|welke|kies|како[ейя]|выбер|вариант|antwort|réponse|respuesta|risposta|resposta|antwoord|ответ|哪|选择|選択|どれ|選び|答案|答え|_{3}/iu;

interface Mark {
  readonly label: string;
  readonly start: number;
  /** Where the option's text begins. */
  readonly end: number;
  /** Written "A:", as a speaker may be. */
  readonly colon: boolean;
}

function marksOf(pattern: RegExp, prompt: string): Mark[] {
  return [...prompt.matchAll(pattern)].map((match) => ({
    label: match[1] ?? match[2] ?? "",
    start: match.index,
    end: match.index + match[0].length,
    colon: match[0].includes(":"),
  }));
}

/** Whether `label` is number `index` of a sequence of labels that starts with `first`. */
function isNext(label: string, index: number, first: string): boolean {
  if (first === "1") return label === String(index + 1);
  const upper = first === first.toUpperCase();
  for (const alphabet of [LATIN, CYRILLIC]) {
    const letters = upper ? alphabet : alphabet.toLowerCase();
    if (letters[0] === first) return letters[index] === label;
  }
  return false;
}

/** The last unbroken run of labels from the first on: a prompt with solved examples asks its last question. */
function lastRun(marks: readonly Mark[]): Mark[] {
  let run: Mark[] = [];
  let last: Mark[] = [];
  for (const mark of marks) {
    if (isNext(mark.label, 0, mark.label)) run = [mark];
    else if (run[0] !== undefined && isNext(mark.label, run.length, run[0].label)) run.push(mark);
    if (run.length >= 2) last = run;
  }
  return last;
}

const LONGEST = 400;

function textOf(prompt: string, mark: Mark, next: Mark | undefined): string {
  const until = next === undefined ? prompt.indexOf("\n", mark.end) : next.start;
  const text = prompt.slice(mark.end, until < 0 ? undefined : until);
  return text
    .replace(/\n\s*\n[\s\S]*$/, "")
    .replace(/[\s;,*_([-]+$/, "")
    .trim();
}

/** How far round the options their question is looked for. */
const NEAR = 400;

/** Whether what stands round a run asks to choose: headings A. B. C. of a document, or the lines of speakers A: and B:, do not. */
function isAsked(plain: string, run: readonly Mark[]): boolean {
  const [first, last] = [run[0], run.at(-1)];
  if (first === undefined || last === undefined) return false;
  const before = plain.slice(Math.max(0, first.start - NEAR), first.start);
  if (CUE.test(before) || CUE.test(plain.slice(last.end, last.end + NEAR))) return true;
  return before.includes("?") && /\p{Lu}/u.test(first.label) && !first.colon;
}

/** The options in a prompt (its last user message), as "A) Paris"; undefined when it does not ask to choose. */
export function findOptions(prompt: string): string[] | undefined {
  const plain = toPlain(prompt.slice(-20_000));
  const atLine = lastRun(marksOf(AT_LINE, plain));
  const run = atLine.length >= 2 ? atLine : lastRun(marksOf(IN_LINE, plain));
  if (!isAsked(plain, run)) return undefined;
  const options = run.map((mark, index) => ({ label: mark.label, text: textOf(plain, mark, run[index + 1]) }));
  if (options.some(({ text }) => text === "" || text.length > LONGEST)) return undefined;
  return options.map(({ label, text }) => `${label}) ${text}`);
}
