import { nearest } from "../config/nearest.ts";

const GUESSES = 3;
/** Clients choose the name: a longer one is not worth comparing. */
const LONGEST = 200;

/** A model's name without its provider. */
export function bareName(name: string): string {
  return name.slice(name.indexOf("/") + 1);
}

/** The models that `name` may have been meant to be, best first: `gpt-5-mni` means `openai/gpt-5-mini`, and so does `opnai/gpt-5-mini`. */
export function nearestModels(name: string, names: readonly string[]): readonly string[] {
  if (name.length > LONGEST) return [];
  const byWord = new Map<string, string[]>();
  for (const full of names) {
    for (const word of new Set([full, bareName(full)])) byWord.set(word, [...(byWord.get(word) ?? []), full]);
  }
  const meant = (word: string) => nearest(word, byWord.keys(), GUESSES).flatMap((near) => byWord.get(near) ?? []);
  const direct = meant(name);
  return [...new Set(direct.length > 0 ? direct : meant(bareName(name)))].slice(0, GUESSES);
}
