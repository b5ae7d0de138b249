/**
 * One pass over the text of a JSON object that JSON.parse has already accepted: where each top-level value stands, and how deep it nests.
 * It jumps over strings, so it is linear in tokens, not in characters.
 */
export interface JsonScan {
  /** Decoded key -> [start of the key's quote, start of the value, end of the value). Offsets into the scanned text. */
  readonly spans: ReadonlyMap<string, readonly [number, number, number]>;
  /** Deepest nesting; the object itself is 1. */
  readonly depth: number;
  /** Top-level keys as written, so more than `spans.size` when one stands twice. */
  readonly keys: number;
  /** The first top-level key that stands twice, decoded. */
  readonly duplicate: string | undefined;
}

const QUOTE = 34;
const BACKSLASH = 92;

/** The index of the quote that closes the string whose content starts at `at`; -1 when the text ends first. */
export function closingQuote(text: string, at: number): number {
  let end = text.indexOf('"', at);
  while (end > at && text.charCodeAt(end - 1) === BACKSLASH) {
    let slashes = 1;
    while (end - slashes - 1 >= at && text.charCodeAt(end - slashes - 1) === BACKSLASH) slashes += 1;
    if (slashes % 2 === 0) return end;
    end = text.indexOf('"', end + 1);
  }
  return end;
}

declare global {
  // TypeScript's library does not have it yet.
  interface JSON {
    /** The JSON of one plain value as it is; throws for anything else. */
    rawJSON(text: string): object;
  }
}

/**
 * True when `literal`, latin1 text from a quote to its closing quote, is a JSON string: no control characters, only legal escapes, and no quote
 * that would end it sooner. It is read by the engine and not made, which takes half the time and no memory.
 */
export function isJsonString(literal: string): boolean {
  try {
    JSON.rawJSON(literal);
    return true;
  } catch {
    return false;
  }
}

/** The same of what stands between the quotes. Without an escape, one look is cheaper. */
export function isLegalContent(raw: string): boolean {
  return raw.includes("\\") ? isJsonString(`"${raw}"`) : !/[^ -\xff]/.test(raw);
}

/** A key as it stands between its quotes, decoded. */
export function decodeKey(raw: string): string {
  return raw.includes("\\") ? (JSON.parse(`"${raw}"`) as string) : raw;
}

/** The first place from `at` on that is no white space. */
export function skipSpace(text: string, at: number): number {
  let i = at;
  while (text.charCodeAt(i) <= 32) i += 1;
  return i;
}

function trimEnd(text: string, from: number, end: number): number {
  let i = end;
  while (i > from && text.charCodeAt(i - 1) <= 32) i -= 1;
  return i;
}

/**
 * Scans a JSON object. `text` may be UTF-16 or, where byte offsets are wanted, the latin1 reading of UTF-8 bytes: JSON's own characters are ASCII.
 * The text must be valid JSON; for anything else the result means nothing. `decode` makes a key of what stands between its quotes.
 */
export function scanJsonObject(text: string, decode: (raw: string) => string = decodeKey): JsonScan {
  const spans = new Map<string, readonly [number, number, number]>();
  let depth = 0;
  let deepest = 0;
  let keys = 0;
  let duplicate: string | undefined;
  let keyStart = 0;
  let keyEnd = 0;
  let valueStart = -1;
  const close = (end: number) => {
    if (valueStart < 0) return;
    const key = decode(text.slice(keyStart + 1, keyEnd));
    if (spans.has(key)) duplicate ??= key;
    spans.set(key, [keyStart, valueStart, trimEnd(text, valueStart, end)]);
    valueStart = -1;
  };
  for (let i = 0; i < text.length; i += 1) {
    const code = text.charCodeAt(i);
    if (code === QUOTE) {
      const end = closingQuote(text, i + 1);
      if (end < 0) break;
      if (depth === 1 && valueStart < 0) {
        keyStart = i;
        keyEnd = end;
      }
      i = end;
    } else if (code === 123 || code === 91) {
      depth += 1;
      if (depth > deepest) deepest = depth;
    } else if (code === 125 || code === 93) {
      if (depth === 1) close(i);
      depth -= 1;
    } else if (depth === 1) {
      if (code === 58 && valueStart < 0) {
        keys += 1;
        valueStart = skipSpace(text, i + 1);
        i = valueStart - 1;
      } else if (code === 44) close(i);
    }
  }
  return { spans, depth: deepest, keys, duplicate };
}
