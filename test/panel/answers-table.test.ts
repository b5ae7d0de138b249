import { describe, expect, test } from "vitest";
import { type AnswerRule, extractAnswer, meantBy, resolveAuto } from "../../src/panel/answers/answers.ts";

const tex = String.raw;
const auto: AnswerRule = { kind: "auto" };

/** One row is one answer in the hands of several models: all of them equal. Read by `auto`, as a vote reads them when nobody says more. */
const SAME: Readonly<Record<string, readonly string[]>> = {
  "a whole number": ["42", "42.", "42.0", "**42**", "forty-two", tex`\boxed{42}`, "<answer>42</answer>", "#### 42", "6 * 7 = 42", "４２"],
  "a large number": ["1234567.5", "1,234,567.5", "1.234.567,5", "1 234 567,5", "1'234'567.5", tex`1{,}234{,}567.5`, "1.2345675e6"],
  "a number of 16 digits": ["1234567890123456", "The answer is 1234567890123456.", tex`\boxed{1234567890123456}`, "1,234,567,890,123,456"],
  "a number of 20 digits": [
    "12345678901234567890",
    "It is 12345678901234567890.",
    tex`\boxed{12345678901234567890}`,
    "**12345678901234567890**",
  ],
  "a negative number of 20 digits": ["-12345678901234567890", "The answer is -12345678901234567890.", tex`\boxed{-12345678901234567890}`],
  "Indian groups": ["1234567", "12,34,567", "1,234,567"],
  "a fraction that ends": ["3/4", "0.75", "0,75", ".75", tex`\frac{3}{4}`, tex`\tfrac34`, tex`\dfrac{6}{8}`, "¾", "three quarters"],
  "a fraction that does not end": ["1/3", "2/6", tex`\frac{1}{3}`, "one third", "⅓"],
  "a mixed number": ["1 1/2", "1½", "3/2", "1.5", tex`1\frac{1}{2}`, "one and a half"],
  "a negative fraction": ["-1/2", tex`-\frac{1}{2}`, tex`\frac{-1}{2}`, tex`\frac{1}{-2}`, "−0.5", "minus one half"],
  "a percentage": ["50%", "50 %", "50.0 percent", tex`50\%`, "fifty percent", "50 Prozent", "50 pour cent", "50％", "50 процентов"],
  money: ["$5", "$5.00", "5 USD", "5 US dollars", "USD 5", "5 dollars"],
  "euros in two conventions": ["1.234,50 €", "€1,234.50", "1 234,50 EUR", "EUR 1234.5"],
  "a speed": ["5 km/h", "5km/h", tex`5\ \text{km/h}`, tex`\boxed{5\,\mathrm{km/h}}`],
  "an area": ["42 cm²", "42 cm^2", tex`42\text{ cm}^2`, "42 square centimeters"],
  "an angle or a temperature": ["37°", "37 degrees", tex`37^\circ`, tex`37^{\circ}`, "37 °C"],
  "a power of ten": ["0.001", "10^-3", tex`10^{-3}`, "10⁻³", "1e-3", tex`1 \times 10^{-3}`],
  "a root": ["2√3", tex`2\sqrt{3}`, tex`\boxed{2\sqrt3}`, "2sqrt(3)", "2*sqrt(3)", "2 * sqrt(3)"],
  "a part of pi": ["π/2", tex`\frac{\pi}{2}`, tex`\pi/2`, "pi/2"],
  "twice pi": ["2π", tex`2\pi`, "2pi", "2*pi"],
  "a term": ["x^2+1", "x² + 1", tex`x^{2} + 1`, "x**2 + 1", "y = x^2 + 1"],
  infinity: ["∞", tex`\infty`, "infinity", tex`\boxed{\infty}`, "+∞"],
  "a set": [
    "{1, 2, 3}",
    "{3,2,1}",
    tex`\{1, 2, 3\}`,
    tex`\boxed{\{3, 1, 2\}}`,
    "The answer is {2, 1, 3}.",
    "{1, 2, 2, 3}",
    "1, 2, 3",
    "1, 2 and 3",
  ],
  "a set of fractions": ["{0.5, 2}", tex`\left\{\frac{1}{2}, 2\right\}`, "{2; 0,5}", "x = 1/2 or x = 2", "x = 2 oder x = 0,5"],
  "the empty set": ["∅", tex`\emptyset`, tex`\varnothing`, "{}", tex`\boxed{\emptyset}`],
  "a half-open interval": ["[0, 1)", "[0,1)", "[0,1[", tex`\left[0, 1\right)`, tex`x \in [0,1)`, "[0; 1)", "[0.0, 1)"],
  "an interval with a fraction": ["[0, 1/2]", "[0, 0.5]", tex`\left[0, \frac{1}{2}\right]`, tex`\boxed{[0, 0.5]}`],
  "an unbounded interval": ["(-∞, 3]", tex`(-\infty, 3]`, "(-inf, 3]", "]-∞; 3]", tex`x \in (-\infty,3]`],
  "a union": ["(-∞, 0) ∪ (1, ∞)", tex`(-\infty,0)\cup(1,\infty)`, "(-∞,0) U (1,+∞)"],
  "a point": ["(3, π/2)", tex`\left(3, \frac{\pi}{2}\right)`, "(3, pi/2)", "(3.0, π/2)"],
  "a ratio": ["1:2", "1 : 2"],
  "a date": [
    "2024-05-01",
    "2024/05/01",
    "May 1, 2024",
    "May 1st, 2024.",
    "1 May 2024",
    "1st of May 2024",
    "Wednesday, May 1, 2024",
    "The answer is May 1, 2024.",
    "1. Mai 2024",
    "am 1. Mai 2024",
    "01.05.2024",
    "le 1er mai 2024",
    "1 de mayo de 2024",
    "1 maggio 2024",
    "1 de maio de 2024",
    "1 mei 2024",
    "1 мая 2024 года",
    "2024年5月1日",
  ],
  "a date that only reads in one way": ["7/20/1969", "20/7/1969", "July 20, 1969", "20.7.1969", "1969-07-20"],
  "a day of the year": ["July 4", "4 July", "the 4th of July", "4. Juli", "4 de julio"],
  "a month": ["May 2024", "2024-05", "Mai 2024"],
  "a date before our era": ["15 March 44 BC", "March 15, 44 BC", "15 March 44 v. Chr."],
  "a time of day": ["5 pm", "5:00 PM", "5 p.m.", "17:00"],
  "a name": ["Paris", "paris.", "**Paris**", '"Paris"', "The answer is Paris.", tex`\boxed{\text{Paris}}`, "It's a city.\n\nAnswer: Paris"],
  "a noun with its article": ["The Danube", "Danube", "The answer is the Danube."],
  yes: ["Yes", "yes.", "YES!", "**Yes**"],
  code: ["```python\nprint(14)\n```", "```\nprint(14)\n```", "```py\nprint(14)   \n\n```"],
  "words in a fence": ["Paris", "```\nParis\n```", "Answer:\n```text\nParis\n```"],
  "an object": ['{"a":2,"b":1}', '```json\n{"b": 1, "a": 2.0}\n```', 'Here it is: {"a": 2, "b": 1}.'],
};

