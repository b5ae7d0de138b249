import { closingQuote, scanJsonObject } from "../../model/json-scan.ts";

/** The texts of an array's elements, out of valid JSON. */
export function elementsOf(text: string): readonly string[] {
  const found: string[] = [];
  let depth = 0;
  let from = 0;
  const add = (to: number) => {
    const element = text.slice(from, to).trim();
    if (element !== "") found.push(element);
  };
  for (let at = 0; at < text.length; at += 1) {
    const char = text[at];
    if (char === '"') at = closingQuote(text, at + 1);
    else if (char === "[" || char === "{") {
      depth += 1;
      if (depth === 1) from = at + 1;
    } else if (char === "]" || char === "}") {
      depth -= 1;
      if (depth === 0) add(at);
    } else if (char === "," && depth === 1) {
      add(at);
      from = at + 1;
    }
  }
  return found;
}

/** The text of a member's value; undefined where the object has none. */
export function memberOf(object: string, key: string): string | undefined {
  const span = object.startsWith("{") ? scanJsonObject(object).spans.get(key) : undefined;
  return span && object.slice(span[1], span[2]);
}
