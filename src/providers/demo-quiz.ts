/** A question of the quiz: asked when a text holds every key as words of its own; a key may name alternatives. */
export interface Fact {
  readonly keys: readonly string[];
  readonly answer: string;
  /** What one who errs says. */
  readonly wrong: readonly string[];
}

function fact(keys: string, answer: string, wrong: string): Fact {
  return { keys: keys.split(", "), answer, wrong: wrong.split(", ") };
}

export const facts: readonly Fact[] = [
  fact("capital, australia", "Canberra", "Sydney, Melbourne, Perth"),
  fact("capital, canada", "Ottawa", "Toronto, Montreal, Vancouver"),
  fact("capital, france", "Paris", "Lyon, Marseille, Nice"),
  fact("capital, japan", "Tokyo", "Kyoto, Osaka, Nagoya"),
  fact("capital, kenya", "Nairobi", "Mombasa, Kisumu, Nakuru"),
  fact("capital, morocco", "Rabat", "Casablanca, Marrakesh, Fez"),
  fact("capital, new zealand", "Wellington", "Auckland, Christchurch, Dunedin"),
  fact("capital, switzerland", "Bern", "Zurich, Geneva, Basel"),
  fact("capital, turkey", "Ankara", "Istanbul, Izmir, Bursa"),
  fact("capital, vietnam", "Hanoi", "Ho Chi Minh City, Hue, Da Nang"),
  fact("symbol, gold", "Au", "Ag, Go, Gd"),
  fact("symbol, iron", "Fe", "Ir, In, Io"),
  fact("symbol, potassium", "K", "P, Po, Pt"),
  fact("symbol, sodium", "Na", "So, Sd, Sn"),
  fact("symbol, tungsten", "W", "T, Tu, Tg"),
  fact("atomic number, carbon", "6", "12, 4, 8"),
  fact("atomic number, oxygen", "8", "16, 6, 7"),
  fact("lightest, element|gas", "Hydrogen", "Helium, Lithium, Oxygen"),
  fact("most abundant|most common|most, gas, atmosphere|air", "Nitrogen", "Oxygen, Carbon dioxide, Argon"),
  fact("hardest, mineral|material", "Diamond", "Quartz, Granite, Topaz"),
  fact("year|when, berlin wall", "1989", "1991, 1987, 1990"),
  fact("year|when, french revolution", "1789", "1776, 1799, 1815"),
  fact("year|when, magna carta", "1215", "1066, 1265, 1315"),
  fact("year|when, moon landing|land on the moon|walk on the moon|walked on the moon", "1969", "1968, 1971, 1965"),
  fact("year|when, titanic", "1912", "1910, 1914, 1921"),
  fact("year|when, second world war|world war ii|world war 2|world war two, end|over", "1945", "1944, 1946, 1943"),
  fact("largest|biggest, planet", "Jupiter", "Saturn, Neptune, Uranus"),
  fact("planet, closest|nearest, sun", "Mercury", "Venus, Mars, Earth"),
  fact("how many, planets, solar system", "8", "9, 7, 10"),
  fact("how many, bones, human", "206", "208, 212, 196"),
  fact("how many, chambers, heart", "4", "2, 3, 5"),
  fact("who, wrote, hamlet", "William Shakespeare", "Christopher Marlowe, Ben Jonson, John Webster"),
  fact("who, wrote, don quixote", "Miguel de Cervantes", "Lope de Vega, Dante Alighieri, Francisco de Quevedo"),
  fact("who, painted, mona lisa", "Leonardo da Vinci", "Michelangelo, Raphael, Titian"),
  fact("who, composed|wrote, magic flute", "Wolfgang Amadeus Mozart", "Joseph Haydn, Ludwig van Beethoven, Franz Schubert"),
  fact("largest|biggest, ocean", "Pacific", "Atlantic, Indian, Arctic"),
  fact("highest|tallest, mountain", "Mount Everest", "K2, Mont Blanc, Kangchenjunga"),
];

/** A question fits in this; a text that only happens to hold the keys seldom does. */
const MAX_QUESTION = 1000;

/** The fact that a text asks for. */
export function findFact(text: string): Fact | undefined {
  if (text.length > MAX_QUESTION || !/\?|\b(?:what|which|who|when|how|name|tell|give|capital|symbol)\b/i.test(text)) return undefined;
  const words = ` ${text.toLowerCase().replaceAll(/[^\p{L}\p{N}]+/gu, " ")} `;
  const holds = (key: string) => key.split("|").some((phrase) => words.includes(` ${phrase} `));
  return facts.find(({ keys }) => keys.every(holds));
}

/** One line of a multiple choice. */
interface Option {
  readonly letter: string;
  readonly text: string;
}

/** A text apart: the question, and the options that it offers. */
export interface Asked {
  readonly stem: string;
  readonly options: readonly Option[];
}

/** Reads options written as `A) ...`, `B. ...` or `(C) ...`, lettered in order from A. One alone is none. */
export function readOptions(text: string): Asked {
  if (text.length > MAX_QUESTION) return { stem: text, options: [] };
  const marks = [...text.matchAll(/(?<=^|\s)\(?([A-H])(?:\)|[.:](?=\s))\s*/g)];
  const options: Option[] = [];
  let stem = text;
  for (const [i, mark] of marks.entries()) {
    const letter = mark[1] ?? "";
    if (letter !== "ABCDEFGH"[options.length]) continue;
    if (options.length === 0) stem = text.slice(0, mark.index);
    const rest = text.slice(mark.index + mark[0].length, marks[i + 1]?.index);
    options.push({ letter, text: (rest.split("\n", 1)[0] ?? "").trim().replace(/[,;.]$/, "") });
  }
  return options.length < 2 ? { stem: text, options: [] } : { stem, options };
}
