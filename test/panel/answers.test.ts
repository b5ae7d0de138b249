import * as fc from "../support/properties.ts";
import { describe, expect, test } from "vitest";
import { type AnswerKind, type AnswerRule, extractAnswer, resolveAuto } from "../../src/panel/answers/answers.ts";

const tex = String.raw;

function keyOf(text: string, rule: AnswerRule): string | undefined {
  return extractAnswer(text, rule)?.key;
}

/** One row a form: what is written, and the key it must have. */
type Forms = Readonly<Record<string, readonly string[]>>;

function rowsOf(forms: Forms): [string, string][] {
  return Object.entries(forms).flatMap(([key, written]) => written.map((text): [string, string] => [text, key]));
}

/** Numbers that stand alone or in a clear statement: `number` and `auto` read them alike. */
const NUMBERS: Forms = {
  "n:42": [
    "42",
    "42.",
    "42!",
    "(42)",
    "+42",
    "４２",
    "**42**",
    "`42`",
    "$42",
    "$42.00",
    "€ 42",
    "42 €",
    "42 dollars",
    "USD 42",
    "42 apples",
    "42 km",
    "42km/h",
    "42 m^2",
    "42°C",
    "42 °C",
    "42個",
    "approximately 42",
    "about $42",
    "≈ 42",
    "x = 42",
    tex`$x = 42$`,
    tex`\(x = 42\)`,
    tex`\boxed{42}`,
    tex`\boxed{42\text{ cm}}`,
    tex`\boxed{\text{42}}`,
    tex`The answer is $\boxed{42}$.`,
    "forty-two",
    "Forty two.",
    "#### 42",
    "<answer>42</answer>",
    "<think>It might be 13.</think>42",
    "6 * 7 = 42",
    "So 12 + 30 = 42 apples.",
    "The total is **42** dollars.",
    "The answer is 42.",
    "The answer is 42, because 6 * 7 = 42.",
    "The answer is 42 because that is what we found",
    "The answer is therefore 42",
    "The answer to the question is 42",
    "The correct answer would be 42.",
    "The final answer is:\n\n42",
    "## Final Answer\n\n**42**",
    "**Final answer:** 42",
    "**Answer: 42**",
    "Answer (in km): 42",
    "Answer = 42",
    "Result: 42",
    '{"answer": 42',
    "First I thought that the answer is 41. But the answer is 42.",
    "Therefore, the answer is 42. I am confident that the answer is correct.",
    "Answer: Let us think step by step.\nSix times seven.\n6 * 7 = 42",
    "Answer: There are 15 trees. Then there are 57 trees. So 57 - 15 = 42.",
    "Answer: 42. Check: 84 / 2 = 42 by 2 ways.",
    "Die Antwort ist 42.",
    "Antwort: 42",
    "Endergebnis: 42",
    "Das Ergebnis beträgt 42 kg.",
    "Die Lösung lautet 42.",
    "La réponse est 42.",
    "Réponse finale : 42",
    "La respuesta es 42.",
    "La respuesta correcta es: 42",
    "Respuesta final: 42",
    "La risposta è 42.",
    "Risposta: 42",
    "A resposta é 42.",
    "Resposta final: 42",
    "Het antwoord is 42.",
    "Antwoord: 42",
    "Ответ: 42",
    "Ответ равен 42.",
    "Правильный ответ — 42",
    "答案是42。",
    "最终答案：42",
    "答えは42です。",
    "答え：42",
  ],
  "n:-42": ["-42", "x = - 42", "−42", "–42", "-$42", "$-42", "minus 42", "negative 42", "minus forty-two", "x = -42", "The answer is -42."],
  "n:1234.5": [
    "1234.5",
    "1,234.5",
    "1.234,5",
    "1 234,5",
    "1\u00a0234,50 €",
    "1\u202f234.5",
    "1'234.50",
    "$1,234.50",
    tex`1{,}234.5`,
    tex`1\,234.5`,
    "1.2345e3",
    tex`1.2345 \times 10^3`,
    tex`1.2345 \times 10^{3}`,
    "1.2345×10³",
    "1.2345 * 10^3",
    "1.2345k",
    "1.2345 thousand",
  ],
  "n:1234567": ["1234567", "1,234,567", "1.234.567", "1 234 567", "12,34,567", "1'234'567", "1.234567 million", "$1.234567M"],
  "n:1234": ["1,234", "1,234.0", "1234.000", "1 234"],
  "n:1.234": ["1.234", "1.2340"],
  "n:3.14": ["3.14", "3,14", "≈ 3.14"],
  "n:0.75": [
    "0.75",
    ".75",
    "0,75",
    "3/4",
    "3 / 4",
    "6/8",
    tex`\frac{3}{4}`,
    tex`\dfrac{3}{4}`,
    tex`\tfrac34`,
    tex`\boxed{\frac{3}{4}}`,
    tex`\boxed{\dfrac34}`,
    "¾",
    "three quarters",
    "7.5e-1",
  ],
  "n:1.5": ["1.5", "3/2", "1 1/2", "1½", tex`1\frac{1}{2}`, "one and a half"],
  "n:-0.5": ["-1/2", tex`-\frac{1}{2}`, tex`\frac{-1}{2}`, "-½"],
  "n:1/3": ["1/3", "2/6", "one third", tex`\frac13`],
  "n:50%": [
    "50%",
    "50 %",
    "50.0%",
    tex`50\%`,
    tex`\boxed{50\%}`,
    "50 percent",
    "fifty percent",
    "50 Prozent",
    "50 pour cent",
    "50 por ciento",
    "50％",
  ],
  "n:0.5": ["0.5", "1/2", "½", "half"],
  "n:0": ["0", "-0", "0.00", "zero", "Zero."],
  "n:20": ["20", "twenty", "Twenty."],
  "n:12": ["twelve", "12", "twelve apples"],
  "n:105": ["one hundred and five", "105"],
  "n:1000000": ["1 million", "one million", "10^6", "1e6", "1,000,000 people"],
  "n:50000": ["50000", "5万"],
  "n:1024": ["2^10", tex`2^{10}`, "1,024"],
  "n:1e999999": ["1e999999"],
};

