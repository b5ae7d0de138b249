import { expect, test } from "vitest";
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
  const schema = { oneOf: [{ $ref: "#/definitions/a", description: "gone" }], definitions: { a: { type: "string", pattern: "x" } } };
  expect(subsetOf(schema, open)).toEqual({
    anyOf: [{ $ref: "#/$defs/a" }],
    $defs: { a: { type: "string", description: 'pattern: "x"' } },
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
