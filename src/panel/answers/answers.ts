/**
 * The comparable answer of a text: what a vote counts. The whole text is never the key where the answer can be told from the words round
 * it. Reading order: thoughts dropped, the last box, then statements ("the answer is ..."), last first, then the text itself. The way
 * follows the evaluation code of MoCo (arXiv 2601.21257), without its random choice where nothing parses.
 *
 * What it can not do:
 * - Algebra. 2(x+1) is not 2x+2, √8 not 2√2, sin²x + cos²x not 1; only roots, powers, fractions and π are written in one way.
 * - Units. "5 km" and "5 m" are both 5, because "5" has to equal either, and 5 km is not 5000 m.
 * - Rounding. 0.333 is not 1/3, and 3.14 not 3.1416. 50% is not 0.5; a bare 50 is 50% only where the prompt asks for a percentage.
 * - One mark that may group or be decimal: 1,234 is 1234 and 1.234 is a decimal, whatever the language. 5/1/2024 equals only itself.
 * - Number words in other languages than English, calendars other than the Gregorian, time zones, lengths of time in two units.
 * - Synonyms, translations, spelling errors, initials (JFK) and paraphrase: that is `semantic`, which compares in a further step
 *   (semantic.ts).
 * - Code by what it does: a block of code equals only the same code, save trailing and empty lines.
 * - Several answers in one text: it has none, unless they are a set or list that states itself as one.
 */
import { findChoice } from "./choice.ts";
import { dateKey } from "./dates.ts";
import { algebra, formKey } from "./forms.ts";
import { findJson } from "./json.ts";
import { concludingNumber, plainNumber, soleNumber, statedNumber } from "./number.ts";
import { findOptions, toOptions } from "./options.ts";
import { toPlain, withoutThoughts } from "./plain.ts";
import { boxStatement, findStatements, type Statement, TAIL } from "./statement.ts";
import { statedText, toShown, wordsKey } from "./text.ts";

export type AnswerKind = "exact" | "choice" | "number" | "json" | "regex" | "semantic" | "auto";

/** How answers of one panel are compared. */
export interface AnswerRule {
  readonly kind: AnswerKind;
  /**
   * Of kind `regex`: its last match in the last 20,000 characters, the first group or else the whole of it. Lines have their own ^ and $.
   */
  readonly pattern?: string;
  /** The options of a choice: "A) Paris", or without a label "yes". Without options the labels A to J are known. */
  readonly options?: readonly string[];
  /** Set by `resolveAuto`: the prompt asks for a quantity, so that `auto` reads numbers as loosely as `number` does. */
  readonly quantity?: boolean;
  /** Set by `resolveAuto`: the prompt asks for a percentage, so that 50 is 50%. */
  readonly percent?: boolean;
}

export interface Answer {
  /** Two answers of one panel are the same if and only if their keys are equal. Its first letter is its space: c: n: j: r: t: */
  readonly key: string;
  readonly kind: Exclude<AnswerKind, "auto" | "semantic">;
  /** As written, on one line and bounded, for the trace. */
  readonly shown: string;
}