/** What only `number` takes for an answer. */
const LOOSE_NUMBERS: Forms = {
  "n:18": [
    "She has 18 eggs (1 dozen and 6).",
    "In the end she sells 18 of them.",
    "First 5, then 13 more. That leaves her with 18 eggs every day.",
    "18 Eggs",
  ],
  "n:7": ["The answer is 3 + 4 = 7.", "Answer:\nWe add 3 and 4.\n3 + 4 = 7"],
  "n:0.75": ["The answer is 3/4 or 0.75."],
  "n:2000000": ["Paris has 2 million people"],
};

const NO_NUMBERS = [
  "",
  " \n",
  "Paris",
  "H2O",
  "one of them",
  "2√3",
  tex`\boxed{2\sqrt{3}}`,
  tex`2\pi`,
  "3 + 4",
  "x = 2y",
  "12:30",
  "2024-05-01",
  "192.168.1.1",
  "0x1F",
  "(3,4)",
  "1,2,3",
  "1/0",
  "v1.2",
  "20%-30%",
  tex`\boxed{x = 5 \text{ or } x = 7}`,
  "The answer is 3 and 5.",
  "The answer is 3 hours 20 minutes.",
  "The answer is unknown. I tried 3 things.",
  "<think>It is 42.",
  "It is 42.</think>",
];

