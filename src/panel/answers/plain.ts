/**
 * A model's text as plain text: thoughts dropped, Unicode folded (NFKC), LaTeX written as one would type it.
 * Every pattern here is linear: no nested repetition, and what repeats can not run past the braces that end it.
 */

/** How models end and begin their thoughts; the last of each pair is the answer's own mark in the channels of gpt-oss. */
const THOUGHT_ENDS = ["</think>", "</thinking>", "</thought>", "</reasoning>", "[/THINK]", "◁/think▷", "<|channel|>final<|message|>"];
const THOUGHT_STARTS = ["<think", "<thought>", "[THINK]", "◁think▷", "<|channel|>analysis"];
/** What may stand behind an answer that was given in a channel. */
const CHANNEL_END = /<\|(?:return|end)\|>\s*$/;

/** What follows the last thought. A thought that never ended hides everything after its start: it is no answer. */
export function withoutThoughts(text: string): string {
  if (!/[<[◁](?:[/|]|think|thought|THINK)/.test(text)) return text;
  let start = 0;
  for (const end of THOUGHT_ENDS) {
    const at = text.lastIndexOf(end);
    if (at >= 0) start = Math.max(start, at + end.length);
  }
  let stop = text.length;
  for (const open of THOUGHT_STARTS) {
    const at = text.indexOf(open, start);
    if (at >= 0) stop = Math.min(stop, at);
  }
  const left = text.slice(start, stop);
  return left.includes("<|") ? left.replace(CHANNEL_END, "") : left;
}

// eslint-disable-next-line no-control-regex -- the class is "not ASCII"
const NOT_ASCII = /[^\x00-\x7f]/;

/** NFKC, save that it would glue `10⁵` to 105 and `1½` to 11/2: those become 10^5 and 1 1/2. */
function folded(text: string): string {
  if (!NOT_ASCII.test(text)) return text;
  return text
    .replace(/(\d)(?=[¼-¾⅐-⅞])/g, "$1 ")
    .replace(/([\d\p{L})])([⁺⁻]?[⁰¹²³⁴-⁹]+)/gu, "$1^$2")
    .normalize("NFKC")
    .replaceAll("\u2044", "/");
}

const SIGNS: Readonly<Record<string, string>> = {
  times: "×",
  cdot: "×",
  div: "÷",
  pi: "π",
  infty: "∞",
  pm: "±",
  approx: "≈",
  le: "≤",
  leq: "≤",
  ge: "≥",
  geq: "≥",
  ne: "≠",
  neq: "≠",
  cup: "∪",
  in: "∈",
  emptyset: "∅",
  varnothing: "∅",
};

/** A numerator, denominator or exponent that needs no brackets. */
const SIMPLE = /^\s*[-−]?[\w.,°π]*\s*$/;

function bracketed(part: string): string {
  const inner = part.startsWith("{") ? part.slice(1, -1) : part;
  return SIMPLE.test(inner) ? inner.trim() : `(${inner})`;
}

/** \frac{3}{4}, \frac34; the digit before it makes it a mixed number. */
const FRACTION = /(\d?)\\[dtc]?frac\s?(\{[^{}]*\}|\d)\s?(\{[^{}]*\}|\d)/g;

function fraction(_: string, digit: string, top: string, bottom: string): string {
  return `${digit}${digit === "" ? "" : " "}${bracketed(top)}/${bracketed(bottom)}`;
}

/** Commands that take `{}` are resolved from the inside out; deeper nesting than this stays as it is. */
const NESTING = 4;

function withoutLatex(text: string): string {
  let out = text
    .replace(/\\(?:left|right|displaystyle|[bB]igg?[lrm]?)(?![A-Za-z])|\\[()[\]!]/g, "")
    .replace(/\\(?:[,;:\s~\\]|q?quad(?![A-Za-z]))/g, " ")
    .replace(/\{,\}/g, ",")
    .replace(/\\([%$#&_])/g, "$1")
    .replace(/\^\s?\{?\s?\\circ(?![A-Za-z])\s?\}?|\\(?:degree|degrees)(?![A-Za-z])/g, "°")
    .replace(/\\([a-z]+)(?![A-Za-z{])/g, (whole, name: string) => SIGNS[name] ?? whole);
  for (let pass = 0; pass === 0 || (pass < NESTING && out.includes("{")); pass += 1) {
    out = out
      .replace(/\\(?:boxed|fbox|mbox|text[a-z]*|math[a-z]*|operatorname)\s?\{([^{}]*)\}/g, "$1")
      .replace(/\\sqrt\s?(\{[^{}]*\}|\d)/g, (_, root: string) => `√${bracketed(root)}`)
      .replace(/\^\s?\{([^{}]*)\}/g, (_, power: string) => `^${bracketed(power)}`)
      .replace(/_\s?\{([^{}]*)\}/g, "_$1")
      .replace(FRACTION, fraction);
  }
  return out
    .replace(FRACTION, fraction)
    .replace(/\\([{}])/g, "$1")
    .replace(/ {2,}/g, " ");
}

/** The text folded and, where it holds LaTeX, rewritten. */
export function toPlain(text: string): string {
  const plain = folded(text);
  return plain.includes("\\") || plain.includes("^{") || plain.includes("{,}") ? withoutLatex(plain) : plain;
}