/** Asks for an amount that one number can tell. Lengths of time and of bodies may take two (5 feet 3), so "how long" is not among them. */
const QUANTITY =
  /\bhow (?:many|much)\b|\bfind the (?:\w+ ){0,3}(?:sum|product|number|integer|probability|remainder|value|area|volume|perimeter)\b|\b(?:calculate|compute|evaluate)\b|\bwhat(?:'s| is) (?:the (?:\w+ ){0,3}(?:sum|product|total|number|integer|percentage|probability|average|mean|remainder|difference|value|area|volume|perimeter)\b|[-−\d(])|\bwie ?viele?\b|\bberechne|\bcombien\b|\bcalcule|\bcu[aá]nt[oa]s?\b|\bquant[oiae]s?\b|\bhoeveel\b|\bbereken|сколько|вычисли|посчитай|多少|几个|计算|計算|いくつ|いくら|何[個人円本枚]/iu;

const PERCENTAGE =
  /\b(?:what|which)(?:'s| is| was)? (?:the )?percent|\b(?:as a|in) percent|\bwie ?viel prozent|\bquel pourcentage|\bqué porcentaje|\bche percentuale|\bque porcentagem|\bhoeveel procent|сколько процентов|какой процент|百分之几|何パーセント/iu;

/**
 * Settles `auto` for a whole panel, from the prompt (the text of the last user message) alone, so that answers can be keyed one by one as
 * they arrive:
 * - the prompt lists options: `choice` among them;
 * - else it stays `auto`, and `extractAnswer` gives each answer the first key it has, of spaces that can not meet: `j:` for a JSON object
 *   or array, `n:` for a number, `t:` for words. Answers that say the same in one form are equal; one that has no common form with the
 *   others is alone. `semantic` is settled like it, for the answers that are equal without any comparison of meanings. A rule of kind
 *   `choice` without options gets those of the prompt. Other rules are returned as they are.
 */
export function resolveAuto(rule: AnswerRule, prompt: string): AnswerRule {
  if (rule.options !== undefined || !["auto", "choice", "semantic"].includes(rule.kind)) return rule;
  const options = findOptions(prompt);
  if (options !== undefined) return { ...rule, kind: "choice", options };
  if (rule.kind === "choice") return rule;
  const asked = `${prompt.slice(0, 500)}\n${prompt.slice(-1000)}`;
  if (PERCENTAGE.test(asked)) return { ...rule, quantity: true, percent: true };
  return QUANTITY.test(asked) ? { ...rule, quantity: true } : rule;
}

/** A text made ready once for all readers. */
interface Reading {
  readonly plain: string;
  /** The box, if there is one, then the statements, the last first. */
  readonly statements: readonly Statement[];
}

function toReading(text: string): Reading {
  const plain = toPlain(text);
  const box = boxStatement(text);
  const statements = findStatements(plain);
  return { plain, statements: box === undefined ? statements : [box, ...statements] };
}

function number(found: { key: string; shown: string } | undefined, { percent }: AnswerRule): Answer | undefined {
  if (found === undefined) return undefined;
  const sign = percent === true && !/[%‰]/.test(found.key) ? "%" : "";
  return { key: `n:${found.key}${sign}`, kind: "number", shown: toShown(found.shown) };
}

/** The canonical form of a date, set, interval or list. None of the numbers in it is its answer. */
function compound(text: string): string | undefined {
  return dateKey(text) ?? formKey(text);
}

/** A statement decides, also against the text round it: a text whose statements name no number has none. */
function numberOf({ plain, statements }: Reading, rule: AnswerRule): Answer | undefined {
  for (const { text, block } of statements) {
    if (block === undefined && compound(statedText(text)) !== undefined) return undefined;
    const found = block === undefined ? statedNumber(text) : (soleNumber(text) ?? concludingNumber(block));
    if (found !== undefined) return number(found, rule);
  }
  if (!statements.every(({ vacuous }) => vacuous) || compound(plain) !== undefined) return undefined;
  return number(concludingNumber(plain.slice(-TAIL)), rule);
}

function words(text: string): Answer | undefined {
  const key = compound(text) ?? wordsKey(text.length > BRIEF ? text : algebra(text));
  return key === "" ? undefined : { key: `t:${key}`, kind: "exact", shown: toShown(text) };
}

const FENCED = /```[\w+-]{0,20}[ \t]*\n([^]*?)\n?```/g;
/** What says that a block is code: a mark that words have not, or a second line. */
const CODE = /[(){}[\];=<>!&|\n]/;

/** The code of a text that is one block of it, for the most part; JSON and plain words in a fence are read as such. */
function codeOf(text: string): Answer | undefined {
  if (!text.includes("```")) return undefined;
  const blocks = [...text.matchAll(FENCED)];
  const code = blocks[0]?.[1]?.trim() ?? "";
  if (blocks.length !== 1 || (blocks[0]?.[0].length ?? 0) * 2 < text.trim().length || !CODE.test(code) || compound(code) !== undefined)
    return undefined;
  const lines = code.split("\n").map((line) => line.trimEnd());
  return { key: `t:${lines.filter((line) => line !== "").join("\n")}`, kind: "exact", shown: toShown(code) };
}

/** In a short text the only words in bold are its answer. */
const BRIEF = 300;
const BOLD = /(?:\*\*|__)([^*_\n]{1,60}[^*_\n:])(?:\*\*|__)/g;
/** x = 5 states 5. */
const EQUATION = /^[\s$]*[A-Za-z]\s?=\s?([^=]+)$/;

function emphasised(text: string): string | undefined {
  if (text.length > BRIEF) return undefined;
  const bold = [...text.matchAll(BOLD)];
  return bold.length === 1 ? bold[0]?.[1] : undefined;
}

/** A fence round words says nothing. */
const OPENING = /^\s*```[\w+-]{0,20}[ \t]*\n/;

function exactOf({ plain, statements }: Reading): Answer | undefined {
  for (const { text, opens } of statements) {
    if (opens) continue;
    const stated = statedText(text);
    const found = words(EQUATION.exec(stated)?.[1] ?? stated);
    if (found !== undefined) return found;
  }
  return words(emphasised(plain) ?? EQUATION.exec(plain.slice(0, BRIEF + 1))?.[1] ?? plain.replace(OPENING, "").replace(/```\s*$/, ""));
}