/** The same number said in the ways of many languages. */
const MARKERS: readonly string[] = [
  "The answer is 42.",
  "The final answer is: $\\boxed{42}$",
  "Therefore, the answer is 42.",
  "**Final Answer**\n\n42",
  "Answer: 42",
  "Die Antwort ist 42.",
  "Somit ist die Antwort 42.",
  "Also ist das Ergebnis 42.",
  "Die richtige Antwort lautet: 42",
  "Antwort: 42",
  "La réponse est 42.",
  "Donc, la réponse finale est : 42",
  "Réponse : 42",
  "La respuesta es 42.",
  "Por lo tanto, la respuesta correcta es 42.",
  "Respuesta final: 42",
  "La risposta è 42.",
  "Quindi la risposta corretta è 42.",
  "Risposta: 42",
  "A resposta é 42.",
  "Portanto, a resposta final é 42.",
  "Resposta: 42",
  "Het antwoord is 42.",
  "Dus is het antwoord 42.",
  "Antwoord: 42",
  "答案是42。",
  "因此，答案为42。",
  "最终答案：42",
  "答えは42です。",
  "最終的な答えは42です。",
  "答え：42",
  "Ответ: 42",
  "Итак, ответ 42.",
  "Правильный ответ — 42",
  "Odpowiedź: 42",
  "Svar: 42",
  "Cevap: 42",
  "Đáp án: 42",
  "정답: 42",
  "정답은 42입니다.",
  "الجواب: 42",
  "उत्तर: 42",
];

/** Thoughts as models write them: nothing in them is the answer. */
const THOUGHTS: readonly string[] = [
  "<think>It may be 13.</think>42",
  "It may be 13.</think>\n\n42",
  "<think>\n\n</think>\n\n42",
  "<thinking>The answer is 13.</thinking>\n42",
  "<thought>The answer is 13.</thought>\n42",
  "<reasoning>\\boxed{13}</reasoning>\n**42**",
  "[THINK]The answer is 13.[/THINK]42",
  "◁think▷The answer is 13.◁/think▷42",
  "<|channel|>analysis<|message|>The answer is 13.<|end|><|start|>assistant<|channel|>final<|message|>42<|return|>",
];

