import type * as z from "zod";
import { configSchema } from "./config.ts";
import { showPath, type Path } from "./origin.ts";
import { nodeCommon, providerCommon } from "./nodes.ts";
import { registries, toJsonSchema, type JsonSchema } from "./schema.ts";

/** By key: whose it may be, and where there. */
type Places = Map<string, Map<string, string>>;

/** Writes down every key below a schema: for each owner its shallowest place. */
function collect(schema: JsonSchema, owner: string, into: Places, path = ""): void {
  for (const [key, inner] of Object.entries(schema.properties ?? {})) {
    const owners = into.get(key) ?? new Map<string, string>();
    into.set(key, owners);
    const known = owners.get(owner);
    if (known === undefined || path.length < known.length) owners.set(owner, path);
    collect(inner, owner, into, path === "" ? key : `${path}.${key}`);
  }
  const { additionalProperties: each, items } = schema;
  if (typeof each === "object") collect(each, owner, into, `${path}.<name>`);
  if (items && !Array.isArray(items)) collect(items as JsonSchema, owner, into, `${path}[]`);
  for (const branch of [...(schema.anyOf ?? []), ...(schema.oneOf ?? []), ...(schema.allOf ?? [])]) {
    collect(branch, owner, into, path);
  }
}

function pattern(path: Path): string {
  return showPath(path).replaceAll(/\[\d+\]/g, "[]");
}

const FILE = "the top level of the file";
let known: Places | undefined;

function index(): Places {
  const into: Places = new Map();
  collect(toJsonSchema(configSchema).body, FILE, into);
  collect(toJsonSchema(nodeCommon).body, "any node", into);
  collect(toJsonSchema(providerCommon).body, "a provider", into);
  for (const { kind, options } of registries.strategies.values()) {
    collect(toJsonSchema(options).body, `${/^[aeiou]/.test(kind) ? "an" : "a"} ${kind} node`, into);
  }
  for (const { kind, options } of registries.providers.values()) collect(toJsonSchema(options).body, `a provider of kind ${kind}`, into);
  into.delete("kind");
  return into;
}

function inside(path: string, owner: string): string {
  return path === "" ? owner : `"${path}" of ${owner}`;
}

/**
 * Where a key of this name belongs in what a schema checks, which is called `owner`; none when another branch may have it where it stands.
 * Undefined when it belongs nowhere there.
 */
export function placesIn(schema: z.ZodType, owner: string, { key, here }: { key: string; here: Path }): readonly string[] | undefined {
  const into: Places = new Map();
  collect(toJsonSchema(schema).body, owner, into);
  const path = into.get(key)?.get(owner);
  if (path === undefined) return undefined;
  return path === pattern(here) ? [] : [inside(path, owner)];
}

/** Where a key of this name belongs, shallow places first; none when another `kind` may have it here. Only asked when a key is in the wrong place. */
export function placesOf(key: string, here: Path): readonly string[] {
  known ??= index();
  const owners = known.get(key);
  if (!owners || owners.get(FILE) === pattern(here)) return [];
  const places = [...owners].sort(([, a], [, b]) => a.length - b.length);
  return places.map(([owner, path]) => (owner === FILE && path !== "" ? `"${path}"` : inside(path, owner)));
}