function json(text: string): Answer | undefined {
  const found = findJson(text);
  return found === undefined ? undefined : { key: `j:${found.key}`, kind: "json", shown: toShown(found.shown) };
}

function autoOf(text: string, rule: AnswerRule): Answer | undefined {
  const found = findJson(text);
  // [1, 2] is an interval or a list as well, and equals the one in a box.
  if (found?.structured === true) {
    return formKey(found.shown) === undefined ? { key: `j:${found.key}`, kind: "json", shown: toShown(found.shown) } : words(found.shown);
  }
  const code = codeOf(text);
  if (code !== undefined) return code;
  const reading = toReading(text);
  if (rule.quantity === true) return numberOf(reading, rule) ?? exactOf(reading);
  const statement = reading.statements.find(({ vacuous }) => !vacuous);
  if (compound(statement === undefined ? reading.plain : statedText(statement.text)) !== undefined) return exactOf(reading);
  const line = statement === undefined ? undefined : soleNumber(statement.text);
  const sole =
    line ?? (statement === undefined || statement.opens ? plainNumber((statement?.block ?? reading.plain).slice(-TAIL)) : undefined);
  return number(sole, rule) ?? exactOf(reading);
}

/** How much of a text is compared in meaning. */
const MEANT = 8_000;

/** What of a text is compared in meaning: what it states as its answer, else all that it says. */
export function meantBy(text: string): string {
  const visible = withoutThoughts(text).trim();
  const { statements } = toReading(visible);
  const stated = statements.find(({ opens, vacuous }) => !opens && !vacuous);
  return stated === undefined ? visible.slice(0, MEANT).toWellFormed() : stated.text;
}

function choiceOf(text: string, rule: AnswerRule): Answer | undefined {
  const { plain, statements } = toReading(text);
  const found = findChoice(plain, statements, toOptions(rule.options ?? []));
  return found === undefined ? undefined : { key: `c:${found.key}`, kind: "choice", shown: found.shown };
}

/** A pattern that is no regular expression finds nothing: the config's check names it at boot. */
function compiled(pattern: string): RegExp | undefined {
  try {
    return new RegExp(pattern, "gm");
  } catch {
    return undefined;
  }
}

function regexOf(text: string, { pattern }: AnswerRule): Answer | undefined {
  const regex = pattern === undefined ? undefined : compiled(pattern);
  if (regex === undefined) return undefined;
  let last: string | undefined;
  for (const match of text.slice(-TAIL).matchAll(regex)) {
    const found = (match[1] ?? match[0]).trim();
    if (found !== "") last = found;
  }
  if (last === undefined) return undefined;
  return { key: `r:${last.normalize("NFKC").toLowerCase().replace(/\s+/g, " ")}`, kind: "regex", shown: toShown(last) };
}

const READERS: Readonly<Record<AnswerKind, (text: string, rule: AnswerRule) => Answer | undefined>> = {
  exact: (text) => codeOf(text) ?? exactOf(toReading(text)),
  choice: choiceOf,
  number: (text, rule) => numberOf(toReading(text), rule),
  json,
  regex: regexOf,
  semantic: autoOf,
  auto: autoOf,
};

/** Readings under a rule, for as long as the rule lives: a panel reads a candidate when it comes and when it votes, and many say the same. */
const readings = new WeakMap<AnswerRule, Map<string, Answer | undefined>>();
/** Texts kept for one rule; a panel has no more. */
const READINGS = 64;

/**
 * The answer of a text under a rule; undefined when there is none to be told, or several: such a candidate is not usable for a vote.
 * Never throws, and takes time linear in the text (a `regex` rule: as its pattern does, on 20,000 characters).
 */
export function extractAnswer(text: string, rule: AnswerRule): Answer | undefined {
  let known = readings.get(rule);
  if (!known) readings.set(rule, (known = new Map()));
  const before = known.get(text);
  if (before !== undefined || known.has(text)) return before;
  const answer = READERS[rule.kind](withoutThoughts(text), rule);
  if (known.size >= READINGS) known.clear();
  known.set(text, answer);
  return answer;
}