describe("number", () => {
  test.each(rowsOf(NUMBERS))("%j is %s", (text, key) => {
    expect(keyOf(text, { kind: "number" })).toBe(key);
  });

  test.each(rowsOf(LOOSE_NUMBERS))("%j is %s", (text, key) => {
    expect(keyOf(text, { kind: "number" })).toBe(key);
  });

  test.each(NO_NUMBERS)("%j has none", (text) => {
    expect(keyOf(text, { kind: "number" })).toBeUndefined();
  });

  test("shows the number as written", () => {
    expect(extractAnswer("The answer is $1,234.50 per month.", { kind: "number" })).toEqual({
      key: "n:1234.5",
      kind: "number",
      shown: "$1,234.50",
    });
  });

  test("keeps every digit", () => {
    expect(keyOf("12345678901234567890", { kind: "number" })).not.toBe(keyOf("12345678901234567891", { kind: "number" }));
  });

  test("reads any decimal alike in all conventions", () => {
    const grouped = (digits: string, mark: string) => digits.replace(/\B(?=(\d{3})+$)/g, mark);
    const parts = fc.tuple(fc.bigInt({ min: 1000n, max: 10n ** 15n }), fc.integer({ min: 1, max: 9 }), fc.boolean());
    fc.assert(
      fc.property(parts, ([whole, part, negative]) => {
        const sign = negative ? "-" : "";
        const key = `n:${sign}${whole}.${part}`;
        for (const [group, point] of [
          [",", "."],
          [".", ","],
          [" ", ","],
          ["\u202f", ","],
          ["'", "."],
        ] as const) {
          expect(keyOf(`The answer is ${sign}${grouped(String(whole), group)}${point}${part} km.`, { kind: "number" })).toBe(key);
        }
      }),
    );
  });

  test("reads a fraction as its decimal when it ends, else reduced", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: -999, max: 999 }),
        fc.integer({ min: 1, max: 999 }),
        fc.integer({ min: 2, max: 9 }),
        (top, bottom, times) => {
          const key = keyOf(`${top}/${bottom}`, { kind: "number" });
          expect(keyOf(`${top * times}/${bottom * times}`, { kind: "number" })).toBe(key);
          expect(keyOf(tex`\boxed{\frac{${top}}{${bottom}}}`, { kind: "number" })).toBe(key);
          const decimal = String(top / bottom);
          if (decimal.length < 10 && !decimal.includes("e")) expect(key).toBe(`n:${decimal}`);
        },
      ),
    );
  });
});

const CAPITALS = ["A) Berlin", "B) Paris", "C) Paris, Texas", "D) None of the above"];

const CHOICES: Forms = {
  "c:B": [
    "B",
    "b",
    "B.",
    "B)",
    "(B)",
    "[B]",
    "b)",
    "(b)",
    "**B**",
    "**B)**",
    "**B.** Paris",
    "B) Paris",
    "B. Paris",
    "B.Paris",
    "B: Paris",
    "B - Paris",
    "(B) Paris",
    "**B) Paris**",
    "Paris",
    "paris.",
    "It is Paris.",
    "The capital of France is **Paris**.",
    "Option B",
    "option b",
    "Option B is correct.",
    "B is the correct answer.",
    "I choose B",
    "I think it's B",
    "B because it is the capital",
    "answer is B",
    "The answer is B.",
    "The answer is b",
    "The answer is (B).",
    "The answer is **B**.",
    "The answer is clearly B.",
    "The answer is option B.",
    "The correct option is B",
    "The best answer is B: Paris",
    "My final answer is option (B).",
    "Answer: B",
    "**Answer:** B",
    "**Answer: B**",
    "Answer: (B) Paris",
    "Answer - B",
    "Final Answer:\n\nB",
    '{"answer": "B"}',
    "<answer>B</answer>",
    "<think>A?</think>B",
    tex`\boxed{B}`,
    tex`\boxed{\text{B}}`,
    tex`\boxed{\textbf{(B) Paris}}`,
    "B\n\nExplanation: Paris is the capital. Berlin (A) is not.",
    "A is wrong. B is correct.",
    "Option A is wrong. Option B.",
    "Paris, not Berlin.",
    "The answer is Paris, not Berlin.",
    "I considered A. The answer B is correct.",
    "Antwort B ist richtig.",
    "Answer: Let us think step by step.\nIt is in France.\nB",
    "A) Berlin is in Germany\nB) Paris is right\nC) is in Texas\n\nThe answer is B",
    "Die richtige Antwort ist B.",
    "La bonne réponse est B.",
    "La respuesta correcta es la B.",
    "La risposta corretta è B.",
    "A resposta correta é a letra B.",
    "Het juiste antwoord is B.",
    "Ответ: B",
    "Ответ: В", // a Cyrillic Ve
    "答案是B",
    "答案：B",
    "选B",
    "正解はBです",
  ],
  "c:A": ["A", "A.", "a)", "A because it is", "Berlin", "The answer is A."],
  "c:C": ["C", "Paris, Texas", "It is Paris, Texas.", "C) Paris, Texas"],
  "c:D": ["None of the above", "D - none of the above"],
};

