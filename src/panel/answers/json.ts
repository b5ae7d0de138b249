/** JSON answers: found in a text that is JSON, in a code fence, or in prose; compared by value, not by how they were written. */
interface JsonFound {
  readonly key: string;
  readonly shown: string;
  /** Whether the text is given as JSON: an object, or an array that is no mere [0, 1] within prose; no bare string or number. */
  readonly structured: boolean;
}

/** Deeper values are refused, as at the door. */
const DEPTH = 200;
/** From here on digits may be lost in a double: then the number is compared as it is written. */
const MANY_DIGITS = /\d{16}/;

class Digits {
  readonly source: string;
  constructor(source: string) {
    this.source = source;
  }
}

function keepDigits(_: string, value: unknown, context?: { source?: string }): unknown {
  const source = context?.source;
  return typeof value === "number" && source !== undefined && /^-?\d{16,}$/.test(source) ? new Digits(source) : value;
}

function parse(text: string): { readonly value: unknown } | undefined {
  try {
    return { value: MANY_DIGITS.test(text) ? JSON.parse(text, keepDigits) : JSON.parse(text) };
  } catch {
    return undefined;
  }
}

/** JSON with sorted keys and without spaces; 1.0 and 1e0 are 1, because they are one double. Undefined when too deep. */
function canonical(value: unknown, depth: number): string | undefined {
  if (value instanceof Digits) return value.source;
  if (typeof value === "number") return Number.isFinite(value) ? JSON.stringify(value) : String(value);
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  if (depth >= DEPTH) return undefined;
  const parts: string[] = [];
  if (Array.isArray(value)) {
    for (const item of value as unknown[]) {
      const part = canonical(item, depth + 1);
      if (part === undefined) return undefined;
      parts.push(part);
    }
    return `[${parts.join(",")}]`;
  }
  for (const [name, item] of Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))) {
    const part = canonical(item, depth + 1);
    if (part === undefined) return undefined;
    parts.push(`${JSON.stringify(name)}:${part}`);
  }
  return `{${parts.join(",")}}`;
}

/** An object or an array. A number of many digits is an object here only. */
function isStructure(value: unknown): boolean {
  return typeof value === "object" && value !== null && !(value instanceof Digits);
}

function read(text: string): JsonFound | undefined {
  const parsed = parse(text);
  if (parsed === undefined) return undefined;
  const key = canonical(parsed.value, 0);
  return key === undefined ? undefined : { key, shown: text, structured: isStructure(parsed.value) };
}

/** What a text that is JSON and nothing else is compared by; undefined when it is none. */
export function jsonKey(text: string): string | undefined {
  return read(text)?.key;
}

const FENCE = /```[\w+-]{0,20}[ \t]*\r?\n([\s\S]*?)```/g;

/** The last fenced block that is JSON. */
function fenced(text: string): JsonFound | undefined {
  if (!text.includes("```")) return undefined;
  const blocks = [...text.matchAll(FENCE)].map((match) => (match[1] ?? "").trim());
  for (const block of blocks.reverse()) {
    const found = /^[[{]/.test(block) ? read(block) : undefined;
    if (found !== undefined) return found;
  }
  return undefined;
}

const OPENERS: Readonly<Record<string, string>> = { "}": "{", "]": "[" };

/**
 * The outermost pairs of brackets of a prose text, in order and disjoint, in one pass.
 * Brackets within strings do not count; a string ends at its line's end, so that a stray quote in prose hides one line only.
 */
function bracketed(text: string): string[] {
  const open: number[] = [];
  let spans: [number, number][] = [];
  let quoted = false;
  for (let i = 0; i < text.length; i += 1) {
    const char = text[i] ?? "";
    if (quoted) {
      if (char === "\\") i += 1;
      else if (char === '"' || char === "\n") quoted = false;
    } else if (char === '"') quoted = open.length > 0;
    else if (char === "{" || char === "[") open.push(i);
    else if ((char === "}" || char === "]") && open.length > 0) {
      if (text[open.at(-1) ?? -1] !== OPENERS[char]) {
        open.length = 0;
        continue;
      }
      const start = open.pop() ?? 0;
      while ((spans.at(-1)?.[0] ?? -1) > start) spans.pop();
      spans.push([start, i + 1]);
    }
  }
  return spans.map(([start, end]) => text.slice(start, end));
}

/** What JSON starts with; most brackets in prose and LaTeX do not, and a parser that throws is slow. A footnote such as [1] is no answer. */
const OBJECT = /^\{\s*"/;
const ARRAY = /^\[\s*(?!\d{0,3}\s*\])["[{\d\-tfn]/;
/** Spans tried of each sort, from the last one back. */
const TRIES = 16;

/** The last JSON object within prose, else the last array. */
function inProse(text: string): JsonFound | undefined {
  if (!text.includes("}") && !text.includes("]")) return undefined;
  const spans = bracketed(text).reverse();
  for (const start of [OBJECT, ARRAY]) {
    for (const span of spans.filter((span) => start.test(span)).slice(0, TRIES)) {
      const found = read(span);
      if (found !== undefined) return { ...found, structured: start === OBJECT };
    }
  }
  return undefined;
}

/** The JSON answer of a text (without its thoughts): the whole text, else its last fenced block, else its last object or array in prose. */
export function findJson(text: string): JsonFound | undefined {
  const trimmed = text.trim();
  if (trimmed === "") return undefined;
  const whole = /^[[{"\-\dtfn]/.test(trimmed) ? read(trimmed) : undefined;
  return whole ?? fenced(trimmed) ?? inProse(trimmed);
}
