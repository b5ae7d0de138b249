/** Reads one number as people and models write it, wherever it stands in a plain text (see `toPlain`). */
import { type Decimal, powerOf, shifted, toDecimal, writeDecimal, writeFraction } from "./decimal.ts";
import { findNumberWords } from "./number-words.ts";

export interface NumberSpan {
  /** Canonical: 42, 0.75, 1/3, 50%. Undefined for digits that are no number: a date, a time, a version, a hexadecimal. */
  readonly key: string | undefined;
  /** Where it stands, with its sign and what comes before it as currency. */
  readonly start: number;
  readonly end: number;
}

/** Currency signs, and the codes that may stand before an amount. */
const CURRENCY = "$€£¥₽₹₩₪₫₴₺₦฿";

/** Groups by spaces or apostrophes only in threes; groups by points and commas are judged by `decimalOf`. */
const DIGITS = /(?<![A-Za-zÀ-ɏͰ-ӿ\d_]|\d[.,])(?:0x[\da-f]+|\d{1,3}(?:[ '’]\d{3})+(?!\d)(?:[.,]\d+)?|\d+(?:[.,]\d+)*|\.\d+)/gi;

/** What may stand right before the digits: -5, -$5, $-5, $ 5. */
const BEFORE = new RegExp(`([-−–‐])?([${CURRENCY}]\\s?)?([-−–‐])?$`);
/** After these a minus is a hyphen, a range or a subtraction. */
const OPERAND = /[\p{L}\p{N})\]%]$|\p{N}\s+$/u;
/** x = - 5. Elsewhere a minus before a space is the bullet of a list. */
const DISTANT_MINUS = /(?<=[=≈(]\s?)[-−–]\s$/;
const MINUS_WORD = /(?:(?<!\p{L})(?:minus|negative|минус|moins|menos|meno)\s|[负負]|マイナス)$/iu;

const EXPONENT = /[eE]([+\-−]?\d{1,6})(?![\d\p{L}])/uy;
const TIMES_TEN = /\s?(?:×|x|\*|·|⋅)\s?10\s?(?:\^|\*\*)\s?[({]?\s?([+\-−]?\d{1,6})[)}]?/y;
const POWER = /\s?(?:\^|\*\*)\s?[({]?\s?([+\-−]?\d{1,6})[)}]?(?![\d.,]*[A-Za-z(])/y;
const OVER = /\s?[/∕]\s?([-−]?)(\d+(?:[.,]\d+)?)(?![\d/])/y;
const MIXED = /\s(?:and\s)?(\d{1,6})[/∕](\d{1,6})(?![\d/.])/y;
/** The rest of a date, a time or a ratio: none of its parts is a number of its own. */
const NO_NUMBER = /(?:[-‐]\d{1,2}[-‐]\d{1,4}|(?:(?::|\s:\s)\d+)+|(?:\s?[/∕]\s?\d+){2,})(?:T[\d:.]+Z?)?/y;
const PERCENT =
  /[\s-]?(?:[%‰]|(?:per\s?cents?|pct|prozent|pour\scent|por\sc[ie]+nto|per\scento|procent|процент\p{L}*)(?!\p{L})|パーセント)/iuy;
const SCALE =
  /\s?(?:(hundred|thousands?|tausend|mille|mil|duizend|тыс\p{L}*|millions?|millionen|mio|millones|millón|milion[ei]|milh(?:ões|ão)|miljoen|млн|миллион\p{L}*|bn|billions?|milliarden?|mrd|milliards?|miliard[oi]|miljard|млрд|миллиард\p{L}*|trillions?|billionen)(?!\p{L})\.?|([千万萬亿億兆]))/iuy;
const THOUSANDS = /k(?![\p{L}\d])/uy;
/** Only behind money: 5 M may be metres or molars, $5M is five million. */
const MONEY_SCALE = /\s?[KMBT](?![\p{L}\d])/uy;

const SCALES: readonly (readonly [RegExp, number])[] = [
  [/^(?:hundred)/, 2],
  [/^(?:k$|thousand|tausend|mil$|mille$|duizend|тыс|千)/, 3],
  [/^[万萬]/, 4],
  [/^[亿億]/, 8],
  [/^(?:billionen|trillion|t$|兆)/, 12],
  [/^(?:bn$|b$|billion|mrd|milliard|miliard|miljard|млрд|миллиард)/, 9],
  [/^(?:m$|mio|million|millon|millón|milion|milh|miljoen|млн|миллион)/, 6],
];

function toNumber(digits: string): number {
  return Number(digits.replace("−", "-"));
}

/** Threes behind one to three digits, or the Indian 12,34,567. */
const GROUPS = /^(?:[1-9]\d{0,2}(?:[.,]\d{3})+|[1-9]\d?(?:,\d{2})+,\d{3})$/;

/**
 * The decimal of digits with separators; undefined for a version, a date or a list.
 * Both marks: the last is the decimal one. One mark alone that could be either: a comma groups (1,234 is 1234), a point does not (1.234).
 */
function decimalOf(token: string): Decimal | undefined {
  const text = token.replace(/[ '’]/g, "");
  const comma = text.lastIndexOf(",");
  const point = text.lastIndexOf(".");
  const mark = Math.max(comma, point);
  if (mark < 0) return toDecimal(false, text, "");
  const whole = text.slice(0, mark);
  const part = text.slice(mark + 1);
  const [commas, points] = [text.split(",").length - 1, text.split(".").length - 1];
  if (commas > 0 && points > 0) {
    const grouped = comma > point ? !whole.includes(",") : !whole.includes(".");
    return grouped && GROUPS.test(whole) ? toDecimal(false, whole.replace(/[.,]/g, ""), part) : undefined;
  }
  if (commas + points > 1) return GROUPS.test(text) ? toDecimal(false, text.replace(/[.,]/g, ""), "") : undefined;
  if (commas === 1 && text === token && GROUPS.test(text)) return toDecimal(false, whole + part, "");
  return toDecimal(false, whole, part);
}

/** Where the number starts when its sign and currency count, and what they say. */
function beforeDigits(text: string, digits: number): { start: number; negative: boolean; money: boolean } {
  const from = Math.max(0, digits - 12);
  const head = text.slice(from, digits);
  const found = BEFORE.exec(head);
  const index = found?.index ?? head.length;
  const prior = head.slice(0, index);
  const money = found?.[2] !== undefined;
  const signed = found?.[1] !== undefined || found?.[3] !== undefined;
  if (signed) return OPERAND.test(prior) ? { start: digits, negative: false, money } : { start: from + index, negative: true, money };
  const word = MINUS_WORD.exec(prior) ?? DISTANT_MINUS.exec(prior);
  return { start: from + (word?.index ?? index), negative: word !== null, money };
}

/** Matches a sticky pattern at `at`. */
function matchAt(pattern: RegExp, text: string, at: number): RegExpExecArray | null {
  pattern.lastIndex = at;
  return pattern.exec(text);
}

/** A power of ten that follows the digits: e3, × 10^3, thousand, k, and M or B after money. */
function magnitudeAt(text: string, at: number, money: boolean): { power: number; end: number } {
  const written = matchAt(EXPONENT, text, at) ?? matchAt(TIMES_TEN, text, at);
  if (written !== null) return { power: toNumber(written[1] ?? ""), end: at + written[0].length };
  const word = matchAt(SCALE, text, at) ?? matchAt(THOUSANDS, text, at) ?? (money ? matchAt(MONEY_SCALE, text, at) : null);
  const name = word?.[0].trim().toLowerCase().replace(/\.$/, "") ?? "";
  const scale = word === null ? undefined : SCALES.find(([pattern]) => pattern.test(name));
  return scale === undefined || word === null ? { power: 0, end: at } : { power: scale[1], end: at + word[0].length };
}

interface Reading {
  readonly written: string | undefined;
  readonly end: number;
}

function signed(value: Decimal, negative: boolean): Decimal {
  return negative && value.digits !== "" ? { ...value, negative: !value.negative } : value;
}

const NOTHING = toDecimal(false, "", "");

/** (3,4) and [0,5) are pairs, where 3,4 alone is 3.4. */
function isPair(text: string, at: number, token: string): boolean {
  return (
    /^\d+,\d+$/.test(token) &&
    !GROUPS.test(token) &&
    /[([]\s?[-−]?$/.test(text.slice(Math.max(0, at - 3), at)) &&
    /^\s?[)\]]/.test(text.slice(at + token.length, at + token.length + 2))
  );
}

/** The number whose digits stand at `at`, without percent. */
function readingAt(text: string, at: number, token: string, before: { negative: boolean; money: boolean }): Reading {
  const end = at + token.length;
  const digits = /^0x/i.test(token) ? undefined : decimalOf(token);
  const rest = matchAt(NO_NUMBER, text, end);
  if (digits === undefined || rest !== null || isPair(text, at, token)) return { written: undefined, end: end + (rest?.[0].length ?? 0) };
  const value = signed(digits, before.negative);
  const over = matchAt(OVER, text, end);
  const bottom = decimalOf(over?.[2] ?? "");
  if (over !== null && bottom !== undefined) {
    return { written: writeFraction(value, signed(bottom, over[1] !== ""), NOTHING), end: end + over[0].length };
  }
  const mixed = /^\d+$/.test(token) ? matchAt(MIXED, text, end) : null;
  if (mixed !== null) {
    const top = signed(toDecimal(false, mixed[1] ?? "", ""), before.negative);
    return { written: writeFraction(top, toDecimal(false, mixed[2] ?? "", ""), value), end: end + mixed[0].length };
  }
  const magnitude = magnitudeAt(text, end, before.money);
  if (magnitude.end > end) return { written: writeDecimal(shifted(value, magnitude.power)), end: magnitude.end };
  const power = matchAt(POWER, text, end);
  if (power !== null) {
    const raised = powerAt(value, toNumber(power[1] ?? ""), before.negative);
    return { written: raised === undefined ? undefined : writeDecimal(raised), end: end + power[0].length };
  }
  return { written: writeDecimal(value), end };
}

/** 2^10, 10^-3; -2^2 is -(2^2). */
function powerAt(value: Decimal, power: number, negative: boolean): Decimal | undefined {
  const base = signed(value, negative);
  const isTen = base.digits === "1" && base.exponent === 1;
  const raised = isTen ? shifted(toDecimal(false, "1", ""), power) : powerOf(base, power);
  return raised === undefined ? undefined : signed(raised, negative);
}

/** The first number written with digits from `from` on. */
export function nextNumber(text: string, from: number): NumberSpan | undefined {
  const found = matchAt(DIGITS, text, from);
  if (found === null) return undefined;
  const before = beforeDigits(text, found.index);
  const reading = readingAt(text, found.index, found[0], before);
  const percent = matchAt(PERCENT, text, reading.end);
  const sign = percent === null ? "" : percent[0].includes("‰") ? "‰" : "%";
  const key = reading.written === undefined ? undefined : reading.written + sign;
  return { key, start: Math.max(from, before.start), end: reading.end + (percent?.[0].length ?? 0) };
}

/** The numbers written in English words. */
export function wordNumbers(text: string): NumberSpan[] {
  return findNumberWords(text).map(({ whole, top, bottom, start, end }) => {
    const minus = MINUS_WORD.exec(text.slice(Math.max(0, start - 12), start));
    const integer = (value: number) => signed(toDecimal(false, String(value), ""), minus !== null);
    const percent = matchAt(PERCENT, text, end);
    const written = writeFraction(integer(top), toDecimal(false, String(bottom), ""), integer(whole));
    return {
      key: written === undefined || percent === null ? written : `${written}%`,
      start: start - (minus?.[0].length ?? 0),
      end: end + (percent?.[0].length ?? 0),
    };
  });
}