const NO_CHOICES = [
  "",
  "E",
  "Z)",
  "A or B",
  "A and B",
  "Both A and B",
  "The answer is A or B",
  "Berlin or Paris",
  "Maybe A, maybe B",
  "A dog",
  "I don't know",
  "I'm not sure",
  "The answer is unknown",
  "B is wrong.",
  "Not A",
];

describe("choice", () => {
  test.each(rowsOf(CHOICES))("%j is %s", (text, key) => {
    expect(keyOf(text, { kind: "choice", options: CAPITALS })).toBe(key);
  });

  test.each(NO_CHOICES)("%j is none", (text) => {
    expect(keyOf(text, { kind: "choice", options: CAPITALS })).toBeUndefined();
  });

  test.each([
    ["Yes.", "c:yes"],
    ["No, I know it.", "c:no"],
    ["The answer is yes", "c:yes"],
    ["yes and no", undefined],
    ["I know", undefined],
  ])("%j among options without labels is %s", (text, key) => {
    expect(keyOf(text, { kind: "choice", options: ["yes", "no"] })).toBe(key);
  });

  test.each([
    ["0.5", "c:A"],
    ["The answer is 0.5.", "c:A"],
    ["1/2", "c:A"],
    ["1 + 2 = 3", "c:C"],
    ["0.1", undefined],
  ])("%j among numbers is %s", (text, key) => {
    expect(keyOf(text, { kind: "choice", options: ["A) 1/2", "B) 1/4", "C) 3"] })).toBe(key);
  });

  test.each([
    ["2", "c:2"],
    ["2) Paris", "c:2"],
    ["Option 2", "c:2"],
    ["The answer is 2.", "c:2"],
  ])("%j among numbered options is %s", (text, key) => {
    expect(keyOf(text, { kind: "choice", options: ["1) Berlin", "2) Paris"] })).toBe(key);
  });

  test("reads the labels of another script, and their Latin twins", () => {
    const rule: AnswerRule = { kind: "choice", options: ["А) Берлин", "Б) Париж", "В) Рим"] };
    expect(["Ответ: Б", "Б) Париж", "Париж"].map((text) => keyOf(text, rule))).toEqual(["c:Б", "c:Б", "c:Б"]);
    expect(keyOf("A", rule)).toBe("c:А");
  });

  test("knows the labels A to J when there are no options", () => {
    expect(["B", "(J)", "K", "I think so"].map((text) => keyOf(text, { kind: "choice" }))).toEqual(["c:B", "c:J", undefined, undefined]);
  });
});

