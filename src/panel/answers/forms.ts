/**
 * Answers with a form of their own, which neither a number nor words can tell: sets, intervals, pairs and lists, with their members made
 * canonical.
 */
import { soleNumber } from "./number.ts";
import { toWords } from "./text.ts";

const LONGEST = 200;
const MEMBERS = 32;

const INFINITE = /^([+\-−–]?)\s?(?:∞|inf(?:inity)?|infty)$/i;

/** What stands before a set: x ∈, x =. */
const NAMED = /^[A-Za-z]\s?(?:∈|∊|=|in(?=\s[[({]))\s?/u;

/** Roots and powers as one would write them by hand: sqrt(3) is √3, 2*pi is 2π, x**2 is x^2. Only for a text that is a formula. */
export function algebra(text: string): string {
  if (!/sqrt|pi|\*|\binf/i.test(text)) return text;
  return text
    .replace(/\bsqrt\s?\(\s?(\w+)\s?\)|\bsqrt\s?(\d+)|(?<=\d)sqrt\s?\(\s?(\w+)\s?\)/g, (_, a?: string, b?: string, c?: string) => {
      return `√${a ?? b ?? c}`;
    })
    .replace(/(?<=[\w)])\s?\*\*\s?(?=[\d(a-z])/g, "^")
    .replace(/(?<!\p{L}\s?)pi(?![\p{L}\d])/giu, "π")
    .replace(/(?<=\d)\s?\*\s?(?=[√π])/gu, "");
}

/** The members of a set or list: semicolons part before commas, and the commas of 1,000 and 1,5 part nothing where others do. */
function parted(inner: string): readonly string[] {
  if (inner.includes(";")) return inner.split(";");
  const spaced = inner.split(/,\s+|\s(?:and|und|et|y|e|en|и)\s/u);
  const whole = spaced.every((part) => !part.includes(",") || /^\s*[-−]?\d{1,3}(?:,\d{3})+\s*$/.test(part));
  return spaced.length > 1 && whole ? spaced : inner.split(/,|\s(?:and|und|et|y|e|en|и)\s/u);
}

function memberKey(written: string): string {
  const text = written.trim().replace(NAMED, "");
  const infinite = INFINITE.exec(text);
  if (infinite !== null) return `${/[-−–]/.test(infinite[1] ?? "") ? "-" : ""}∞`;
  const formula = algebra(text);
  return soleNumber(formula)?.key ?? toWords(formula);
}

function membersOf(inner: string): readonly string[] | undefined {
  const keys = parted(inner).map(memberKey);
  return keys.length > MEMBERS || keys.some((key) => key === "") ? undefined : keys;
}

/** Numbers before words, so that a set has one order. */
function inOrder(a: string, b: string): number {
  const [x, y] = [Number(a), Number(b)];
  if (!Number.isNaN(x) && !Number.isNaN(y) && x !== y) return x - y;
  return a < b ? -1 : a > b ? 1 : 0;
}

const SET = /^\{([^{}()[\]:]*)\}$/;
const BRACKETS = /^([[\](])([^{}()[\]]*)([)\][])$/;

function bracketKey(text: string): string | undefined {
  const set = SET.exec(text);
  if (set !== null) {
    if ((set[1] ?? "").trim() === "") return "∅";
    const keys = membersOf(set[1] ?? "");
    return keys === undefined ? undefined : [...new Set(keys)].toSorted(inOrder).join(",");
  }
  const [, left = "", inner = "", right = ""] = BRACKETS.exec(text) ?? [];
  const keys = /[,;]/.test(inner) ? membersOf(inner) : undefined;
  if (keys === undefined || keys.length < 2) return undefined;
  // ]0,1[ is (0,1) in French and German schools; only an interval has such brackets.
  const french = left === "]" || right === "[";
  if (french && keys.length !== 2) return undefined;
  return `${left === "]" ? "(" : left}${keys.join(",")}${right === "[" ? ")" : right}`;
}

/** A list without brackets: only of numbers, or prose with commas would be one. */
function listKey(text: string): string | undefined {
  if (!/\d[^]*(?:[,;]|\s(?:and|und|et|y|e|en|и)\s)[^]*\d/u.test(text) || /[()[\]{}]/.test(text)) return undefined;
  if (soleNumber(text) !== undefined) return undefined;
  const parts = parted(text);
  if (parts.length < 2 || parts.length > MEMBERS) return undefined;
  const bare = parts.map((part) => algebra(part.trim().replace(NAMED, "")));
  // 3 hours and 20 minutes are one amount, and 5 km and 3 kg no list of numbers.
  if (bare.some((part) => /(?!π)\p{L}/u.test(part))) return undefined;
  const keys = bare.map((part) => soleNumber(part)?.key);
  return keys.every((key) => key !== undefined) ? keys.join(",") : undefined;
}

const OR = /\s(?:or|oder|ou|o|of|или)\s/u;

/** x = 3 or x = 5: the set of both. */
function rootsKey(text: string): string | undefined {
  const parts = text.split(OR);
  if (parts.length < 2 || parts.length > MEMBERS || !parts.every((part) => /^\s*[A-Za-z]\s?=/.test(part))) return undefined;
  return bracketKey(`{${parts.join(";")}}`);
}

/**
 * The canonical form of a text that is a set, an interval, a union of intervals, a pair or a list of numbers, and nothing else. A set is
 * its members in order, each once; a list keeps its order, so that it equals the set that is written so.
 */
export function formKey(written: string): string | undefined {
  if (written.length > LONGEST || !/[[\]({∅∞,;=]|\s(?:and|und|et|y|e|en|и)\s|inf/iu.test(written)) return undefined;
  const trimmed = written.trim().replace(/(?<=[\])}\d∞∅])[.。]$/u, "");
  const roots = rootsKey(trimmed);
  if (roots !== undefined) return roots;
  const text = trimmed.replace(NAMED, "");
  if (text === "∅") return text;
  if (INFINITE.test(text)) return memberKey(text);
  const parts = text.split(/\s?∪\s?|\s[Uu]\s/u);
  const keys = parts.map(bracketKey);
  if (keys.every((key) => key !== undefined)) return keys.join("∪");
  return listKey(text);
}
