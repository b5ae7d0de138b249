import { describe, expect, test } from "vitest";
import { languageOf, languages } from "../../src/panel/route/language.ts";

describe("languageOf", () => {
  test.for<readonly [string, string]>([
    ["en", "What is the capital of France and how far is it from here?"],
    ["en", "Please write a function that sorts this list."],
    ["de", "Wie weit ist es von hier bis nach Berlin und was kostet das?"],
    ["fr", "Quelle est la capitale de la France et comment y aller ?"],
    ["es", "¿Cuál es la capital de España y cómo puedo llegar?"],
    ["it", "Qual è la capitale della Francia e come ci arrivo? Vorrei sapere anche quanto costa per una persona."],
    ["pt", "Qual é a capital do Brasil e como você chega lá? Não sei se é longe."],
    ["nl", "Wat is de hoofdstad van Nederland en hoe kom ik daar?"],
    ["pl", "Jaka jest stolica Polski i jak się tam dostać? Czy to daleko od Krakowa?"],
    ["sv", "Vad är huvudstaden i Sverige och hur kan jag ta mig dit?"],
    ["tr", "Bu şehir için ne kadar zaman var ve nasıl gidilir?"],
    ["vi", "Thủ đô của Việt Nam là gì và làm thế nào để tôi đến đó?"],
    ["id", "Apa ibu kota Indonesia dan bagaimana saya bisa pergi ke sana?"],
    ["zh", "法国的首都是哪里？"],
    ["ja", "フランスの首都はどこですか？"],
    ["ko", "프랑스의 수도는 어디입니까?"],
    ["ru", "Какая столица Франции и как туда добраться?"],
    ["uk", "Яка столиця України і як туди дістатися?"],
    ["ar", "ما هي عاصمة فرنسا؟"],
    ["fa", "پایتخت فرانسه کجاست؟ چگونه می‌توانم بروم؟"],
    ["he", "מהי בירת צרפת?"],
    ["el", "Ποια είναι η πρωτεύουσα της Γαλλίας;"],
    ["hi", "फ्रांस की राजधानी क्या है?"],
    ["th", "เมืองหลวงของฝรั่งเศสคืออะไร"],
  ])("tells %s: %s", ([language, text]) => {
    expect(languageOf(text)).toBe(language);
    expect(languages).toContain(language);
  });

  test.for(["", "2 + 2 = ?", "Paris", "Anna Schmidt", "```python\nwhile not is_done and x is y: pass\n```"])(
    "does not guess at %j",
    (text) => {
      expect(languageOf(text)).toBe("unknown");
    },
  );

  test("a few foreign words do not turn a text", () => {
    expect(languageOf("What does the word 東京 mean, and how is it written in this script?")).toBe("en");
    expect(languageOf("What is the meaning of Weltschmerz and is it the same as sadness?")).toBe("en");
  });

  test("reads the text round code, not the code", () => {
    expect(languageOf("Was ist hier falsch und wie kann ich das beheben?\n```\nif the and is of to: for it in this\n```")).toBe("de");
  });
});
