/** Finds where a text says what its answer is: a box, a tag, a marker such as "the answer is". */
import { toPlain } from "./plain.ts";

export interface Statement {
  /** The line that states the answer, from behind its marker. */
  readonly text: string;
  /** Everything from there to the end, when the marker is a heading ("Answer:") and its line may be only where a longer text starts. */
  readonly block: string | undefined;
  /** Whether the line opens such a text: "Answer: Let us think step by step." It is no answer in words; different texts start alike. */
  readonly opens: boolean;
  /** Whether it only says that the answer is right, or stands elsewhere. Right or True may be an answer all the same, when no other statement names one. */
  readonly vacuous: boolean;
}

/** Answers stand at the end: of a longer text only so much is searched for markers. */
export const TAIL = 20_000;
/** Statements looked at, from the last one back. */
const STATEMENTS = 8;
/** Words such as "answer" looked at for one. */
const NOUNS = 32;
const LINE = 500;

const BOX = /\\f?box(?:ed)?\s{0,3}\{/g;
const BOX_LENGTH = 2000;

/** The content of the last `\boxed{}` whose braces balance, LaTeX as it stands. */
function lastBox(text: string): string | undefined {
  if (!text.includes("box")) return undefined;
  const starts: number[] = [];
  for (const match of text.matchAll(BOX)) starts.push(match.index + match[0].length);
  for (const start of starts.slice(-STATEMENTS).reverse()) {
    let depth = 1;
    const end = Math.min(text.length, start + BOX_LENGTH);
    for (let i = start; i < end; i += 1) {
      const char = text[i];
      if (char === "\\") i += 1;
      else if (char === "{") depth += 1;
      else if (char === "}") depth -= 1;
      if (depth === 0) return text.slice(start, i);
    }
  }
  return undefined;
}

/** The words for "answer" and "result"; the second for texts that are not all ASCII. */
const NOUN =
  /answers?|results?|solution|(?:end)?antwort|(?:end)?ergebnis|reponse|resultat|respuesta|resultado|risposta|risultato|resposta|(?:eind)?antwoord|resultaat|svar(?:et)?|odpowiedz|cevap|jawaban/gi;
const NOUN_WORLD =
  /answers?|results?|solution|(?:end)?antwort|(?:end)?ergebnis|lösung|r[ée]ponse|r[ée]sultat|respuesta|resultado|risposta|risultato|resposta|(?:eind)?antwoord|resultaat|svar(?:et)?|odpowied[zź]|odpověď|cevap|yanıt|jawaban|đáp án|ответ|відповідь|результат|απάντηση|תשובה|الجواب|الإجابة|उत्तर|答案|答え|正解|解答|回答|答(?=:)|정답|답(?=:)/gi;

const LETTER_BEFORE = /[A-Za-zÀ-ɏͰ-ӿ]$/;
/** English copulas need one of these: "each answer is worth 5" states nothing. */
const DEFINITE = /^\s*$|\n\s*$|(?:the|my|our|final|correct|right|best|numerical|numeric|overall|so)[\s*_"]{1,3}$/i;
const ENGLISH = /^(?:answers?|results?|solution)$/i;

const QUALIFIER =
  "(?:\\s(?:is|was|choice|option|letter|key|number|finale?s?|final|correcta?|corretta|correta|certa|giusta|juste|exacte|définitive|definitiva|est|es|è|é|ist|lautet))";
const COLON = new RegExp(`${QUALIFIER}{0,3}(?:\\s?\\([^()\\n]{1,40}\\))?["\\s*_]{0,4}(?::(?!\\d)|(?<!\\d):|=|[—–]|\\s-\\s)`, "iuy");
const COPULA =
  /(?:\s[^.,;:!?\n]{1,60}?)??\s(?:is|was|are|equals|would be|should be|must be|will be|has to be|ist|lautet|beträgt|wäre|est|vaut|serait|es|sería|è|é|sarebbe|seria|bedraagt|luidt|равен|равно|равна|это)(?!\p{L})(?!\s(?:not|nicht|pas|no|não|non|niet|не)(?!\p{L}))(?:\s(?:then|thus|therefore|simply|indeed|also|now|that|in fact))?[\s*_]{0,4}:?/iuy;
const COPULA_EAST = /[^。,.\n]{0,12}?(?:是|为|為|は|が|은|는)(?!不)\s?:?/uy;
/** Verb first: "Somit ist die Antwort 42", "Dus is het antwoord 42". */
const INVERTED =
  /(?:ist|lautet|beträgt|wäre|is|bedraagt|luidt)\s(?:(?:also|somit|daher|damit|demnach|dus)\s)?(?:die|das|mein|meine|het|mijn)\s(?:\p{L}{4,12}e\s)?$/iu;
const AFTER_INVERTED = /\s(?:(?:also|somit|daher|damit|dus)\s)?:?(?=[\d$€£*„"(\\√−-]|\p{Lu})/uy;
/** Russian has no copula: "Ответ 42." */
const NO_COPULA = /\s(?=[\d«"$*\\(√−-])/uy;
const HEADING = /[*_: \t]{0,6}\r?\n/y;
const HEADING_BEFORE = /(?:^|\n)[#>*_\s\d.]{0,12}(?:the\s|my\s)?(?:final\s|correct\s)?$/i;

/** What stands between a marker and its answer: markup, quotes, an opened fence. */
const SKIP = /(?:```[\w+-]*\n|[\s*_`>"“”„«»])*/iy;
const VACUOUS =
  /^(?:correct|right|wrong|incorrect|as follows|below|above|clear|simple|obvious|this|shown|given|found|based|richtig|falsch|korrekt|juste|exacte?|correcte|correcta|correta|corretta|esatta|juist|goed|верн[аоы]?|правил\p{L}+|正确|正しい)(?![\p{L}\d])/iu;

function skipTo(pattern: RegExp, text: string, at: number): number | undefined {
  pattern.lastIndex = at;
  return pattern.test(text) ? pattern.lastIndex : undefined;
}

interface Marker {
  /** Where the answer starts. */
  readonly end: number;
  /** Whether it is set over its answer ("Answer:"), not within a sentence ("the answer is"). */
  readonly heads: boolean;
}

/** The marker whose noun stands at `start`..`end`; undefined when it states nothing. */
function markerAt(text: string, start: number, end: number): Marker | undefined {
  const before = text.slice(Math.max(0, start - 40), start);
  if (text[start - 1] === "<") return text[end] === ">" ? { end: end + 1, heads: true } : undefined;
  if (LETTER_BEFORE.test(before)) return undefined;
  const noun = text.slice(start, end);
  const named = /^(?:solution|lösung)$/i.test(noun);
  const colon = named ? undefined : skipTo(COLON, text, end);
  if (colon !== undefined) return { end: colon, heads: true };
  if (!named && HEADING_BEFORE.test(before)) {
    const line = skipTo(HEADING, text, end);
    if (line !== undefined) return { end: line, heads: true };
  }
  if (ENGLISH.test(noun) && !DEFINITE.test(before)) return undefined;
  const copula =
    (INVERTED.test(before) ? skipTo(AFTER_INVERTED, text, end) : undefined) ??
    skipTo(COPULA, text, end) ??
    (noun.charCodeAt(0) > 0x2fff ? skipTo(COPULA_EAST, text, end) : undefined) ??
    (/^(?:ответ|відповідь)$/i.test(noun) ? skipTo(NO_COPULA, text, end) : undefined);
  return copula === undefined ? undefined : { end: copula, heads: false };
}

/** A line with more words than this is a sentence. */
const WORDS = 4;

function statementAt(text: string, marker: Marker): Statement {
  const start = skipTo(SKIP, text, marker.end) ?? marker.end;
  const tag = text.indexOf("</", start);
  const all = text.slice(start, tag < 0 ? undefined : tag);
  const newline = all.indexOf("\n");
  const line = all.slice(0, Math.min(newline < 0 ? all.length : newline, LINE)).replace(/[\s*_`]{1,12}$/, "");
  const goesOn = newline >= 0 && /\S/.test(all.slice(newline));
  const sentence = line.split(" ", WORDS + 1).length > WORDS;
  const below = text.slice(marker.end, start).includes("\n");
  const opens = marker.heads && sentence && (goesOn || /[.!?]\s.*=/.test(line));
  return { text: line, block: opens || below ? all : undefined, opens, vacuous: VACUOUS.test(line) };
}

/** A last line such as "#### 42". */
const SCORE = /(?:^|\n)#{3,4}\s{1,3}([-−$€£]?\d[^\n]{0,40})\s*$/;

/** The statements of a plain text, the last first; those that name nothing behind all others. */
export function findStatements(plain: string): Statement[] {
  const text = plain.length > TAIL ? plain.slice(-TAIL) : plain;
  const found: Statement[] = [];
  const vacuous: Statement[] = [];
  const score = SCORE.exec(text.slice(-80));
  if (score?.[1] !== undefined) found.push({ text: score[1], block: undefined, opens: false, vacuous: false });
  // eslint-disable-next-line no-control-regex -- the class is "not ASCII"
  const nouns = [...text.matchAll(/[^\x00-\x7f]/.test(text) ? NOUN_WORLD : NOUN)];
  for (const noun of nouns.slice(-NOUNS).reverse()) {
    if (found.length === STATEMENTS) break;
    const marker = markerAt(text, noun.index, noun.index + noun[0].length);
    if (marker === undefined) continue;
    const statement = statementAt(text, marker);
    if (!/[\p{L}\p{N}\p{S}%/*&?!-]/u.test(statement.text)) continue;
    (statement.vacuous ? vacuous : found).push(statement);
  }
  return [...found, ...vacuous];
}

/** The box of a text as a statement. */
export function boxStatement(text: string): Statement | undefined {
  const box = lastBox(text);
  return box === undefined ? undefined : { text: toPlain(box).trim(), block: undefined, opens: false, vacuous: false };
}
