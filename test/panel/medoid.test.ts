import { expect, test } from "vitest";
import { medoid } from "../../src/panel/voting/medoid.ts";

test.each<readonly [string, readonly string[], number]>([
  ["nothing", [], -1],
  ["one text", ["a"], 0],
  ["two texts: the first", ["Paris", "Rome"], 0],
  ["the text in the middle", ["the cat sat", "the cat sat on the mat", "a cat on the mat"], 1],
  ["one of the many, not the odd one", ["something else entirely", "it is Paris, France", "it is Paris in France"], 1],
  ["the earliest of equals", ["x y z", "same", "same", "other"], 1],
  ["whatever the case and the spaces", ["no", "Same   Text", "same text", "maybe"], 1],
  ["scripts without words", ["巴黎是法国的首都", "法国的首都是巴黎", "我不知道"], 0],
  ["empty texts", ["", ""], 0],
])("takes, of %s", (_, texts, index) => {
  expect(medoid(texts)).toBe(index);
});

test("takes bounded time for long texts", () => {
  const texts = Array.from({ length: 16 }, (_, i) => `${i} lorem ipsum `.repeat(20_000));
  const startMs = performance.now();
  medoid(texts);
  expect(performance.now() - startMs).toBeLessThan(500);
});
