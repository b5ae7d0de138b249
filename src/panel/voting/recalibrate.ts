/**
 * What a confidence that a model tells of itself counts: models say 0.9 of most answers. The steps are the paper's (ReConcile, arXiv 2309.13007):
 *
 *     p = 1: 1    0.9 <= p < 1: 0.8    0.8 <= p < 0.9: 0.5    0.6 < p < 0.8: 0.3    p <= 0.6: 0.1
 */
export function recalibrated(confidence: number): number {
  if (confidence >= 1) return 1;
  if (confidence >= 0.9) return 0.8;
  if (confidence >= 0.8) return 0.5;
  return confidence > 0.6 ? 0.3 : 0.1;
}

/** The last line of an answer: `Confidence: 0.85`, `**Confidence:** 85%`, `Confidence: high`. A longer one is prose. */
const LINE = /(?:^|\n)[ \t]*[*_`#>]*[ \t]*confidence[*_`]*[ \t]*[:=：]([^\n]{0,40})\s*$/iu;

/** The one number in it, which is not negative, and its unit. */
const NUMBER = /^\D{0,20}(?<![-−.,])(\d+(?:[.,]\d+)?|[.,]\d+)[ \t]*(%|\/[ \t]*(?:100?|1)\b)?\D{0,20}$/u;

/** An answer without the line that tells its confidence, and that confidence. */
export interface Confident {
  readonly text: string;
  /** 0 to 1; undefined when the last line tells none that can be read. */
  readonly confidence: number | undefined;
}

/** A confidence as it is written, as a share; undefined for an impossible one. */
export function toShare(written: string, unit: string): number | undefined {
  const number = Number(written.replace(",", "."));
  const scale = unit === "%" || unit.endsWith("100") ? 100 : unit.endsWith("10") ? 10 : 1;
  // A bare number over 1 is a percentage that forgot its sign; the scale is the only thing that is guessed.
  const share = number / (unit === "" && number > 1 ? 100 : scale);
  return share <= 1 ? share : undefined;
}

/** Takes the confidence off the end of an answer. A line that tells none that can be read is taken off too: nobody asked for it but us. */
export function takeConfidence(text: string): Confident {
  const found = LINE.exec(text.slice(-200));
  if (!found) return { text, confidence: undefined };
  const [, written, unit = ""] = NUMBER.exec(found[1] ?? "") ?? [];
  return {
    text: text.slice(0, text.length - found[0].length).trimEnd(),
    confidence: written === undefined ? undefined : toShare(written, unit.replaceAll(/\s/g, "")),
  };
}
