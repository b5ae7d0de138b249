/** Values of a JSON Schema as strict output modes know it: what an obedient model says when it is given one. */

type Schema = Readonly<Record<string, unknown>>;

function isSchema(value: unknown): value is Schema {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function numberOf({ minimum, maximum }: Schema, pick: number): number {
  const low = typeof minimum === "number" ? minimum : 0;
  const high = typeof maximum === "number" ? maximum : low + 10;
  return low + ((high - low) * (pick % 11)) / 10;
}

/** A value that the schema accepts; the same pick gives the same value. */
export function fitting(schema: unknown, pick: number): unknown {
  if (!isSchema(schema)) return "It is 4.";
  const { enum: values, anyOf, type, properties, items } = schema;
  if (Array.isArray(values)) return values[pick % values.length] as unknown;
  if (Array.isArray(anyOf)) return fitting(anyOf[pick % anyOf.length], pick);
  if ("const" in schema) return schema["const"];
  if (isSchema(properties)) {
    return Object.fromEntries(Object.entries(properties).map(([key, inner], index) => [key, fitting(inner, pick + index)]));
  }
  if (type === "array") {
    // Distinct where they are labels: an order of all of them.
    const labels = isSchema(items) && Array.isArray(items["enum"]) ? (items["enum"] as readonly unknown[]) : undefined;
    if (!labels) return [fitting(items, pick)];
    const from = pick % labels.length;
    return [...labels.slice(from), ...labels.slice(0, from)];
  }
  if (type === "integer") return Math.round(numberOf(schema, pick));
  if (type === "number") return numberOf(schema, pick);
  if (type === "boolean") return pick % 2 === 0;
  return type === "null" ? null : "It is 4.";
}
