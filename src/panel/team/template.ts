/** A text with `{{places}}` that stands in the config itself. */
export interface Template {
  /** The places it has, each once. */
  readonly places: readonly string[];
  /** Fills every place. What is filled in is not read for places again. */
  fill(values: Readonly<Record<string, string>>): string;
}

const PLACE = /\{\{\s*([A-Za-z]\w*)\s*\}\}/;

/** Reads a text with places; or says what stands in it that is none. */
export function toTemplate(text: string): Template | { readonly wrong: string } {
  const parts = text.trim().split(new RegExp(PLACE, "g"));
  const odd = parts.find((part, index) => index % 2 === 0 && part.includes("{{"));
  if (odd !== undefined) return { wrong: odd.slice(odd.indexOf("{{")).slice(0, 30) };
  return {
    places: [...new Set(parts.filter((_, index) => index % 2 === 1))],
    fill: (values) => parts.map((part, index) => (index % 2 === 0 ? part : (values[part] ?? ""))).join(""),
  };
}
