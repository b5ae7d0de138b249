/** How much of a text is looked at: bounds the work for long answers. */
const LENGTH = 4_000;

/** The set of a text's character 3-grams as sorted numbers: needs no words, so it serves every script. Exact, three UTF-16 units fit a double. */
function gramsOf(text: string): Float64Array {
  const plain = text
    .slice(0, LENGTH * 2)
    .toLowerCase()
    .replaceAll(/\s+/g, " ")
    .trim()
    .slice(0, LENGTH);
  const padded = `\n${plain}\n`;
  const grams = new Set<number>();
  for (let i = 0; i + 2 < padded.length; i += 1) {
    grams.add(padded.charCodeAt(i) * 2 ** 32 + padded.charCodeAt(i + 1) * 2 ** 16 + padded.charCodeAt(i + 2));
  }
  return Float64Array.from(grams).sort();
}

/** Jaccard similarity of two sorted sets, 0 to 1. */
function similarity(a: Float64Array, b: Float64Array): number {
  let shared = 0;
  let j = 0;
  for (const gram of a) {
    while (j < b.length && (b[j] ?? 0) < gram) j += 1;
    if (b[j] === gram) shared += 1;
  }
  const union = a.length + b.length - shared;
  return union === 0 ? 1 : shared / union;
}

/** How much each text is like all the others: the sum of its 3-gram similarities. */
export function centralities(texts: readonly string[]): readonly number[] {
  const grams = texts.map(gramsOf);
  return grams.map((own, i) => grams.reduce((sum, other, j) => (j === i ? sum : sum + similarity(own, other)), 0));
}

/** Sums of the same similarities in another order differ in the last bits; a tie must not. */
const SAME = 1e-9;

/** The index of the largest value; equals go to the earlier one. -1 for none. */
export function argmax(values: readonly number[]): number {
  let best = -1;
  let most = Number.NEGATIVE_INFINITY;
  for (const [i, value] of values.entries()) {
    if (best >= 0 && value <= most + SAME) continue;
    most = value;
    best = i;
  }
  return best;
}

/**
 * The index of the text that is most like all the others: the deterministic answer for prose when no judge can be asked (minimum Bayes risk
 * over 3-gram similarity). Equals go to the earlier one. -1 for no texts.
 */
export function medoid(texts: readonly string[]): number {
  return argmax(centralities(texts));
}
