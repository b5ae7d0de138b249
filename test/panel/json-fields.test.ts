import { describe, expect, test } from "vitest";
import { mergeFields, mergeTexts } from "../../src/panel/voting/json-fields.ts";

function merged(values: readonly unknown[], weights: readonly number[] = []) {
  return mergeFields(values.map((value, order) => ({ value, order, weight: weights[order] ?? 1 })));
}

describe("mergeFields", () => {
  test("settles each leaf by itself", () => {
    expect(
      merged([
        { a: 1, b: 1 },
        { a: 1, b: 2 },
        { a: 2, b: 2 },
      ]),
    ).toEqual({ value: { a: 1, b: 2 }, support: 2 / 3 });
  });

  test("goes into nested objects", () => {
    expect(merged([{ x: { y: 1, z: 0 } }, { x: { y: 2, z: 0 } }, { x: { y: 2, z: 1 } }]).value).toEqual({ x: { y: 2, z: 0 } });
  });

  test("compares arrays whole", () => {
    expect(merged([{ a: [1, 2] }, { a: [2, 1] }, { a: [2, 1] }]).value).toEqual({ a: [2, 1] });
  });

  test("leaves out what most leave out", () => {
    expect(merged([{ a: 1, extra: 1 }, { a: 1 }, { a: 1 }]).value).toEqual({ a: 1 });
    expect(merged([{ a: 1 }, { a: 1, b: null }, { a: 1, b: null }]).value).toEqual({ a: 1, b: null });
  });

  test("gives ties to the earliest", () => {
    expect(merged([{ a: 1 }, { a: 2 }])).toEqual({ value: { a: 1 }, support: 0.5 });
  });

  test("weighs", () => {
    expect(merged([{ a: 1 }, { a: 2 }, { a: 2 }], [5, 1, 1]).value).toEqual({ a: 1 });
  });

  test("takes an object and a leaf for different answers", () => {
    expect(merged([{ a: { b: 1 } }, { a: 1 }, { a: 1 }]).value).toEqual({ a: 1 });
    expect(merged([1, 2, 2])).toEqual({ value: 2, support: 2 / 3 });
  });

  test("treats names of the language as names", () => {
    const value = JSON.parse('{"__proto__":{"a":1},"constructor":2}') as unknown;
    expect(JSON.stringify(merged([value, value]).value)).toBe('{"__proto__":{"a":1},"constructor":2}');
  });
});

describe("mergeTexts", () => {
  const texts = (...given: string[]) => given.map((text, order) => ({ text, order, weight: 1 }));

  test("keeps whole answers whole where merging could change them", () => {
    expect(mergeTexts(texts('{"a":1}', "not json"), undefined)).toBeUndefined();
    expect(mergeTexts(texts('{"id":12345678901234567890}', '{"id":1}'), undefined)).toBeUndefined();
    expect(mergeTexts(texts('{"a":1}'), () => "invalid")).toBeUndefined();
    expect(mergeTexts(texts('{"a":1}', '{"a":1}'), () => undefined)).toEqual({ text: '{"a":1}', support: 1 });
  });
});
