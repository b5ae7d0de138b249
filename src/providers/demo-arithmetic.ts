/** An expression found in a text, and what it is. */
export interface Sum {
  /** As it is shown: one space round each operator that had one. */
  readonly expression: string;
  /** Not finite when it divides by zero. */
  readonly value: number;
}

/** Longer texts are stories, not sums; it also bounds the search. */
const MAX_TEXT = 2000;
const MAX_EXPRESSION = 200;

const numberWords = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"];

const operatorWords: readonly (readonly [RegExp, string])[] = [
  [/\*\*|\bto the power of\b|\braised to\b/g, "^"],
  [/[×·]|\bmultiplied by\b|\btimes\b|(?<=\d\s*)x(?=\s*\d)/g, "*"],
  [/÷|\bdivided by\b/g, "/"],
  [/−|\bminus\b/g, "-"],
  [/\bplus\b/g, "+"],
  [/\s*\bsquared\b/g, "^2"],
  [/\s*\bcubed\b/g, "^3"],
];

const asks = /\b(?:what|how much|calculate|compute|evaluate|work out|solve|result|value|sum|product|equals?|answer)\b|=/;

/** Finds the longest arithmetic expression that a text asks for. "Give me 3-4 ideas" asks for none. */
export function findSum(text: string): Sum | undefined {
  if (text.length > MAX_TEXT) return undefined;
  const plain = inSymbols(text);
  let best: Sum | undefined;
  for (const [match] of plain.matchAll(/(?<![\p{L}\p{N}])[\d.(+-][\d \t.+\-*/^()]*[\d)]/gu)) {
    const expression = match.trim().replaceAll(/\s+/g, " ");
    if (expression.length <= (best?.expression.length ?? 0) || !isSum(expression)) continue;
    const value = evaluate(expression);
    if (value !== undefined) best = { expression, value };
  }
  if (!best || (!asks.test(plain) && /\p{L}/u.test(plain))) return undefined;
  return best;
}

/** A number as people write it: no exponent, no dust from binary fractions. Integers are exact to 2^53. */
export function formatNumber(value: number): string {
  if (!Number.isFinite(value)) return "undefined";
  if (Number.isInteger(value)) return BigInt(value).toString();
  const rounded = Number(value.toPrecision(12));
  return Math.abs(rounded) < 1e-6 ? rounded.toFixed(20).replace(/\.?0+$/, "") : String(rounded);
}

/** What a slip of the pen makes of a number: never the number itself. */
export function slips(value: number): readonly string[] {
  if (!Number.isFinite(value)) return ["0", "1"];
  const right = formatNumber(value);
  const swapped = right.replace(/(\d)(\d)$/, "$2$1");
  const steps = Math.abs(value) < 20 ? [1, -1, 2, -2] : [1, -1, 10, -10, 2];
  const near = Number.isInteger(value) ? steps.map((step) => value + step) : [value * 10, value / 10, value + 0.1];
  return [...near.map(formatNumber), swapped].filter((wrong) => wrong !== right);
}

function inSymbols(text: string): string {
  let plain = text.toLowerCase().replaceAll(/(?<=\d),(?=\d{3}\b)/g, "");
  plain = plain.replaceAll(/\b[a-z]+\b/g, (word) => (numberWords.includes(word) ? String(numberWords.indexOf(word)) : word));
  for (const [words, symbol] of operatorWords) plain = plain.replaceAll(words, symbol);
  return plain;
}

/** Has an operator between two operands, and is not a date. */
function isSum(expression: string): boolean {
  if (expression.length > MAX_EXPRESSION || /^\d{4}-\d{1,2}-\d{1,2}$/.test(expression)) return false;
  return /[\d)]\s*[-+*/^]\s*[-+(.\d]/.test(expression);
}

/** The value of an expression with + - * / ^ and parentheses; undefined when it is none. ^ binds tightest and to the right. */
function evaluate(expression: string): number | undefined {
  const tokens = expression.match(/\d+\.?\d*|\.\d+|\S/g) ?? [];
  let at = 0;
  let broken = false;
  const accept = (symbol: string): boolean => {
    if (tokens[at] !== symbol) return false;
    at += 1;
    return true;
  };
  const sum = (): number => {
    let left = product();
    for (;;) {
      if (accept("+")) left += product();
      else if (accept("-")) left -= product();
      else return left;
    }
  };
  const product = (): number => {
    let left = signed();
    for (;;) {
      if (accept("*")) left *= signed();
      else if (accept("/")) left /= signed();
      else return left;
    }
  };
  const signed = (): number => {
    if (accept("-")) return -signed();
    return accept("+") ? signed() : power();
  };
  const power = (): number => {
    const base = operand();
    return accept("^") ? base ** signed() : base;
  };
  const operand = (): number => {
    if (accept("(")) {
      const inner = sum();
      if (!accept(")")) broken = true;
      return inner;
    }
    const token = tokens[at] ?? "";
    if (!/\d/.test(token)) broken = true;
    else at += 1;
    return Number(token);
  };
  const value = sum();
  return at === tokens.length && !broken ? value : undefined;
}
