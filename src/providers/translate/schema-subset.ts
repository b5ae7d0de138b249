import { isRecord, isText, writeJson, type Json } from "./json.ts";
import { References } from "./schema-refs.ts";

/** A part of JSON Schema, as one API takes it. */
export interface SchemaSubset {
  /** Keywords that are sent. */
  readonly known: ReadonlySet<string>;
  /** Which values of those it takes; all of them when absent. */
  readonly fits?: (key: string, value: unknown) => boolean;
  /** Where the API wants `additionalProperties: false` on every object. */
  readonly closed: boolean;
}

/** Says nothing about what is valid. */
const idle = new Set(["$schema", "$comment", "default", "deprecated", "examples", "readOnly", "writeOnly"]);
const maps = new Set(["properties", "$defs"]);
const lists = new Set(["anyOf", "oneOf", "allOf", "prefixItems"]);
const schemas = new Set(["items", "additionalProperties"]);

function inside(key: string, value: unknown, subset: SchemaSubset, references: References): unknown {
  if (maps.has(key) && isRecord(value)) {
    return Object.fromEntries(Object.entries(value).map(([name, schema]) => [name, partOf(schema, subset, references)]));
  }
  if (lists.has(key) && Array.isArray(value)) return value.map((schema) => partOf(schema, subset, references));
  if (schemas.has(key)) return partOf(value, subset, references);
  if (key === "$ref" && typeof value === "string") return value.replace(/^#\/definitions\//, "#/$defs/");
  return value;
}

/** Keywords by the names that APIs have for them. */
function renamed([key, value]: readonly [string, unknown], { known }: SchemaSubset): readonly [string, unknown] {
  if (key === "definitions") return ["$defs", value];
  if (key === "const" && !known.has("const")) return ["enum", [value]];
  return key === "oneOf" && !known.has("oneOf") ? ["anyOf", value] : [key, value];
}

/**
 * A JSON Schema in the part of the language that an API takes. A rule that it does not take stands in the description, where the model can still
 * read it: nothing is lost silently.
 */
export function subsetOf(schema: unknown, subset: SchemaSubset): unknown {
  return partOf(schema, subset, new References(schema));
}

function partOf(schema: unknown, subset: SchemaSubset, references: References): unknown {
  if (!isRecord(schema)) return schema;
  const members = Object.entries(schema)
    .filter(([key]) => !idle.has(key))
    .map((member) => renamed(member, subset));
  const { $ref: ref } = schema;
  if (ref === undefined) return written(schema, members, subset, references);
  // Beside a reference these APIs allow only keys with a dollar sign.
  if (members.every(([key]) => key.startsWith("$"))) {
    const kept = members.filter(([key]) => subset.known.has(key));
    return Object.fromEntries(kept.map(([key, value]) => [key, inside(key, value, subset, references)]));
  }
  const said = Object.fromEntries(Object.entries(schema).filter(([key]) => !idle.has(key)));
  return references.without({ ...said, $ref: ref }, (whole) => partOf(whole, subset, references));
}

function written(schema: Json, members: readonly (readonly [string, unknown])[], subset: SchemaSubset, references: References): unknown {
  const takes = ([key, value]: readonly [string, unknown]) => subset.known.has(key) && (subset.fits?.(key, value) ?? true);
  const kept = Object.fromEntries(members.filter(takes).map(([key, value]) => [key, inside(key, value, subset, references)]));
  const { description, type, properties } = schema;
  const isObject = type === "object" || (type === undefined && isRecord(properties)) || (Array.isArray(type) && type.includes("object"));
  const told = members.filter((member) => !takes(member) && !(subset.closed && member[0] === "additionalProperties"));
  const words = [...(isText(description) ? [description] : []), ...told.map(([key, value]) => `${key}: ${writeJson(value)}`)];
  return {
    ...kept,
    ...(told.length > 0 ? { description: words.join("\n") } : {}),
    ...(subset.closed && isObject ? { additionalProperties: false } : {}),
  };
}
