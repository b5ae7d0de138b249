/**
 * The language of a text, for routing: by its script, and among languages in Latin letters by their commonest short words. It knows the languages
 * below and no others; it can not tell a text of a few words, a name, romanised writing (Hinglish, pinyin), Croatian from Serbian, or the second
 * language of a mixed text. What it does not know is `unknown`, and code in fences is not read.
 */
const LATIN: Readonly<Record<string, string>> = {
  en: "the and is of to that it for with this you are was have not what how can please write from which an be as",
  de: "der die das und ist nicht ein eine ich sie mit für auf den dem von zu wie was bitte kann auch wird einen",
  fr: "le la les et est une des je vous pas que qui dans pour sur avec ce cette du au comment quel quelle sont",
  es: "el la los las y es un una de que en por para con no se del al cómo qué cuál está son como puedes",
  it: "il la gli e è un una di che in per con non si del della come cosa qual sono questo quale puoi nel",
  pt: "o a os as e é um uma de que em por para com não se do da como qual são você isso na no está",
  nl: "de het een en is van niet ik je dat die voor met op zijn hoe wat kan ook aan deze wordt naar",
  pl: "i w na nie jest się z że do to jak co dla o czy ale po jestem proszę który która od",
  sv: "och att det är en ett som på för inte jag med av till den hur vad kan har om du de",
  tr: "ve bir bu ne için ile da de mi nasıl olarak değil var çok daha ben sen kadar gibi bana",
  vi: "là và của có không một cho các những được trong này với để tôi bạn làm như thế nào",
  id: "yang dan di ini itu dengan untuk tidak dari dalam adalah apa saya ke bagaimana bisa akan pada atau",
};

const SCRIPTS: readonly (readonly [language: string, script: RegExp])[] = [
  // Japanese before Chinese: it has Han signs too.
  ["ja", /[\p{Script=Hiragana}\p{Script=Katakana}]/gu],
  ["ko", /\p{Script=Hangul}/gu],
  ["zh", /\p{Script=Han}/gu],
  // Letters that Russian does not have.
  ["uk", /[іїєґ]/giu],
  ["ru", /\p{Script=Cyrillic}/gu],
  ["fa", /[پچژگ]/gu],
  ["ar", /\p{Script=Arabic}/gu],
  ["he", /\p{Script=Hebrew}/gu],
  ["el", /\p{Script=Greek}/gu],
  ["hi", /\p{Script=Devanagari}/gu],
  ["bn", /\p{Script=Bengali}/gu],
  ["ta", /\p{Script=Tamil}/gu],
  ["te", /\p{Script=Telugu}/gu],
  ["th", /\p{Script=Thai}/gu],
  ["ka", /\p{Script=Georgian}/gu],
  ["hy", /\p{Script=Armenian}/gu],
];

/** Letters that speak for a language together with those of its wider script: a few of them are enough. */
const TELLING: ReadonlySet<string> = new Set(["ja", "uk", "fa"]);
const FEW = 0.02;
/** Share of all letters that a script must have. */
const MOST = 0.3;
/** How much is looked at. */
const LENGTH = 4_000;
/** Words that must speak for a language in Latin letters, and their share of all words. */
const HITS = 2;
const SHARE = 0.1;

const words: readonly (readonly [language: string, words: ReadonlySet<string>])[] = Object.entries(LATIN).map(([language, list]) => [
  language,
  new Set(list.split(" ")),
]);

/** The languages that can be told. */
export const languages: readonly [string, ...string[]] = [
  "unknown",
  ...[...Object.keys(LATIN), ...SCRIPTS.map(([language]) => language)].toSorted(),
];

function count(text: string, pattern: RegExp): number {
  return text.match(pattern)?.length ?? 0;
}

function byWords(text: string): string {
  const all = text.toLowerCase().match(/[\p{L}\p{M}]+/gu) ?? [];
  let [best, most] = ["unknown", 0];
  let second = 0;
  for (const [language, list] of words) {
    const hits = all.filter((word) => list.has(word)).length;
    if (hits > most) [best, most, second] = [language, hits, most];
    else second = Math.max(second, hits);
  }
  return most >= HITS && most > second && most >= SHARE * all.length ? best : "unknown";
}

/** Two letters of ISO 639-1, or `unknown`. */
export function languageOf(given: string): string {
  const text = given.replaceAll(/```[\s\S]*?(?:```|$)/g, " ").slice(0, LENGTH);
  const letters = count(text, /\p{L}/gu);
  if (letters === 0) return "unknown";
  const found = SCRIPTS.find(([language, script]) => count(text, script) / letters >= (TELLING.has(language) ? FEW : MOST));
  return found ? found[0] : byWords(text);
}