const TEXTS: Forms = {
  "t:paris": [
    "Paris",
    "PARIS",
    "Paris.",
    '"Paris"',
    "**Paris**",
    "Ｐａｒｉｓ",
    "  Paris \n",
    "The Paris",
    "The answer is Paris.",
    "Answer: Paris",
    "Final answer: Paris, because it is the seat of government.",
    "The capital of France is **Paris**.",
    tex`\boxed{\text{Paris}}`,
    "<answer>Paris</answer>",
    "I am sure that the answer is correct. The answer is Paris.",
  ],
  "t:st petersburg": ["St. Petersburg", "Answer: St. Petersburg. It lies on the Neva."],
  "t:usa": ["USA", "U.S.A."],
  "t:c#": ["C#"],
  "t:c++": ["C++"],
  "t:c": ["C"],
  "t:dont": ["don't", "don’t"],
  "t:x": ["x"],
  "t:-x": ["-x", "y = -x"],
  "t:-π/2": [tex`-\frac{\pi}{2}`, "-π/2"],
  "t:2√3": ["2√3", tex`2\sqrt{3}`, tex`\boxed{2\sqrt3}`],
  "t:x+1": ["x+1", "x + 1"],
  "t:(1,2]": ["(1, 2]", "(1,2]"],
  "t:1,2,3": ["1, 2, 3", "1,2,3"],
  "t:12:30": ["12:30"],
  "t:2024-05-01": ["2024-05-01"],
  "t:-5": ["-5", "−5"],
  "t:5": ["5", "5.", "$5"],
  "t:donau": ["Die Antwort ist die Donau."],
  "t:eau": ["L'eau", "l’eau"],
  "t:москва": ["Ответ: Москва."],
  "t:巴黎": ["答案是巴黎。"],
  "t:東京": ["答えは東京です。"],
  "t:right": ["Right.", "The answer is Right."],
  "t:the": ["the"],
  "t:%": ["%"],
};

describe("exact", () => {
  test.each(rowsOf(TEXTS))("%j is %s", (text, key) => {
    expect(keyOf(text, { kind: "exact" })).toBe(key);
  });

  test("does not take the start of a longer text for its answer", () => {
    const texts = ["It is Paris.", "It is Rome."].map((end) => `Answer: Let us think step by step.\n${end}`);
    expect(keyOf(texts[0] ?? "", { kind: "exact" })).not.toBe(keyOf(texts[1] ?? "", { kind: "exact" }));
  });

  test.each(["", "  ", "...", "**", "<think>Paris"])("%j has no words", (text) => {
    expect(keyOf(text, { kind: "exact" })).toBeUndefined();
  });

  test("compares a long text by itself, save case and spaces", () => {
    const text = "It depends on many things. ".repeat(40);
    expect(keyOf(text.toUpperCase().replaceAll(" ", "  "), { kind: "exact" })).toBe(keyOf(text, { kind: "exact" }));
    expect(keyOf(`${text}-5`, { kind: "exact" })).not.toBe(keyOf(`${text}5`, { kind: "exact" }));
  });

  test("bounds what it shows", () => {
    expect(extractAnswer("word ".repeat(1000), { kind: "exact" })?.shown.length).toBeLessThanOrEqual(120);
  });
});

const JSONS: Forms = {
  'j:{"a":2,"b":1}': [
    '{"b":1,"a":2}',
    '{"a": 2.0, "b": 1e0}',
    '```json\n{"a": 2,\n "b": 1}\n```',
    '```\n{"a":2,"b":1}\n```',
    'Here it is: {"a": 2, "b": 1}. Done.',
    'Instead of {} or {"a": 1}, use {"a": 2, "b": 1}',
    'The answer is {"b":1,"a":2}',
    '<think>{"a":1}</think>{"a":2,"b":1}',
    'He said "this {"a":2,"b":1}',
  ],
  "j:[1,2,3]": ["[1, 2, 3]", "[1.0,2,3]", "```json\n[1,2,3]\n```", "The list [1, 2, 3] of [1]"],
  'j:[3,{"x":null,"y":true}]': ['[3,{"y":true,"x":null}]'],
  'j:{"a":"}"}': ['{"a":"}"}', 'See {"a": "}"}'],
  "j:42": ["42", "4.2e1"],
  'j:"x"': ['"x"'],
  "j:null": ["null"],
  'j:{"id":12345678901234567891}': ['{"id": 12345678901234567891}'],
  'j:{"__proto__":1}': ['{"__proto__":1}'],
};

