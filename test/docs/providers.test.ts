import { expect, test } from "vitest";
import { configJsonSchema, registries, type JsonSchema } from "../../src/config/schema.ts";
import { dialects } from "../../src/providers/openai/dialects.ts";
import { page } from "./blocks.ts";

const [, providers = ""] = page("docs/config.md").split(/^## `providers`\n/m);
/** What any provider has stands first; then a part for each kind. */
const [common = "", ...parts] = providers.slice(0, providers.indexOf("\n## ")).split(/^(?=`kind: )/m);
const partOf = new Map(parts.map((part) => [/^`kind: ([a-z]+)`/.exec(part)?.[1] ?? "", part]));

/** Key and default of each row. */
const rowsOf = (text: string) =>
  new Map([...text.matchAll(/^\| `providers\.<name>\.([^`]+)` +\| (.*?) +\|/gm)].map(([, key = "", usual = ""]) => [key, usual]));

const kinds = [...registries.providers.keys()];
const shared = rowsOf(common);

/** Options of a kind, where those of one key of a map or list are the key's. */
function optionsOf(kind: string): readonly (readonly [path: string, schema: JsonSchema])[] {
  const { properties = {} } = configJsonSchema().definitions?.[`provider-${kind}`] ?? {};
  return Object.entries(properties).flatMap(([key, schema]) =>
    schema.properties && key !== "retry"
      ? Object.entries(schema.properties).map(([inner, value]) => [`${key}.${inner}`, value] as const)
      : [[key, schema] as const],
  );
}

test("docs/config.md has a part for every kind of provider, and for nothing else", () => {
  expect([...partOf.keys()].toSorted()).toEqual(kinds.toSorted());
  const listed = /^\| `providers\.<name>\.kind` +\| required +\|(.*)\|$/m.exec(common)?.[1] ?? "";
  expect([...listed.matchAll(/`([a-z]+)`/g)].map(([, kind]) => kind)).toEqual(expect.arrayContaining(kinds));
});

test.each(kinds)("docs/config.md has a row for every option of %s with its default, and for nothing else", (kind) => {
  const own = rowsOf(partOf.get(kind) ?? "");
  const options = optionsOf(kind);
  expect(options.length).toBeGreaterThan(5);
  const rowOf = (path: string) => own.get(path) ?? shared.get(path) ?? shared.get(`${path}.<model>`);
  expect(options.filter(([path]) => rowOf(path) === undefined).map(([path]) => path)).toEqual([]);
  const told = options.filter(([path, { default: usual }]) => usual !== undefined && path !== "retry" && typeof usual !== "object");
  expect(Object.fromEntries(told.map(([path]) => [path, rowOf(path)]))).toEqual(
    Object.fromEntries(told.map(([path, { default: usual }]) => [path, `\`${JSON.stringify(usual)}\``])),
  );
  const known = new Set(options.map(([path]) => path));
  expect([...own.keys()].filter((path) => !known.has(path))).toEqual([]);
});

test("docs/config.md names what may be said of a model's capabilities", () => {
  const row = /^\| `providers\.<name>\.capabilities\.<model>`.*$/m.exec(common)?.[0] ?? "";
  const { additionalProperties: each } = new Map(optionsOf("openai")).get("capabilities") ?? {};
  const names = Object.keys((each as JsonSchema).properties ?? {});
  expect(names.length).toBeGreaterThan(5);
  expect(names.filter((name) => !new RegExp(`\`${name}\\b`).test(row))).toEqual([]);
});

test.each([
  [
    "docs/config.md",
    [...(partOf.get("openai") ?? "").matchAll(/^\| (`[a-z-][^|]*`) +\|(?! .* \|.*\|$)/gm)].map(([, cell]) => cell).join(" "),
  ],
  ["README.md", /and `dialect` names what is particular there \(([^)]*)\)/.exec(page("README.md"))?.[1] ?? ""],
])("%s lists every dialect, and nothing else", (_, list) => {
  expect([...list.matchAll(/`([^`]+)`/g)].map(([, name = ""]) => name).toSorted()).toEqual(Object.keys(dialects).toSorted());
});
