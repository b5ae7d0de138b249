import { distance } from "fastest-levenshtein";

/** The words that `word` was probably meant to be, best first, at most `count`; none when nothing is near. */
export function nearest(word: string, words: Iterable<string>, count = 1): readonly string[] {
  const wanted = word.toLowerCase();
  // Two swapped letters are a distance of two. In a short word something has to be right.
  const far = wanted.length < 4 ? wanted.length - 1 : Math.max(2, Math.floor(wanted.length * 0.4));
  const near: [number, string][] = [];
  for (const candidate of new Set(words)) {
    const between = distance(wanted, candidate.toLowerCase());
    if (between <= far) near.push([between, candidate]);
  }
  return near
    .sort(([a], [b]) => a - b)
    .slice(0, count)
    .map(([, candidate]) => candidate);
}

/** `; did you mean "x"?`, or nothing. */
export function didYouMean(word: string, words: Iterable<string>): string {
  const [best] = nearest(word, words);
  return best === undefined ? "" : `; did you mean "${best}"?`;
}
