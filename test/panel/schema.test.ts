import { describe, expect, test } from "vitest";
import { GatewayError } from "../../src/model/errors.ts";
import { runFor } from "../../src/panel/interrupt.ts";
import { validatorOf, type Validator } from "../../src/panel/schema.ts";
import { newRequest } from "../support/call.ts";

function validator(schema: unknown): Validator {
  const made = validatorOf(newRequest({ response_format: { type: "json_schema", json_schema: { name: "x", schema } } }));
  if (!made) throw new Error("no validator");
  return made;
}

const valid = (schema: unknown, value: unknown) => validator(schema)(JSON.stringify(value)) === undefined;

describe("validatorOf", () => {
  test.each([[undefined], [null], [{ type: "text" }], [{ type: "grammar" }], [{}]])(
    "asks nothing of an answer under the format %j",
    (format) => {
      expect(validatorOf(newRequest(format === undefined ? {} : { response_format: format }))).toBeUndefined();
    },
  );

  test.each([
    ["{}", undefined],
    ['{"a":1}', undefined],
    [" {} \n", undefined],
    ["[]", "it is not a JSON object"],
    ["null", "it is not a JSON object"],
    ['"{}"', "it is not a JSON object"],
    ["```json\n{}\n```", "it is not JSON"],
    ["{} and more", "it is not JSON"],
    ["", "it is not JSON"],
  ])("judges %j under json_object", (text, reason) => {
    expect(validatorOf(newRequest({ response_format: { type: "json_object" } }))?.(text)).toBe(reason);
  });

  test("asks only for JSON where json_schema has no schema", () => {
    const made = validatorOf(newRequest({ response_format: { type: "json_schema", json_schema: { name: "x" } } }));
    expect([made?.("1"), made?.("one")]).toEqual([undefined, "it is not JSON"]);
  });

  test("names the place and what is wrong there", () => {
    const schema = { type: "object", properties: { a: { type: "object", properties: { year: { type: "integer" } } } } };
    expect(validator(schema)('{"a":{"year":"x"}}')).toBe('#/a/year: Instance type "string" is invalid. Expected "integer".');
  });

  test("bounds its reasons", () => {
    const schema = { enum: Array.from({ length: 1_000 }, (_, i) => `value ${i}`) };
    expect(validator(schema)('"other"')?.length).toBeLessThanOrEqual(300);
  });

  test.each([
    [
      "the draft that a schema names",
      { $schema: "http://json-schema.org/draft-07/schema#", $defs: { a: { type: "string" } }, $ref: "#/$defs/a", maxLength: 1 },
      "long",
      true,
    ],
    ["2020-12 otherwise", { $defs: { a: { type: "string" } }, $ref: "#/$defs/a", maxLength: 1 }, "long", false],
    ["draft 4's exclusive bounds", { $schema: "http://json-schema.org/draft-04/schema#", minimum: 1, exclusiveMinimum: true }, 1, false],
    ["prefixItems", { prefixItems: [{ type: "string" }], items: { type: "number" } }, ["a", 1, 2], true],
    [
      "references",
      {
        $defs: { node: { type: "object", properties: { next: { $ref: "#/$defs/node" } }, additionalProperties: false } },
        $ref: "#/$defs/node",
      },
      { next: { other: 1 } },
      false,
    ],
    ["formats", { type: "string", format: "email" }, "nobody", false],
    ["a boolean schema", false, 1, false],
    [
      "a property named like a keyword",
      { type: "object", properties: { $ref: { type: "string" }, pattern: { type: "number" } } },
      { $ref: "x", pattern: 1 },
      true,
    ],
  ])("follows %s", (_, schema, value, expected) => {
    expect(valid(schema, value)).toBe(expected);
  });

  test.each([
    ["a list", []],
    ["a number", 5],
    ["a reference to nowhere", { $ref: "#/$defs/none" }],
    ["a nested reference to nowhere", { properties: { a: { items: { $ref: "https://example.org/other" } } } }],
    ["a pattern that is no regular expression", { properties: { a: { pattern: "(" } } }],
    ["patternProperties that are none", { patternProperties: { "[": {} } }],
  ])("refuses the request for a schema with %s", (_, schema) => {
    const compile = () => validator(schema);
    expect(compile).toThrow(GatewayError);
    expect(compile).toThrow(
      expect.objectContaining({ code: "invalid_request", details: expect.objectContaining({ param: "response_format" }) }),
    );
  });

  test("leaves the request as it was", () => {
    const request = newRequest({
      response_format: { type: "json_schema", json_schema: { name: "x", schema: { $defs: { a: {} }, $ref: "#/$defs/a" } } },
    });
    const before = JSON.stringify(request.body);
    validatorOf(request)?.("1");
    expect(JSON.stringify(request.body)).toBe(before);
  });
});

describe("a hostile schema", () => {
  const evil = { type: "object", properties: { a: { type: "string", pattern: "^(a+)+$" } } };
  const bait = JSON.stringify({ a: `${"a".repeat(60)}!` });

  test("that backtracks is cut off, and its answer is invalid", () => {
    const startMs = performance.now();
    expect(validator(evil)(bait)).toMatch(/takes longer than 100 ms/);
    expect(performance.now() - startMs).toBeLessThan(2_000);
  });

  test("costs no more than two overruns a request", () => {
    const check = validator(evil);
    check(bait);
    check(bait);
    const startMs = performance.now();
    for (let i = 0; i < 100; i += 1) expect(check(bait)).toMatch(/too long/);
    expect(performance.now() - startMs).toBeLessThan(100);
  });

  test("still lets good answers through, before and after an overrun", () => {
    const check = validator(evil);
    expect(check('{"a":"aaaa"}')).toBeUndefined();
    check(bait);
    expect(check('{"a":"aaaa"}')).toBeUndefined();
    expect(check('{"a":"b"}')).toMatch(/^#\/a/);
  });

  test("that refers to itself without end makes answers invalid, not the process", () => {
    expect(validator({ $ref: "#" })("1")).toBe("the schema can not be applied to this answer");
    expect(validator({ properties: { a: { $ref: "#/properties/a" } } })('{"a":1}')).toBe("the schema can not be applied to this answer");
  });

  test("whose references multiply is cut off", () => {
    const $defs = Object.fromEntries(
      Array.from({ length: 40 }, (_, i) => [`d${i}`, { allOf: [{ $ref: `#/$defs/d${i + 1}` }, { $ref: `#/$defs/d${i + 1}` }] }]),
    );
    expect(validator({ $defs: { ...$defs, d40: {} }, $ref: "#/$defs/d0" })("1")).toMatch(/takes longer/);
  });

  test("meets an answer nested too deeply to be written again", () => {
    expect(validator({})(`${"[".repeat(300)}${"]".repeat(300)}`)).toBe("it nests deeper than 200 levels");
  });
});

describe("runFor", () => {
  test("returns what the job returns, and throws what it throws", () => {
    expect(runFor(100, () => 7)).toEqual({ done: true, value: 7 });
    const error = new TypeError("mine");
    expect(() =>
      runFor(100, () => {
        throw error;
      }),
    ).toThrow(error);
  });

  test("breaks off a regular expression that backtracks, and works again afterwards", () => {
    expect(runFor(20, () => /^(a+)+$/.test(`${"a".repeat(60)}!`))).toEqual({ done: false });
    expect(runFor(20, () => 1)).toEqual({ done: true, value: 1 });
  });
});
