import { describe, expect, test } from "vitest";
import { subsetOf, type SchemaSubset } from "../../../src/providers/translate/schema-subset.ts";

const open: SchemaSubset = {
  known: new Set(["type", "description", "enum", "properties", "anyOf", "items", "$ref", "$defs", "additionalProperties"]),
  closed: false,
};

test("keeps what is known at every depth, and tells the rest where it stood", () => {
  const schema = {
    $schema: "x",
    type: "array",
    items: { anyOf: [{ type: "string", minLength: 2, description: "A name." }, { const: 5 }] },
    uniqueItems: true,
    default: [],
  };
  expect(subsetOf(schema, open)).toEqual({
    type: "array",
    items: { anyOf: [{ type: "string", description: "A name.\nminLength: 2" }, { enum: [5] }] },
    description: "uniqueItems: true",
  });
});

test("takes a property for what it is, whatever its name", () => {
  const schema = { type: "object", properties: { minLength: { type: "string" }, $ref: { type: "string" }, default: { type: "null" } } };
  expect(subsetOf(schema, open)).toEqual(schema);
});

test("keeps references alone, under the one name of definitions", () => {
  const schema = { oneOf: [{ $ref: "#/definitions/a", default: 5 }], definitions: { a: { type: "string", pattern: "x" } } };
  expect(subsetOf(schema, open)).toEqual({
    anyOf: [{ $ref: "#/$defs/a" }],
    $defs: { a: { type: "string", description: 'pattern: "x"' } },
  });
});

describe("words beside a reference", () => {
  const $defs = {
    "a/b": { $id: "urn:a", type: "string", description: "An a.", minLength: 1 },
    node: { type: "object", properties: { next: { $ref: "#/$defs/node", description: "The next." } } },
  };
  const told = (schema: object) => {
    const { properties } = subsetOf({ properties: { x: schema }, $defs }, open) as {
      readonly properties: Readonly<Record<string, unknown>>;
    };
    return properties["x"];
  };

  test("stand in a copy of what is meant, beside its own", () => {
    expect(told({ $ref: "#/$defs/a~1b", description: "The x." })).toEqual({ type: "string", description: "The x.\nAn a.\nminLength: 1" });
  });

  test("hold beside other rules, and those of one name are told", () => {
    expect(told({ $ref: "#/$defs/a~1b", type: ["string", "null"], enum: ["p"] })).toEqual({
      type: "string",
      enum: ["p"],
      description: 'An a.\ntype: ["string","null"]\nminLength: 1',
    });
  });

  test.for(["https://a.example/b", "#/$defs/none", "#", "#anchor", 5])(
    "stand beside a choice of one where %j means nothing near",
    ($ref) => {
      expect(told({ $ref, description: "The x." })).toEqual({ anyOf: [{ $ref }], description: "The x." });
    },
  );

  test("are told at each step of what holds itself, without an end", () => {
    const again = { anyOf: [{ $ref: "#/$defs/node" }], description: "The next." };
    expect(told({ $ref: "#/$defs/node", description: "First." })).toEqual({
      type: "object",
      properties: { next: again },
      description: "First.",
    });
  });

  test("are told of an alias of itself", () => {
    const schema = { $ref: "#/$defs/a", description: "x", $defs: { a: { $ref: "#/$defs/b", description: "y" }, b: { $ref: "#/$defs/a" } } };
    expect(subsetOf(schema, open)).toMatchObject({ anyOf: [{ $ref: "#/$defs/a" }], description: "x\ny" });
  });

  test("do not make a schema much larger, however its definitions hold each other", () => {
    const names = Array.from({ length: 60 }, (_, index) => `d${index}`);
    const all = Object.fromEntries(names.map((name) => [name, { $ref: `#/$defs/${name}`, description: `To ${name}.` }]));
    const schema = { type: "object", properties: all, $defs: Object.fromEntries(names.map((name) => [name, { properties: all }])) };
    const text = JSON.stringify(subsetOf(schema, open));
    expect(text.length).toBeLessThan(2 * JSON.stringify(schema).length + 200_000);
    for (const name of names) expect(text.split(`To ${name}.`).length).toBeGreaterThan(names.length);
  });

  test("do not make a schema much deeper", () => {
    const nested = (schema: object): object => Array.from({ length: 180 }).reduce<object>((items) => ({ items }), schema);
    const names = Array.from({ length: 40 }, (_, index) => `d${index}`);
    const to = (index: number) => ({ $ref: `#/$defs/d${index}`, description: "Deeper." });
    const schema = { ...to(0), $defs: Object.fromEntries(names.map((name, index) => [name, nested(to(index + 1))])) };
    expect(() => JSON.stringify(subsetOf(schema, open))).not.toThrow();
  });
});

test("closes every object where that is asked for", () => {
  const schema = { type: "object", properties: { a: { properties: {} }, b: { type: ["object", "null"], additionalProperties: true } } };
  expect(subsetOf(schema, { ...open, closed: true })).toEqual({
    type: "object",
    properties: { a: { properties: {}, additionalProperties: false }, b: { type: ["object", "null"], additionalProperties: false } },
    additionalProperties: false,
  });
});

test.each([true, "x", null, 5])("leaves %j as it is", (schema) => {
  expect(subsetOf(schema, open)).toBe(schema);
});
