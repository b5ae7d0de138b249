/** A JSON schema that is an object; `true`, `false` and what is no schema at all are read as one that says nothing. */
export type Schema = Readonly<Record<string, unknown>>;

export function isSchema(value: unknown): value is Schema {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Both schemas at once: properties and required names are joined, of the rest the second wins. */
export function merge(a: Schema, b: Schema): Schema {
  const properties = { ...(isSchema(a["properties"]) ? a["properties"] : {}), ...(isSchema(b["properties"]) ? b["properties"] : {}) };
  const required = [...namesOf(a["required"]), ...namesOf(b["required"])];
  return { ...a, ...b, ...(Object.keys(properties).length > 0 ? { properties } : {}), ...(required.length > 0 ? { required } : {}) };
}

/** What a local reference such as `#/$defs/node` points at. */
export function pointed(root: unknown, ref: string): unknown {
  if (!ref.startsWith("#")) return undefined;
  const names = ref.slice(1).split("/").slice(1);
  let at = root;
  for (const name of names) {
    const key = name.replaceAll("~1", "/").replaceAll("~0", "~");
    if (typeof at !== "object" || at === null || !Object.hasOwn(at, key)) return undefined;
    at = (at as Schema)[key];
  }
  return at;
}

/** The type of the values that a flat schema describes: the declared one, null only when it is alone, else what its keywords are about. */
export function typeOf(schema: Schema): string {
  const { type } = schema;
  if (typeof type === "string") return type;
  if (Array.isArray(type)) return String(type.find((name) => name !== "null") ?? "null");
  const about = (...keywords: readonly string[]) => keywords.some((keyword) => keyword in schema);
  if (about("properties", "required", "minProperties", "additionalProperties")) return "object";
  if (about("items", "prefixItems", "minItems")) return "array";
  return about("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf") ? "number" : "string";
}

/** The values that a flat schema lists. */
export function valuesOf(schema: Schema): readonly unknown[] {
  if ("const" in schema) return [schema["const"]];
  return Array.isArray(schema["enum"]) ? schema["enum"] : [];
}

/** The strings among the items of a list. */
export function namesOf(list: unknown): readonly string[] {
  return Array.isArray(list) ? list.filter((name) => typeof name === "string") : [];
}

/** The number that stands at a keyword. */
export function numberAt(schema: Schema, keyword: string, otherwise: number): number {
  const value = schema[keyword];
  return typeof value === "number" ? value : otherwise;
}

/** The smallest and largest number that a flat schema allows; infinite where it says nothing. */
export function boundsOf(schema: Schema): readonly [low: number, high: number] {
  const low = Math.max(numberAt(schema, "minimum", -Infinity), numberAt(schema, "exclusiveMinimum", -Infinity));
  const high = Math.min(numberAt(schema, "maximum", Infinity), numberAt(schema, "exclusiveMaximum", Infinity));
  const edge = Math.min(0.01, (high - low) / 4);
  // Draft 4 writes `exclusiveMinimum: true`.
  const isOpenBelow = schema["exclusiveMinimum"] === true || schema["exclusiveMinimum"] === low;
  const isOpenAbove = schema["exclusiveMaximum"] === true || schema["exclusiveMaximum"] === high;
  return [isOpenBelow ? low + edge : low, isOpenAbove ? high - edge : high];
}

/** Bounds to draw a number from: a hundred apart where one was open. */
export function rangeOf([low, high]: readonly [number, number]): readonly [from: number, to: number] {
  if (low === -Infinity) return high === Infinity ? [0, 100] : [high - 100, high];
  return [low, high === Infinity ? low + 100 : high];
}
