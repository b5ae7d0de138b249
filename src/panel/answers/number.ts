/** Which of the numbers in a text is its answer. */
import { nextNumber, type NumberSpan, wordNumbers } from "./digits.ts";
import { firstSentence } from "./text.ts";

/** The answer of a text as a number. */
interface NumberFound {
  readonly key: string;
  readonly shown: string;
}

/** Longest line that is searched: of a longer one its end. */
const LINE = 500;
/** Words before a number at the start of a text are not longer. */
const LEAD_LENGTH = 60;

/** What may stand before a number that is the whole answer. */
const LEAD =
  /^[\s*_`"'“”‘’([>]*(?:(?:about|approximately|approx\.?|around|roughly|nearly|almost|exactly|just|only|some|circa|ca\.|etwa|ungefähr|rund|environ|aproximadamente|cerca de|ongeveer|около|примерно|大约|大約|約|约|共|it is|it's|USD|EUR|GBP|JPY|CHF|CNY|RMB|INR|Rs\.?|US|x|equals|equal to)\s?|[~≈=]\s?|[A-Za-z]\s?[=≈]\s?)*\+?$/iu;

/** Right behind or before a number these make it a part of an expression. */
const EXPRESSION_AFTER =
  /^(?:\s?[+×÷^√π∞±]|\s?\*?\s?(?:sqrt|pi)(?!\p{L})|\s?\*\s?[\p{L}\d(]|\s?x\s?\d|\s?[-−–]\s?[\d(√]|\s?\/\s?[\d(]|[([]|[a-ceinxyz](?![\p{L}\d])|\s(?:times|plus|minus)\s(?:\d|one|two|three|four|five|six|seven|eight|nine|ten))/u;
const EXPRESSION_BEFORE = /(?:[*×÷√^/±]|[\p{L}\p{N})%]\s*[+−–-])\s?\(?$/u;

const AND = "(?:,|;|&|、|and|or|to|und|oder|bis|et|ou|y|o|e|en|of|и|или|和|与|與|或|と)";
const OTHER = "\\s?(?:[a-z]\\s?=\\s?)?[$€£−-]?\\d";
const LIST_AFTER = new RegExp(`^\\s?${AND}${OTHER}`, "iu");
const LIST_AFTER_UNIT = new RegExp(`^(?:\\s?\\p{L}{1,12}){0,2}\\s?${AND}${OTHER}`, "iu");
/** 3 hours 20 minutes, 5'3": two numbers that are one amount; comparing either alone would merge different answers. */
const COMPOUND_AFTER =
  /^\s?(?:h|hrs?|hours?|mins?|minutes?|ft|feet|foot|lbs?|pounds?|days?|weeks?|months?|years?|dollars?|euros?|degrees?|[°'′]|stunden?|tage?|jahre?|heures?|jours?|horas?|días?|anni|ore|uur|час\p{L}*|小时|時間|[年月日时時分元])\.?\s?(?:,|and|und|et|y|e|en|и)?\s?\d/iu;
/** Times of day and eras: 5 am is not 5 pm. */
const DAY_OR_ERA = /^\s?(?:[ap]\.?\s?m\.?|o'clock|bce?|ad|ce)(?![\p{L}\d])/iu;

/** Units: up to four words in lower case or known symbols. Another capital says title or name (12 Angry Men), which no number stands for. */
const UNIT_WORD =
  "(?:[\\p{Ll}µμ]['’\\p{Ll}\\p{M}]*|[kMGTmcµ]?(?:Hz|Wh|W|V|A|J|N|Pa|Ω|eV)|[kMGT]i?B|dB|°?[CFK]|L|(?:US|Canadian|Australian) [Dd]ollars|USD|EUR|GBP|CHF|JPY|CNY|INR|RUB|Euros?|Dollars?|Franken|Pfund|Meter|Kilometer|Liter|Gramm|Kilogramm|Grad|Stunden?|Minuten?|Sekunden?|Tage?|Jahre?|Stück)(?:\\^-?\\d)?";
const UNIT = `${UNIT_WORD}(?:\\s?[/·]\\s?${UNIT_WORD})?(?!\\p{L})`;
const COUNTER = "[\\p{sc=Han}\\p{sc=Hiragana}\\p{sc=Katakana}\\p{sc=Hangul}ー]{1,8}";
const UNITS = new RegExp(`^(?:[\\s-]?(?:[°'"′″$€£¥₽₹₩]|${UNIT}|${COUNTER})){0,4}`, "u");
/** Before the 2 of m^2. */
const UNIT_POWER = /\p{L}\^[-−]?$/u;
const END = /^[\s.*_`"'“”‘’)\]!,;。:]*$/;
/** Where an explanation starts behind the answer. */
const CUT =
  /[,;:]\s|[(—–]|[.。，；]\s?(?!\d)|\s(?:because|since|as|so|which|when|if|due|weil|denn|da|car|parce|puisque|porque|ya|perché|poiché|pois|omdat|want|потому|так)\s|因为|因為|なぜなら/iu;

function first(text: string): NumberSpan | undefined {
  return nextNumber(text, 0) ?? wordNumbers(text.slice(0, 2 * LEAD_LENGTH))[0];
}

function inExpression(text: string, span: NumberSpan): boolean {
  return (
    EXPRESSION_AFTER.test(text.slice(span.end, span.end + 16)) ||
    EXPRESSION_BEFORE.test(text.slice(Math.max(0, span.start - 8), span.start))
  );
}

/** Whether another number follows as its equal: 3 and 5. "3/4 or 0.75" says one thing twice. */
function startsList(text: string, span: NumberSpan, pattern: RegExp): boolean {
  if (!pattern.test(text.slice(span.end, span.end + 32))) return false;
  return nextNumber(text, span.end)?.key !== span.key;
}

/** Whether another number follows that says one thing with this one. */
function isShared(text: string, span: NumberSpan): boolean {
  return COMPOUND_AFTER.test(text.slice(span.end, span.end + 24)) || startsList(text, span, LIST_AFTER);
}

/** The number at the start of a text (after words such as "about"), when it stands for itself. */
function leading(text: string): NumberSpan | undefined {
  const span = first(text);
  if (span?.key === undefined || span.start > LEAD_LENGTH || !LEAD.test(text.slice(0, span.start))) return undefined;
  return inExpression(text, span) || isShared(text, span) ? undefined : span;
}

function found(text: string, span: NumberSpan | undefined): NumberFound | undefined {
  return span?.key === undefined ? undefined : { key: span.key, shown: text.slice(span.start, span.end).trim() };
}

function sole(text: string): NumberSpan | undefined {
  const span = leading(text);
  if (span === undefined) return undefined;
  const after = text.slice(span.end, span.end + 100);
  // 007 and 01234 are names.
  if (after.length === 100 || DAY_OR_ERA.test(after) || /^\D*0\d/.test(text.slice(span.start, span.end))) return undefined;
  return END.test(after.replace(/\s{2,}/g, " ").replace(UNITS, "")) ? span : undefined;
}

/** The sole number of a statement, where an explanation may follow: "42, because ...". For `auto`: what says more than a number is compared as text. */
export function soleNumber(text: string): NumberFound | undefined {
  const span = leading(text);
  if (span === undefined || startsList(text, span, LIST_AFTER_UNIT)) return undefined;
  const after = text.slice(span.end);
  const cut = CUT.exec(after)?.index ?? after.length;
  return found(text, sole(text.slice(0, span.end + cut)));
}

/** The last number of a line, leaving out what stands in brackets, unless all of it does; undefined when it is one of several, or part of an expression. */
function lastOf(line: string): NumberSpan | undefined {
  const outside = line.replace(/\([^()]{0,80}\)/g, (inner) => " ".repeat(inner.length));
  const text = /\d/.test(outside) ? outside : line;
  let last: NumberSpan | undefined;
  let shared = false;
  for (let span = nextNumber(text, 0); span !== undefined; span = nextNumber(text, span.end)) {
    if (span.key === undefined || UNIT_POWER.test(text.slice(Math.max(0, span.start - 3), span.start))) continue;
    shared = last !== undefined && isShared(text, last);
    last = span;
  }
  last ??= /\d/.test(text) ? undefined : wordNumbers(text).at(-1);
  return last === undefined || shared || inExpression(text, last) ? undefined : last;
}

/** x = 5 or x = 7: two answers. */
const SECOND_EQUATION = /\s(?:or|and|oder|und|ou|et|o|y|или|и)\s[A-Za-z]\s?$/iu;

/** The number behind the last equals sign of a line: of "x = 2√3" none, and no other number of the line stands in for it. */
function equalled(line: string): { readonly span: NumberSpan | undefined } | undefined {
  const at = Math.max(line.lastIndexOf("="), line.lastIndexOf("≈"));
  if (at < 0 || at + 1 === line.length) return undefined;
  const right = SECOND_EQUATION.test(line.slice(Math.max(0, at - 16), at)) ? undefined : leading(line.slice(at));
  return { span: right === undefined ? undefined : { key: right.key, start: right.start + at, end: right.end + at } };
}

function ofSentence(text: string): NumberSpan | undefined {
  const start = leading(text);
  if (start !== undefined && !/^\s?[=≈]/.test(text.slice(start.end, start.end + 2))) return start;
  const equation = equalled(text);
  return equation === undefined ? lastOf(text) : (equation.span ?? start);
}

/** The number that a statement ("the answer is ...") states, in its first sentence. */
export function statedNumber(line: string): NumberFound | undefined {
  const sentence = firstSentence(line);
  return found(sentence, ofSentence(sentence));
}

/** The last line that holds a digit; without digits the last line. */
function lastLine(text: string): string {
  let at = text.length - 1;
  while (at >= 0 && !(text.charCodeAt(at) >= 48 && text.charCodeAt(at) <= 57)) at -= 1;
  if (at < 0) at = text.trimEnd().length - 1;
  const start = text.lastIndexOf("\n", at) + 1;
  const end = text.indexOf("\n", Math.max(0, at));
  return text.slice(start, end < 0 ? undefined : end).slice(-LINE);
}

const BOLD = /(\*\*|__)([^*_\n]{1,40})\1/g;

/** The last number that stands alone in bold; the bold 1. that numbers a step does not count. */
function boldNumber(text: string): NumberFound | undefined {
  let last: NumberFound | undefined;
  for (const match of text.matchAll(BOLD)) {
    const before = text.slice(Math.max(0, match.index - 4), match.index);
    const after = text.slice(match.index + match[0].length, match.index + match[0].length + 2);
    const numbersStep = /(?:^|\n)[\s>-]*$/.test(before) && !/^\s*(?:\n|$)/.test(after);
    const inner = match[2] ?? "";
    if (!numbersStep) last = found(inner, sole(inner)) ?? last;
  }
  return last;
}

/** The number a text without a statement ends on: the last one alone in bold, else in the last line with a digit the one behind the last equals sign, else its last. */
export function concludingNumber(text: string): NumberFound | undefined {
  const bold = boldNumber(text);
  if (bold !== undefined) return bold;
  const line = lastLine(text);
  const equation = equalled(line);
  return found(line, equation === undefined ? lastOf(line) : equation.span);
}

/**
 * The number that a text without a statement clearly gives: it is nothing else, or one of its lines is, or its last line ends in an equation.
 * For `auto`: any looser reading would take a year or a house number for the answer.
 */
export function plainNumber(text: string): NumberFound | undefined {
  const lines = text.split("\n");
  const numbers: NumberFound[] = [];
  for (const line of lines) {
    const number = line.length <= 60 ? found(line, sole(line)) : undefined;
    if (number !== undefined) numbers.push(number);
  }
  if (numbers.length > 0) return numbers.length === 1 ? numbers[0] : undefined;
  const line = lastLine(text);
  return found(line, equalled(line)?.span) ?? (text.length <= LINE ? boldNumber(text) : undefined);
}
