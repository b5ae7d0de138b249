/** Which option a text chooses. */
import type { Option } from "./options.ts";
import type { Statement } from "./statement.ts";
import { soleNumber, statedNumber } from "./number.ts";
import { firstSentence, toShown, toWords } from "./text.ts";

interface ChoiceFound {
  readonly key: string;
  readonly shown: string;
}

/** Several options at once: the text has an answer, and it can not be counted. */
type Picked = Option | "several" | undefined;

/** When only labels can be known: a question with its options in an image, or in an earlier message. */
const LETTERS: readonly Option[] = "ABCDEFGHIJ".split("").map((label) => ({ label, words: "", written: label }));

/** Letters that look alike in Latin and Cyrillic, for a model that answers in the other script. */
const TWINS: Readonly<Record<string, string>> = { А: "A", В: "B", С: "C", Е: "E", A: "А", B: "В", C: "С", E: "Е" };

const TITLE =
  "(?:option|choice|answer|letter|alternative|opci[oó]n|respuesta|opção|resposta|alternativa|opzione|risposta|réponse|choix|antwort|option|antwoord|optie|вариант|ответ|选项|選項|答案|选|選択肢)";
/** A label at the start of a text: B, (B), **B**, Option B. */
const LEAD = new RegExp(
  `^[\\s*_\`"'#>-]{0,8}((?:(?:the|i choose|i pick|it is|it's|clearly|therefore|thus|so|die|la|l')\\s){0,3}${TITLE}[\\s:*_]{0,4})?([(\\[{*_"']{0,4})([A-Za-zА-Яа-я]|\\d{1,2})(?![A-Za-zÀ-ɏͰ-ӿ\\d])`,
  "iu",
);
const AND_ANOTHER =
  /^[\s)\]}*_.]{0,4}(?:,|;|&|\/|\+|and|or|und|oder|et|ou|y|o|e|en|of|и|или|和|与|或|と)\s?(?:option\s|choice\s)?[\s*_("']{0,4}([A-ZА-Я]|\d{1,2})(?![A-Za-zÀ-ɏͰ-ӿ\d'’])/u;
const GOES_ON = /^\s(?:because|since|as|due|for|is|with|weil|car|porque|perché|omdat|потому)(?!\p{L})/iu;

const REJECTED =
  "(?:is|are|was|ist|est|es|è|é)\\s(?:not|wrong|incorrect|false|out|nicht|falsch|faux|fausse|incorrecta|sbagliata|errada)(?!\\p{L})";
const NEGATED = new RegExp(
  `^[\\s)\\]}*_"'.]{0,4}(?:${REJECTED}|[:,–-]\\s?(?:no|false|wrong|incorrect|nein|falsch|faux|non)(?!\\p{L}))`,
  "iu",
);

const MENTIONS = [
  new RegExp(
    `${TITLE}(?:\\s(?:is|was|ist|est|es|è|é))?[\\s:]{0,2}[(*_"'\\[]{0,4}([A-ZА-Я]|\\d{1,2})(?![A-Za-zÀ-ɏͰ-ӿ\\d])(?![\\s)*_"']{0,4}${REJECTED})`,
    "giu",
  ),
  new RegExp(`[(\\[]([A-ZА-Я])[)\\]](?!\\s?${REJECTED})`, "gu"),
  /(?<![A-Za-zÀ-ɏͰ-ӿ\d'’])([A-ZА-Я])[)*_"']{0,4} (?:is|ist|est|es|è|é) (?:the |die |la |de |het )?(?:correct|right|best|only|richtig|juste|bonne|correcta|corretta|correta|juist)/gu,
  /\*\*\s?([A-ZА-Я])[).]?\s?\*\*/gu,
  /(?<!\p{L})(?:therefore|thus|so|hence|also|daher|donc|entonces|quindi|portanto|dus)[,:]?\s[(*_"'[]{0,4}([A-ZА-Я])[)\]*_"'.!]{0,4}\s{0,4}$/giu,
];
/** A lone capital in a statement or a short text: "clearly B". A is a word too, and what stands behind "or" and "not" does not stand alone. */
const LONE = new RegExp(
  `(?<![A-Za-zÀ-ɏͰ-ӿ\\d'’])(?<!(?:and|or|nor|[Nn]ot|n't|und|oder|et|ou|o|и|или|[,&/]) )([B-HJ-ZБ-Я]|A(?=[\\s*_"'()]{0,4}(?:[.,;:!?]|$)))(?![A-Za-zÀ-ɏͰ-ӿ\\d'’])(?!\\s${REJECTED})`,
  "gu",
);
/** Lines longer than this are prose, where capitals stand for much else. */
const SHORT = 120;

function byLabel(token: string, options: readonly Option[]): Option | undefined {
  const label = token.toUpperCase();
  const twin = TWINS[label];
  return (
    options.find((option) => option.label === label) ?? (twin === undefined ? undefined : options.find((option) => option.label === twin))
  );
}

/** Whether a label without brackets or points is meant as one: "A dog" and "I think" are not. */
function isLabel(token: string, after: string, option: Option): boolean {
  if (/^[.:,]\d|^['’]\p{L}/u.test(after)) return false;
  const words = toWords(after.slice(0, 200));
  if (option.words !== "" && words.startsWith(option.words)) return true;
  if (/^\.[A-Za-z]/.test(after)) return false;
  if (!/^\s*[\p{L}\p{N}]/u.test(after) || GOES_ON.test(after)) return true;
  return /^[B-HJ-ZБ-Я]$/u.test(token) || /^[\p{sc=Han}\p{sc=Hiragana}\p{sc=Katakana}]/u.test(after);
}

/** The label a text starts with. */
function leadingLabel(text: string, options: readonly Option[]): Picked {
  const match = LEAD.exec(text);
  const token = match?.[3];
  if (match === null || token === undefined) return undefined;
  const option = byLabel(token, options);
  const after = text.slice(match[0].length);
  if (option === undefined) return undefined;
  const bracket = /[([{*]/.test(match[2] ?? "");
  if (NEGATED.test(after)) return undefined;
  const another = AND_ANOTHER.exec(after)?.[1];
  const second = another === undefined ? undefined : byLabel(another, options);
  if (second !== undefined && second !== option) return "several";
  const titled = match[1] !== undefined || (bracket && /^[)\]}*]/.test(after));
  return titled || isLabel(token, after, option) ? option : undefined;
}

function one(found: ReadonlySet<Option>): Picked {
  const [option] = found;
  return found.size > 1 ? "several" : option;
}

function mentioned(text: string, patterns: readonly RegExp[], options: readonly Option[]): Picked {
  const found = new Set<Option>();
  for (const pattern of patterns) {
    for (const match of text.matchAll(pattern)) {
      const option = byLabel(match[1] ?? "", options);
      if (option !== undefined) found.add(option);
    }
  }
  return one(found);
}

/** Scripts without spaces between words have no word ends to respect. */
const UNSPACED = /[\p{sc=Han}\p{sc=Hiragana}\p{sc=Katakana}\p{sc=Thai}]/u;

/** Whether words, with a space before and behind, hold the words of an option. */
function holds(padded: string, { words }: Option): boolean {
  return words !== "" && (padded.includes(` ${words} `) || (UNSPACED.test(words) && padded.includes(words)));
}

/** The option whose text a text holds; "Paris" does not count where "Paris, Texas" is the option that stands there. */
function contained(text: string, options: readonly Option[]): Picked {
  const padded = ` ${toWords(text)} `;
  const found = options.filter((option) => holds(padded, option));
  const isPart = (option: Option) => found.some((other) => other.words !== option.words && holds(` ${other.words} `, option));
  return one(new Set(found.length > 1 ? found.filter((option) => !isPart(option)) : found));
}

/** Up to what a sentence denies: "Paris, not Berlin". */
function affirmed(sentence: string): string {
  return sentence.split(/,?\s(?:not|rather than|instead of|nicht|statt|а не)\s/iu, 1)[0] ?? sentence;
}

/** The option whose number a line states, in whatever way it is written: 0.5 for "1/2", "2+2 = 4" for "4". */
function sameNumber(line: string, options: readonly Option[]): Picked {
  const key = /\d/.test(line) ? statedNumber(line)?.key : undefined;
  return key === undefined ? undefined : one(new Set(options.filter(({ words }) => /\d/.test(words) && soleNumber(words)?.key === key)));
}

function fromStatement(line: string, options: readonly Option[]): Picked {
  return (
    leadingLabel(line, options) ??
    contained(affirmed(firstSentence(line)), options) ??
    sameNumber(line, options) ??
    mentioned(line, [...MENTIONS, LONE], options)
  );
}

/** The labels that the lines of a text start with: one line is an answer, several are the options told again. */
function atLineStarts(lines: readonly string[], options: readonly Option[]): Picked {
  const found = new Set<Option>();
  for (const line of lines) {
    const option = leadingLabel(line.slice(0, 300), options);
    if (option === "several") return option;
    if (option !== undefined) found.add(option);
  }
  return one(found);
}

function fromText(text: string, options: readonly Option[]): Picked {
  const lines = text.split("\n").filter((line) => line.trim() !== "");
  const started = atLineStarts(lines, options);
  if (started !== undefined && (started !== "several" || lines.length === 1)) return started;
  const last = lines.at(-1) ?? "";
  const lone = last.length <= SHORT ? [LONE] : [];
  const inLast =
    mentioned(last, MENTIONS, options) ?? contained(affirmed(last), options) ?? mentioned(last, lone, options) ?? sameNumber(last, options);
  if (inLast !== undefined || lines.length === 1) return inLast;
  return mentioned(text, MENTIONS, options) ?? contained(text, options);
}

/** The option that a plain text chooses: as its statements say, else as the whole of it does. Undefined when it chooses none or several. */
export function findChoice(text: string, statements: readonly Statement[], listed: readonly Option[]): ChoiceFound | undefined {
  const options = listed.length === 0 ? LETTERS : listed;
  let picked: Picked;
  for (const statement of statements) {
    picked = fromStatement(statement.text, options) ?? (statement.block === undefined ? undefined : fromText(statement.block, options));
    if (picked !== undefined) break;
  }
  if (statements.every(({ vacuous }) => vacuous)) picked ??= fromText(text.slice(-20_000), options);
  if (picked === undefined || picked === "several") return undefined;
  return { key: picked.label ?? picked.words, shown: toShown(picked.written) };
}