/** The option B in the ways of many models; the options are those of the prompt. */
const CHOICES: readonly string[] = [
  "B",
  "b",
  "(B)",
  "B.",
  "B)",
  "[B]",
  "**B**",
  "Ⓑ",
  "B: Paris",
  "B - Paris",
  "**B) Paris**",
  "Paris",
  "Option B",
  "Choice B",
  "Answer: B",
  "Ans: B",
  "ANSWER: (B) Paris",
  "The answer is **(B)**.",
  "The correct option is B.",
  "I would choose option B",
  "I'd go with B.",
  "Therefore, B.",
  "The correct answer is not A but B.",
  tex`\boxed{B}`,
  tex`\boxed{\text{(B) Paris}}`,
  tex`The final answer is $\textbf{B}$.`,
  '{"answer": "B"}',
  "<answer>B</answer>",
  "<think>A looks right.</think>B",
  "```\nB\n```",
  "Die richtige Antwort ist B.",
  "La bonne réponse est B.",
  "La opción correcta es la B.",
  "La risposta esatta è la B.",
  "A alternativa correta é B.",
  "Het goede antwoord is B.",
  "Правильный ответ: B",
  "故选B",
  "本题选B。",
  "正解はBです",
  "정답은 B입니다",
];

/** Answers that look alike and are not: within a row no two may be equal. */
const DIFFERENT: Readonly<Record<string, readonly string[]>> = {
  "percent, share and number": ["50%", "0.5", "50", "50‰"],
  "a rounded fraction": ["1/3", "0.333", "0.33"],
  "a grouping comma and a decimal point": ["1,234", "1.234"],
  magnitudes: ["$1.5M", "$1.5B", "$1.5"],
  signs: ["5", "-5", "±5"],
  "a sum and its parts": ["3 ± 1", "3", "1", "4"],
  roots: ["2√3", "2√5", "√3", "2", "3"],
  "pi and its number": ["2π", "2", "π", "3π"],
  exponents: ["10^3", "10^-3", "103"],
  "open and closed": ["[0, 1)", "(0, 1]", "[0, 1]", "(0, 1)"],
  "ends of an interval": ["(-∞, 3]", "(-∞, -3]", "(3, ∞)", "3"],
  "signs of infinity": ["∞", "-∞"],
  "a union and an interval": ["(-∞, 0) ∪ (1, ∞)", "(0, 1)", "(-∞, 0)"],
  "an ordered pair": ["(3, 4)", "(4, 3)", "3.4", "34"],
  "a list keeps its order": ["1, 2, 3", "3, 2, 1", "123", "1,23"],
  sets: ["{1, 2}", "{1, 2, 3}", "{1}", "1.2"],
  dates: ["May 1, 2024", "May 2, 2024", "June 1, 2024", "May 1, 2023", "May 2024", "May 1", "2024"],
  "a date that reads in two ways": ["5/1/2024", "1/5/2024", "2024-05-01"],
  "halves of the day": ["5 am", "5 pm", "5"],
  "noon and midnight": ["12 am", "12 pm"],
  eras: ["March 15, 0044", "March 15, 0044 BC"],
  ratios: ["1:2", "2:1", "1/2", "12"],
  "lengths of time": ["3 hours 20 minutes", "3 hours 40 minutes", "3 hours", "3, 20"],
  "two units": ["5 km and 3 m", "5 and 3"],
  "titles and numbers": ["12 Angry Men", "12 Monkeys", "12"],
  languages: ["C", "C#", "C++"],
  terms: ["x+1", "x-1", "-x", "x^2"],
  code: ["```\nf(a[0])\n```", "```\nf(a(0))\n```", "```\n!f(a[0])\n```", "```\nf(a[0]) < 1\n```"],
  "long integers": ["12345678901234567890", "12345678901234567891"],
  names: ["Paris", "Paris, Texas", "Rome"],
  "yes and no": ["Yes.", "No.", "Yes and no."],
  "types of JSON": ['{"a":1}', '{"a":"1"}', '{"a":[1]}', '{"b":1}'],
};

const FRANCE = resolveAuto(auto, "What is the capital of France?\nA) Berlin\nB) Paris\nC) Rome\nD) Oslo");

function keysOf(texts: readonly string[], rule: AnswerRule): readonly (string | undefined)[] {
  return texts.map((text) => extractAnswer(text, rule)?.key);
}

