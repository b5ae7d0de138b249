import { subsetOf, type SchemaSubset } from "../translate/schema-subset.ts";

const formats = new Set<unknown>(["date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"]);

/** What the API enforces. It refuses any other keyword, and objects that are open. */
const enforced: SchemaSubset = {
  known: new Set(
    [
      ["type", "enum", "const", "title", "description", "properties", "required", "items", "minItems", "format"],
      ["anyOf", "allOf", "$ref", "$defs"],
    ].flat(),
  ),
  closed: true,
  fits: (key, value) => (key === "format" ? formats.has(value) : key === "minItems" ? value === 0 || value === 1 : true),
};

/** A schema in the part of JSON Schema that the API enforces; the rest of it (bounds of numbers and lengths, patterns) is told to the model in words. */
export function enforceable(schema: unknown): unknown {
  return subsetOf(schema, enforced);
}
