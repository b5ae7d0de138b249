/** English number words: zero to the trillions, and the common fractions (two thirds, a half). */
interface NumberWords {
  /** The value as `whole` + `top`/`bottom`. */
  readonly whole: number;
  readonly top: number;
  readonly bottom: number;
  readonly start: number;
  readonly end: number;
}

const SMALL =
  "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen".split(
    " ",
  );
const TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split(" ");
const LARGE = new Map([
  ["thousand", 1e3],
  ["million", 1e6],
  ["billion", 1e9],
  ["trillion", 1e12],
]);
const PARTS = new Map([
  ["half", 2],
  ["halve", 2],
  ["third", 3],
  ["quarter", 4],
  ["fourth", 4],
  ["fifth", 5],
  ["sixth", 6],
  ["seventh", 7],
  ["eighth", 8],
  ["ninth", 9],
  ["tenth", 10],
]);

const WORD = [...SMALL, ...TENS, "hundred", ...LARGE.keys()].join("|");
const RUN = new RegExp(`(?<![\\p{L}-])(?:${WORD})(?:(?:[\\s-]{1,3}|\\sand\\s)(?:${WORD}))*(?![\\p{L}])`, "giu");
const PART = /[\s-]{1,2}(half|halve|third|quarter|fourth|fifth|sixth|seventh|eighth|ninth|tenth)s?(?!\p{L})/iuy;
const AND_HALF = /\sand\s(?:a|one)\shalf(?!\p{L})/iuy;
const BARE_PART = /(?<![\p{L}-])(?:(?:a|one)\s)?(half|quarter|third)(?!\p{L})/giu;
/** "One of them", "the one that": not the number. */
const PRONOUN = /^\s(?:of|that|who|which|can|must|should|has to)(?!\p{L})/iu;

/** The value of a run such as "two hundred and five thousand"; undefined for what is no number: "three four". */
function valueOf(run: string): number | undefined {
  let total = 0;
  let current = 0;
  let room = Number.POSITIVE_INFINITY;
  for (const word of run.toLowerCase().split(/[\s-]+/)) {
    const large = LARGE.get(word);
    if (word === "and") continue;
    if (large !== undefined) {
      total += Math.max(1, current) * large;
      current = 0;
      room = Number.POSITIVE_INFINITY;
    } else if (word === "hundred") {
      current = Math.max(1, current) * 100;
      room = 100;
    } else {
      const tens = (TENS.indexOf(word) + 2) * 10;
      const value = tens >= 20 ? tens : SMALL.indexOf(word);
      if (value >= room) return undefined;
      current += value;
      room = tens >= 20 ? 10 : 1;
    }
  }
  return total + current;
}

/** A half, a quarter: parts without a number of their own. */
function bareParts(text: string): NumberWords[] {
  const found: NumberWords[] = [];
  for (const match of text.matchAll(BARE_PART)) {
    const bottom = PARTS.get(match[1]?.toLowerCase() ?? "") ?? 1;
    found.push({ whole: 0, top: 1, bottom, start: match.index, end: match.index + match[0].length });
  }
  return found;
}

/** The numbers in words of a text, in order. */
export function findNumberWords(text: string): NumberWords[] {
  const found: NumberWords[] = [];
  for (const run of text.matchAll(RUN)) {
    const whole = valueOf(run[0]);
    const start = run.index;
    const end = start + run[0].length;
    if (whole === undefined || !Number.isSafeInteger(whole) || (whole === 1 && PRONOUN.test(text.slice(end, end + 12)))) continue;
    AND_HALF.lastIndex = end;
    PART.lastIndex = end;
    if (AND_HALF.test(text)) {
      found.push({ whole, top: 1, bottom: 2, start, end: AND_HALF.lastIndex });
      continue;
    }
    const bottom = PARTS.get(PART.exec(text)?.[1]?.toLowerCase() ?? "");
    if (bottom === undefined) found.push({ whole, top: 0, bottom: 1, start, end });
    else if (whole < 20) found.push({ whole: 0, top: whole, bottom, start, end: PART.lastIndex }); // "twenty-fifth" is a place, not a part
  }
  return found.length > 0 ? found : bareParts(text);
}