/** What `auto` gives each text, by key, so that a failure shows which of them stands apart. */
function classes(texts: readonly string[], rule: AnswerRule): Readonly<Record<string, readonly string[]>> {
  return Object.fromEntries(
    Object.entries(Object.groupBy(texts, (text) => extractAnswer(text, rule)?.key ?? "none")).map(([key, of = []]) => [key, of]),
  );
}

test("the table has at least 120 forms, each once within its row", () => {
  const rows = [...Object.values(SAME), MARKERS, THOUGHTS, CHOICES];
  expect(rows.flat().length + Object.values(DIFFERENT).flat().length).toBeGreaterThanOrEqual(300);
  for (const row of [...rows, ...Object.values(DIFFERENT)]) expect(new Set(row).size).toBe(row.length);
});

describe("the same answer in another form", () => {
  test.each(Object.entries(SAME))("%s", (_, texts) => {
    const keys = Object.keys(classes(texts, auto));
    expect(keys, JSON.stringify(classes(texts, auto))).toHaveLength(1);
    expect(keys).not.toContain("none");
  });

  test.each(MARKERS.map((text) => [text]))("%j states 42", (text) => {
    expect(keysOf([text], auto)).toEqual(["n:42"]);
    expect(keysOf([text], { kind: "number" })).toEqual(["n:42"]);
  });

  test.each(THOUGHTS.map((text) => [text]))("%j says 42 and no more", (text) => {
    expect(keysOf([text], auto)).toEqual(["n:42"]);
  });

  test.each(CHOICES.map((text) => [text]))("%j chooses B", (text) => {
    expect(keysOf([text], FRANCE)).toEqual(["c:B"]);
  });
});

describe("different answers that look alike", () => {
  test.each(Object.entries(DIFFERENT))("%s", (_, texts) => {
    const keys = keysOf(texts, auto);
    expect(keys).not.toContain(undefined);
    expect(new Set(keys).size, JSON.stringify(classes(texts, auto))).toBe(texts.length);
  });
});

describe("number", () => {
  test.each([
    "{1, 2}",
    "(-∞, 3]",
    tex`(-\infty, 0) \cup (1, \infty)`,
    "[0; 1)",
    "May 1, 2024",
    "1 May 2024",
    "1. Mai 2024",
    "5 pm",
    "3 ± 1",
    "2π",
    "2pi",
    "2sqrt(3)",
    "1 : 2",
    "The answer is (3, 4).",
    "The answer is May 1, 2024.",
  ])("takes no part of %j for an answer", (text) => {
    expect(keysOf([text], { kind: "number" })).toEqual([undefined]);
  });

  test.each([
    "What percentage of them is red?",
    "What percent is that?",
    "Give it as a percentage.",
    "Wie viel Prozent sind das?",
    "百分之几？",
  ])("reads 50 as 50% where %j is asked", (prompt) => {
    const rule = resolveAuto(auto, prompt);
    expect(new Set(keysOf(["50", "50%", "The answer is 50.", "50 percent"], rule))).toEqual(new Set(["n:50%"]));
  });

  test("leaves 50 alone where the percentage is given, not asked", () => {
    const rule = resolveAuto(auto, "A shirt costs $100 and is 50 percent off. How much is it?");
    expect(keysOf(["50", "50%"], rule)).toEqual(["n:50", "n:50%"]);
  });
});

describe("what is compared in meaning", () => {
  test.each([
    ["Let me see. The answer is Mount Everest.", "Mount Everest."],
    ["<think>K2?</think>It is Mount Everest, in Nepal.", "It is Mount Everest, in Nepal."],
    ["Answer: the Nile", "the Nile"],
  ])("of %j it is %j", (text, meant) => {
    expect(meantBy(text)).toBe(meant);
  });

  test("semantic finds equal wordings as `auto` does, before anything is compared in meaning", () => {
    for (const texts of Object.values(SAME)) expect(keysOf(texts, { kind: "semantic" })).toEqual(keysOf(texts, auto));
    expect(resolveAuto({ kind: "semantic" }, "Which? A) x B) y").kind).toBe("choice");
  });
});

/** What the head of the module says that it can not do: not wished for, but known. */
describe("known limits", () => {
  test.each([
    ["algebra", "2(x+1)", "2x+2", false],
    ["a root that simplifies", "√8", "2√2", false],
    ["units", "5 km", "5 m", true],
    ["rounding", "3.14", "3.1416", false],
    ["number words of other languages", "zweiundvierzig", "42", false],
    ["initials", "JFK", "John F. Kennedy", false],
    ["a length of time in another unit", "90 minutes", "1 hour 30 minutes", false],
  ])("%s", (_, one, other, same) => {
    const [a, b] = keysOf([one, other], auto);
    expect(a === b).toBe(same);
  });
});