describe("json", () => {
  test.each(rowsOf(JSONS))("%j is %s", (text, key) => {
    expect(keyOf(text, { kind: "json" })).toBe(key);
  });

  test.each(["", "Paris", '{"a":', "{a: 1}", "see [1]", "{}}{", "[".repeat(300) + "]".repeat(300)])("%j is none", (text) => {
    expect(keyOf(text, { kind: "json" })).toBeUndefined();
  });

  test("does not depend on the order of keys or on spaces", () => {
    const reversed = (value: unknown): unknown => {
      if (typeof value !== "object" || value === null) return value;
      if (Array.isArray(value)) return value.map(reversed);
      return Object.fromEntries(
        Object.entries(value)
          .reverse()
          .map(([name, item]) => [name, reversed(item)]),
      );
    };
    // An own key "__proto__" can not be built by assignment; the table has it.
    const value = fc.dictionary(
      fc.string().filter((name) => name !== "__proto__"),
      fc.jsonValue({ noUnicodeString: false, maxDepth: 3 }),
      { minKeys: 1 },
    );
    fc.assert(
      fc.property(value, (json) => {
        const plain = JSON.parse(JSON.stringify(json)) as unknown;
        fc.pre(!JSON.stringify(plain).includes("__proto__") && !JSON.stringify(plain).includes("</"));
        const key = keyOf(JSON.stringify(plain), { kind: "json" });
        expect(key).toBeDefined();
        expect(keyOf(JSON.stringify(reversed(plain), undefined, 2), { kind: "json" })).toBe(key);
        expect(keyOf(JSON.stringify(plain), { kind: "auto" })).toBe(key);
      }),
    );
  });
});

describe("regex", () => {
  test.each([
    ["ID: ab-12", "ID: (\\S+)", "r:ab-12"],
    ["first 1, last 2", "\\d", "r:2"],
    ["Verdict: PASS\nnote", "^Verdict: (.*)$", "r:pass"],
    ["nothing", "\\d", undefined],
    ["nothing", "(", undefined],
    ["nothing", "x*", undefined],
  ])("%j by %j is %s", (text, pattern, key) => {
    expect(keyOf(text, { kind: "regex", pattern })).toBe(key);
  });

  test("finds nothing without a pattern", () => {
    expect(keyOf("42", { kind: "regex" })).toBeUndefined();
  });

  test("looks at the last 20,000 characters", () => {
    expect(keyOf(`ID: 1${" ".repeat(20_000)}`, { kind: "regex", pattern: "\\d" })).toBeUndefined();
    expect(keyOf(`ID: 1${" ".repeat(19_999)}`, { kind: "regex", pattern: "\\d" })).toBe("r:1");
  });
});

describe("auto", () => {
  const auto: AnswerRule = { kind: "auto" };

  test.each(rowsOf(NUMBERS))("%j is %s", (text, key) => {
    expect(keyOf(text, auto)).toBe(key);
  });

  test.each([
    ["Paris", "t:paris"],
    ["12 Angry Men", "t:12 angry men"],
    ["5 pm", "t:17:00"],
    ["007", "t:007"],
    ["2√3", "t:2√3"],
    ["3 hours 20 minutes", "t:3 hours 20 minutes"],
    ["The answer is 3 and 5.", "t:3,5"],
    ["Harold was king in 1066.", "t:harold was king in 1066"],
    ["The interval is [0, 1].", "t:interval is 0,1"],
    ["2\n3\n5", "t:2 3 5"],
    ["[1, 2]", "t:[1,2]"],
    ['The object is {"a": 1}.', 'j:{"a":1}'],
    ["Step 1 is to add.\n\n42\n\nThat is all.", "n:42"],
  ])("%j is %s", (text, key) => {
    expect(keyOf(text, auto)).toBe(key);
  });

  test("reads numbers as loosely as `number` when the prompt asks for a quantity", () => {
    const rule = resolveAuto(auto, "How many eggs does she sell?");
    for (const [text, key] of rowsOf(LOOSE_NUMBERS)) expect(keyOf(text, rule)).toBe(key);
    expect(keyOf("She sells none that I know of.", rule)).toBe("t:she sells none that i know of");
  });
});

