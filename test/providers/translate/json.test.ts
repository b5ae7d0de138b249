import * as fc from "../../support/properties.ts";
import { describe, expect, test } from "vitest";
import { readDataUrl } from "../../../src/providers/translate/data-url.ts";
import { elementsOf, parseExactly, RawJson, writeJson } from "../../../src/providers/translate/json.ts";

describe("writeJson", () => {
  test("writes plain JSON as JSON.stringify does", () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        expect(writeJson(value)).toBe(JSON.stringify(value));
      }),
    );
  });

  test("leaves out what is undefined, and splices text", () => {
    const value = { a: undefined, b: [undefined, new RawJson('{"x": 1.0}')], __proto__: null, c: { d: new RawJson("1e400") } };
    expect(writeJson(value)).toBe('{"b":[null,{"x": 1.0}],"c":{"d":1e400}}');
  });
});

describe("parseExactly", () => {
  test.each(["9223372036854775807", "-12345678901234567890", "1e400", "0.1234567890123456789", "1.0000000000000000"])(
    "keeps %s",
    (digits) => {
      for (const text of [digits, `{"a":[${digits}]}`]) expect(writeJson(parseExactly(text))).toBe(text);
    },
  );

  test("reads everything else as JSON.parse does", () => {
    fc.assert(
      fc.property(fc.json(), (text) => {
        expect(JSON.parse(writeJson(parseExactly(text)))).toEqual(JSON.parse(text));
      }),
    );
  });
});

test("elementsOf gives each element's own text", () => {
  fc.assert(
    fc.property(fc.array(fc.jsonValue()), fc.constantFrom(0, 1, 4), (values, space) => {
      const found = elementsOf(JSON.stringify(values, undefined, space));
      expect(found.map((text) => JSON.parse(text) as unknown)).toEqual(JSON.parse(JSON.stringify(values)));
    }),
  );
});

describe("readDataUrl", () => {
  test.each<readonly [string, string, string]>([
    ["data:image/PNG;base64,AA==", "image/png", "AA=="],
    ["data:image/jpg;charset=x;base64,AA==", "image/jpeg", "AA=="],
    ["data:text/plain,a%20b", "text/plain", Buffer.from("a b").toString("base64")],
    ["data:,x", "", Buffer.from("x").toString("base64")],
  ])("reads %s", (url, mediaType, base64) => {
    expect(readDataUrl(url)).toEqual({ mediaType, base64 });
  });

  test.each(["https://example.com/a.png", "data:image/png", "", "data:text/plain,%zz"])("%j is none", (url) => {
    expect(readDataUrl(url)).toBeUndefined();
  });
});
