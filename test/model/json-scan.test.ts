import * as fc from "../support/properties.ts";
import { describe, expect, test } from "vitest";
import { closingQuote, isJsonString, isLegalContent, scanJsonObject } from "../../src/model/json-scan.ts";
import { jsonObject } from "../support/json.ts";

function depthOf(value: unknown): number {
  if (typeof value !== "object" || value === null) return 0;
  return 1 + Math.max(0, ...Object.values(value).map(depthOf));
}

describe("scanJsonObject", () => {
  test("finds the values that JSON.parse finds, where they stand", () => {
    fc.assert(
      fc.property(jsonObject, ({ text, members }) => {
        const { spans, depth } = scanJsonObject(text);
        const found = [...spans].map(([key, [, from, to]]) => ({
          key,
          value: text.slice(from, to),
        }));
        expect(found).toEqual(members);
        expect(depth).toBe(depthOf(members.map(({ value }) => JSON.parse(value) as unknown)));
        for (const [key, [from, value]] of spans) expect(JSON.parse(text.slice(from, value).replace(/\s*:\s*$/, ""))).toBe(key);
      }),
    );
  });

  test("counts a key that stands twice, however it is written", () => {
    const doubled = ['{"a":1,"a":2}', '{"a":1,"\\u0061":2}', '{"a":{"b":1},"c":[],"a":"a"}'];
    for (const text of doubled) {
      const { keys, spans } = scanJsonObject(text);
      expect(keys).toBe(spans.size + 1);
    }
    const { keys, spans } = scanJsonObject('{"a":{"a":1},"b":[{"a":2}],"c":"\\"a\\":3"}');
    expect([keys, spans.size]).toEqual([3, 3]);
  });

  test.for<readonly [string, readonly string[]]>([
    ["{}", []],
    [' { "a" : 1 } ', ["a"]],
    ['{"a\\"b":1,"c":"}"}', ['a"b', "c"]],
    ['{"a\\\\":1,"b":"\\\\","c":"\\\\\\""}', ["a\\", "b", "c"]],
    ['{"":{"":{}}}', [""]],
    ['{"é":"ü","😀":[":",","]}', ["é", "😀"]],
  ])("reads the keys of %s", ([text, keys]) => {
    expect([...scanJsonObject(text).spans.keys()]).toEqual(keys);
  });

  test("follows deep nesting without a stack of its own", () => {
    const deep = 100_000;
    expect(scanJsonObject(`{"a":${"[".repeat(deep)}${"]".repeat(deep)}}`).depth).toBe(deep + 1);
  });
});

describe("closingQuote", () => {
  test("finds the end of what JSON.stringify wrote", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), fc.string(), (content, rest) => {
        const written = JSON.stringify(content);
        expect(closingQuote(written + rest, 1)).toBe(written.length - 1);
      }),
    );
  });

  test.for(["", "abc", "abc\\", 'abc\\"', '\\"', '\\\\\\"'])("says that %s does not end", (text) => {
    expect(closingQuote(text, 0)).toBe(-1);
  });
});

/** What may stand between quotes, and what may not: mostly the characters that decide. */
const pieces = fc.constantFrom(
  "a",
  "é",
  " ",
  "\\",
  "\\\\",
  '"',
  '\\"',
  "\\n",
  "\\u00e9",
  "\\u12",
  "\\x",
  "\\u",
  "0",
  "f",
  "\u007f",
  "\n",
  "\u001f",
  "\0",
);
const content = fc.array(pieces, { maxLength: 40 }).map((some) => some.join(""));

function isTaken(literal: string): boolean {
  try {
    return typeof JSON.parse(literal) === "string";
  } catch {
    return false;
  }
}

test("a JSON string is what JSON.parse takes for one, from its quote to its quote", () => {
  fc.assert(
    fc.property(content, (raw) => {
      const literal = `"${raw}"`;
      expect(isJsonString(literal)).toBe(isTaken(literal));
      if (closingQuote(literal, 1) === literal.length - 1) expect(isLegalContent(raw)).toBe(isTaken(literal));
    }),
  );
});