describe("resolveAuto", () => {
  const auto: AnswerRule = { kind: "auto" };
  const options = ["A) Berlin", "B) Paris", "C) Rome"];

  test.each([
    "Capital of France?\nA) Berlin\nB) Paris\nC) Rome",
    "Capital of France?\n\nA. Berlin\n\nB. Paris\n\nC. Rome\n\nAnswer:",
    "Capital of France? (A) Berlin (B) Paris (C) Rome",
    "Capital of France? A) Berlin B) Paris C) Rome",
    "Choose the capital of France:\nA: Berlin\nB: Paris\nC: Rome",
    "**A.** Berlin\n**B.** Paris\n**C.** Rome\nWhich is the capital of France?",
    "Pick one of the options\n- A) Berlin\n- B) Paris\n- C) Rome",
    "Q: Capital of Spain?\nA) Madrid\nB) Oslo\nAnswer: A\n\nQ: Capital of France?\nA) Berlin\nB) Paris\nC) Rome\nAnswer:",
  ])("finds the options of %j", (prompt) => {
    expect(resolveAuto(auto, prompt)).toEqual({ kind: "choice", options });
    expect(resolveAuto({ kind: "choice" }, prompt)).toEqual({ kind: "choice", options });
  });

  test.each([
    ["Which one?\na) Berlin\nb) Paris", ["a) Berlin", "b) Paris"]],
    ["Which of these?\n1. Berlin\n2. Paris", ["1) Berlin", "2) Paris"]],
    ["Какой город?\nА) Берлин\nБ) Париж\nВ) Рим", ["А) Берлин", "Б) Париж", "В) Рим"]],
    ["下列哪个是首都？\nA. 柏林\nB．巴黎\nC、罗马", ["A) 柏林", "B) 巴黎", "C) 罗马"]],
  ])("finds the options of %j", (prompt, found) => {
    expect(resolveAuto(auto, prompt).options).toEqual(found);
  });

  test.each([
    "What is the capital of France?",
    "Do this:\n1. boil water\n2. add tea",
    "Solve:\na) 3+4\nb) 5+6",
    "Summarise this document:\nA. Introduction\nB. Methods\nC. Results",
    "Translate this. Is it good?\nA: Hi, how are you?\nB: Fine.\nA: Good.\nB: Bye.",
    "Write to A. Smith about section B.",
    "",
  ])("finds none in %j", (prompt) => {
    expect(resolveAuto(auto, prompt)).toEqual(auto);
  });

  test.each([
    "How many eggs are left?",
    "What is 17 * 23?",
    "Calculate the area.",
    "Wie viele Eier?",
    "¿Cuántos huevos?",
    "Сколько яиц?",
    "一共有多少个？",
  ])("sees that %j asks for a quantity", (prompt) => {
    expect(resolveAuto(auto, prompt)).toEqual({ kind: "auto", quantity: true });
  });

  test("leaves what the config says", () => {
    const prompt = "Which? A) 1 B) 2";
    for (const rule of [{ kind: "exact" }, { kind: "number" }, { kind: "choice", options: ["yes", "no"] }] satisfies AnswerRule[]) {
      expect(resolveAuto(rule, prompt)).toBe(rule);
    }
  });
});

describe("different answers", () => {
  test.each([
    ["50%", "0.5", "50"],
    ["1/3", "0.333"],
    ["1,234", "1.234"],
    ["5 am", "5 pm"],
    ["12 Angry Men", "12 Monkeys"],
    ["$1.5M", "$1.5B"],
    ["x", "-x", "x^2"],
    ["x+1", "x-1", "x 1"],
    ["2√3", "2√5", "2", "3"],
    ["(1, 2]", "[1, 2)", "(3, 4)"],
    ["5'3", "53", "5/3", "3/-4", "3-4"],
    ["10^3", "10^-3"],
    ["C", "C#", "C++"],
    ["2024-05-01", "2024-05-02"],
    ["12:30", "1230"],
    ["3 hours 20 minutes", "3 hours 40 minutes"],
    ["12345678901234567890", "12345678901234567891"],
    ['{"a":1}', '{"a":"1"}', '{"b":1}'],
    ["[1,2]", "[2,1]"],
    ["true", '"true, false"'],
    ["The answer is Paris.", "The answer is Rome."],
  ])("%j is not %j", (...texts) => {
    const keys = texts.map((text) => keyOf(text, { kind: "auto" }));
    expect(keys).not.toContain(undefined);
    expect(new Set(keys).size).toBe(texts.length);
  });
});

