/** Bodies that are wrong somewhere, for fuzz tests. */
import * as fc from "./properties.ts";

type Path = readonly (string | number)[];

/** The place of every value in a body, its own included. */
export function pathsOf(value: unknown, at: Path = []): Path[] {
  if (typeof value !== "object" || value === null) return [at];
  const entries: [string | number, unknown][] = Array.isArray(value) ? [...value.entries()] : Object.entries(value);
  return [at, ...entries.flatMap(([key, inner]) => pathsOf(inner, [...at, key]))];
}

const nested = (depth: number) => Array.from({ length: depth }).reduce<unknown>((inner) => [inner], 0);

/** What nobody expects where it stands. */
export const hostile = fc.oneof(
  fc.constantFrom<unknown>(null, true, "", 0, -1, 1e308, 0.5, [], {}, [null], [{}], "\ud800", "x".repeat(10_000), nested(150), nested(300)),
  fc.constantFrom<unknown>({ type: "message" }, { type: "reasoning", encrypted_content: "chorale.1.e30" }, { id: "rs_1" }, { id: "msg_1" }),
  fc.constantFrom<unknown>({ type: "toString" }, { __proto__: null, constructor: 1 }, JSON.parse('{"__proto__":{"type":"message"}}')),
  // Without "<": an error that quotes a client's own body would look like a page of HTML.
  fc.jsonValue().filter((value) => !JSON.stringify(value).includes("<")),
);

/** The body with the value at `path` replaced, or removed where the new one is undefined; as it was where the path leads nowhere. */
export function mutated(body: unknown, [key, ...rest]: Path, value: unknown): unknown {
  if (key === undefined) return value;
  if (typeof body !== "object" || body === null) return body;
  const copy = (Array.isArray(body) ? [...(body as unknown[])] : { ...body }) as Record<string | number, unknown>;
  const inner = mutated(copy[key], rest, value);
  if (inner === undefined && !Array.isArray(copy)) delete copy[key];
  else copy[key] = inner;
  return copy;
}
