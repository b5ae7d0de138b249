/** Answers compared as words: what is the same answer written by another hand gets the same normal form. */

/** A point after these words ends no sentence: St. Petersburg, J. Smith, approx. 5. */
const ABBREVIATION = /(?:^|[\s(])(?:\p{Lu}\p{L}{0,2}|approx|ca|vs|etc|e\.g|i\.e|bzw|z\.B|d\.h|u\.a|p\.ej)$/u;
const SENTENCE_END = /[.!?](?=["'”’)*_]{0,3}(?:\s+["'“(*_]{0,3}[\p{Lu}\p{N}]|\s*$))|[。！？]/gu;

/** Up to the end of the first sentence. */
export function firstSentence(text: string): string {
  for (const end of text.matchAll(SENTENCE_END)) {
    if (end[0] === "." && ABBREVIATION.test(text.slice(Math.max(0, end.index - 8), end.index)) && /\S/.test(text.slice(end.index + 1)))
      continue;
    return text.slice(0, end.index + 1);
  }
  return text;
}

const EXPLANATION = /,?\s+(?:because|since|weil|parce que|puisque|porque|perché|poiché|omdat|потому что)\s|因为|因為|なぜなら/iu;

/** The part of a statement that names the answer: its first sentence, without the reason given for it. */
export function statedText(line: string): string {
  const sentence = firstSentence(line);
  const reason = EXPLANATION.exec(sentence);
  return reason !== null && reason.index > 0 ? sentence.slice(0, reason.index) : sentence;
}

const MARK = /[\p{P}\p{Sc}`−\t-\r\u2028\u2029]/gu;
const LETTER = /\p{L}/u;
const ALPHANUMERIC = /[\p{L}\p{N}]/u;

function isDigit(char: string | undefined): boolean {
  return char !== undefined && char >= "0" && char <= "9";
}

/** The character beside a mark, over one space. */
function beside(text: string, at: number, step: 1 | -1): string | undefined {
  return text[at + step] === " " ? text[at + 2 * step] : text[at + step];
}

function isSign(text: string, at: number): boolean {
  const [before = "", after = ""] = [text[at - 1], text[at + 1]];
  if (isDigit(after) || "√∞".includes(after || " ")) return !ALPHANUMERIC.test(before) && !(before === " " && isDigit(text[at - 2]));
  return LETTER.test(after) && "=(,".includes(beside(text, at, -1) ?? "=");
}

function isAcronym(text: string, at: number): boolean {
  const around = `${text[at - 2] ?? " "}${text[at - 1] ?? " "}.${text[at + 1] ?? " "}${text[at + 2] ?? " "}`;
  return /^\P{L}\p{L}\.\p{L}\P{L}$/u.test(around);
}

/**
 * What a mark means where it stands.
 * Kept: 3.14, 1,000, 12:30, 2024-05-01, 3/4, π/2, 2*3, -5, -x, 50%, C#. Dropped without a gap: don't, U.S. All others are gaps.
 */
function meaning(mark: string, at: number, text: string): string {
  const numbers = isDigit(beside(text, at, -1)) && isDigit(beside(text, at, 1));
  const [before = "", after = ""] = [text[at - 1], text[at + 1]];
  switch (mark) {
    case "'":
    case "’":
    case "‘":
      return isDigit(before) && isDigit(after) ? "'" : "";
    case ".":
      return isDigit(before) && isDigit(after) ? "." : isAcronym(text, at) ? "" : " ";
    case ":":
      return numbers ? ":" : " ";
    case ",":
      return isDigit(before) && numbers ? "," : " ";
    case "/":
      return numbers || (/[\p{L}\p{N})]/u.test(before) && /[\p{L}\p{N}(√−-]/u.test(after)) ? "/" : " ";
    case "*":
      return numbers ? "*" : " ";
    case "-":
    case "–":
    case "−":
      return numbers || isSign(text, at) ? "-" : " ";
    case "%":
      return isDigit(beside(text, at, -1)) ? "%" : " ";
    case "#":
      return LETTER.test(before) && !ALPHANUMERIC.test(after) ? "#" : " ";
    default:
      return " ";
  }
}

/** (1, 2] is not [1, 2]: the brackets of pairs and intervals stay. */
const INTERVAL = /^[([](?=[^()]*[\d∞π])[^()[\]]+[,;][^()[\]]+[)\]]\.?$/;
const PAIR = 120;
const OPERATOR = /[\p{Sm}%/*,:-]/u;
/** "It is" at the end of a Japanese or Korean statement. */
const ENDING = /(?<=.)(?:です|でした|である|입니다|이다)$/u;
const ARTICLES = / (?:an?(?= \p{L})|the(?= [\p{L}\p{N}]))/gu;
const LEADING_ARTICLE =
  /^(?:der|die|das|den|dem|ein|eine|einen|le|la|les|el|los|las|un|une|una|uno|il|lo|gli|het|een|um|uma)\s(?=[\p{L}\p{N}])/u;

/** The words of a text, for comparison: lower case, without punctuation, articles and extra spaces. Empty when it has none. The text is plain (`toPlain`). */
export function toWords(text: string): string {
  const lower = text.trim().toLowerCase();
  if (lower.length <= PAIR && INTERVAL.test(lower)) return lower.replace(/\s|\.$/g, "");
  let words = lower
    .replace(/^l['’](?=\p{L})/u, "")
    .replace(MARK, meaning)
    .replace(/ {2,}/g, " ")
    .trim();
  if (OPERATOR.test(words)) words = words.replace(/ ?(\p{Sm}|[-/*,:](?= ?\d)) ?/gu, "$1").replace(/ %/g, "%");
  const bare = ` ${words}`.replace(ARTICLES, "").trimStart().replace(LEADING_ARTICLE, "").replace(ENDING, "");
  if (bare !== "") return bare;
  // An answer may be a mark: which operator? "%".
  return /[^\s.…*_,-]/u.test(lower) ? lower.slice(0, 80) : "";
}

/** Above this a text is no wording of a short answer: it equals only itself, and its marks are left alone. */
const LONG = 500;

/** The key of a text as words: of a long one the text itself, in lower case and with single spaces. */
export function wordsKey(text: string): string {
  return text.length > LONG ? text.toLowerCase().replace(/\s+/g, " ").trim() : toWords(text);
}

/** How a text is shown in a trace: one line, bounded. */
export function toShown(text: string): string {
  const line = text.trimStart().slice(0, 400).replace(/\s+/g, " ").trim();
  return line.length > 120 ? `${line.slice(0, 119)}…` : line;
}