describe("any text", () => {
  const kinds: readonly AnswerKind[] = ["exact", "choice", "number", "json", "regex", "auto"];
  const rules: readonly AnswerRule[] = [
    ...kinds.map((kind) => ({ kind, pattern: "(\\w+)" })),
    { kind: "choice", options: CAPITALS },
    { kind: "auto", quantity: true },
  ];
  const fragment = fc.constantFrom(
    ..."{ } [ ] ( ) \" ' \\ $ % ^ _ * ** ` ``` # - − = , . : ; / < > | ~ 0 1 12 1,234 3/4 ½ ² ٤ a A B é Я 答 です".split(" "),
    ..." \n,\r\n,\t,\u00a0,\ud800,\udc00,\u200b".split(","),
    ..."\\boxed{,\\frac{,\\frac12,\\text{,\\sqrt{,^{,</think>,<think>,<answer>,</answer>,the answer is ,Answer: ,答案是,Ответ: ,Option ,one ,hundred ,e5,×10^,```json\n".split(
      ",",
    ),
  );
  const text = fc.oneof(
    fc.string({ unit: "binary", maxLength: 200 }),
    fc.array(fragment, { maxLength: 60 }).map((parts) => parts.join("")),
  );
  const spaces: Readonly<Record<string, string>> = { choice: "c:", number: "n:", json: "j:", exact: "t:", regex: "r:" };

  test("throws nothing, and gives a key in the space of its kind", () => {
    fc.assert(
      fc.property(text, (written) => {
        for (const rule of rules) {
          const answer = extractAnswer(written, rule);
          if (answer === undefined) continue;
          expect(answer.key.startsWith(spaces[answer.kind] ?? "?")).toBe(true);
          expect(answer.key.length).toBeGreaterThan(2);
          expect(answer.shown.length).toBeLessThanOrEqual(120);
          if (rule.kind !== "auto") expect(answer.kind).toBe(rule.kind);
        }
        resolveAuto({ kind: "auto" }, written);
      }),
      { numRuns: 2000 },
    );
  });

  test("gives the same key twice: no reader keeps a place in the last text", () => {
    fc.assert(
      fc.property(text, text, (one, other) => {
        for (const rule of rules) {
          const key = keyOf(one, rule);
          extractAnswer(other, rule);
          expect(keyOf(one, rule)).toBe(key);
        }
      }),
    );
  });

  // Quadratic readers need minutes for these, linear ones milliseconds.
  test.each([
    "a",
    " ",
    "\n",
    "1",
    "1 ",
    "111 ",
    "1,111",
    "0",
    "{",
    "[1,",
    '{"a":',
    "{}",
    '"',
    "\\boxed{",
    "\\frac{1}{",
    "\\text{",
    "*",
    "**1**",
    "```json\n",
    "the answer is ",
    "answer: ",
    "answer (",
    "<answer>",
    "<think>",
    "答案是",
    "one hundred ",
    "A) ",
    "Option A ",
    "- ",
    "½",
    "=",
    "#### 1\n",
  ])("takes linear time for many %j", (unit) => {
    const long = unit.repeat(Math.ceil(200_000 / unit.length));
    const start = performance.now();
    for (const rule of rules) extractAnswer(long, rule);
    resolveAuto({ kind: "auto" }, long);
    expect(performance.now() - start).toBeLessThan(5000);
  });
});
