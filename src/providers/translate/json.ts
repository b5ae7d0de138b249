import type { ChatRequest } from "../../model/request.ts";

export type Json = Readonly<Record<string, unknown>>;

export function isRecord(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A value that is text, and not empty. */
export function isText(value: unknown): value is string {
  return typeof value === "string" && value !== "";
}

/** A value as text; empty for what is none. */
export function textOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}

/** JSON text that stands in a body as it is: digits, key order and white space survive. */
export class RawJson {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

/** JSON.stringify for plain JSON, with `RawJson` spliced in. */
export function writeJson(value: unknown): string {
  if (value instanceof RawJson) return value.text;
  if (Array.isArray(value)) return `[${(value as readonly unknown[]).map((item) => writeJson(item ?? null)).join(",")}]`;
  if (!isRecord(value)) return JSON.stringify(value);
  const members = Object.entries(value).filter(([, member]) => member !== undefined);
  return `{${members.map(([key, member]) => `${JSON.stringify(key)}:${writeJson(member)}`).join(",")}}`;
}

/** A number that a double may not hold: a run of digits, or a far exponent. */
const manyDigits = /\d[\d.]{15}|\de[+-]?\d{3}/i;

/** Parses JSON; numbers that a double does not hold become `RawJson`, so that `writeJson` writes them as they were. */
export function parseExactly(text: string): unknown {
  if (!manyDigits.test(text)) return JSON.parse(text);
  return JSON.parse(text, (_key, value: unknown, context?: { readonly source?: string }) =>
    typeof value === "number" && context?.source !== undefined && String(value) !== context.source ? new RawJson(context.source) : value,
  );
}

/** A field of a request with the client's own digits, as long as nobody has changed it. */
export function exactField({ body, edits, source }: ChatRequest, key: string): unknown {
  const span = source.scan.spans.get(key);
  if (!span || Object.hasOwn(edits, key)) return body[key];
  const text = source.text.slice(span[1], span[2]);
  return manyDigits.test(text) ? parseExactly(Buffer.from(text, "latin1").toString("utf8")) : body[key];
}

/** The texts of an array's elements, out of valid JSON. */
export function elementsOf(text: string): readonly string[] {
  const found: string[] = [];
  let depth = 0;
  let from = -1;
  for (let i = 0; i < text.length; i += 1) {
    const char = text[i];
    if (char === '"') {
      i += 1;
      while (i < text.length && text[i] !== '"') i += text[i] === "\\" ? 2 : 1;
    } else if (char === "[" || char === "{") {
      depth += 1;
      if (depth === 1) from = i + 1;
    } else if (char === "]" || char === "}") {
      depth -= 1;
      if (depth === 0) found.push(text.slice(from, i).trim());
    } else if (char === "," && depth === 1) {
      found.push(text.slice(from, i).trim());
      from = i + 1;
    }
  }
  return found.filter((element) => element !== "");
}
