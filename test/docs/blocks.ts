/** What the tests of the docs read: pages, their YAML blocks, and the models that these configure. */
import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parse } from "yaml";
import { buildCatalog } from "../../src/catalog/build.ts";
import type { Catalog } from "../../src/catalog/catalog.ts";
import { loadConfig } from "../../src/config/load.ts";
import { systemClock } from "../../src/model/clock.ts";
import { openPools } from "../../src/upstream/pools.ts";

export type Config = Readonly<Record<string, unknown>>;

export const root = fileURLToPath(new URL("../..", import.meta.url));

export function page(path: string): string {
  return readFileSync(root + path, "utf8");
}

/** The YAML blocks of a page, as they stand. */
export function yamlBlocks(text: string): readonly string[] {
  return [...text.matchAll(/^```yaml[^\n]*\n(.*?)^```$/gms)].map(([, block = ""]) => block);
}

export function configOf(yaml: string): Config {
  return parse(yaml) as Config;
}

/** The example with every kind; the file that it names is found from any folder. */
export function everyKind(): Config {
  const path = "docs/examples/every-kind.yaml";
  return parse(page(path), (key: unknown, value: unknown) =>
    key === "table" && typeof value === "string" ? resolve(root, dirname(path), value) : value,
  ) as Config;
}

/** The names of the models that a config has. */
export function namesOf(config: Config): readonly string[] {
  return Object.keys(config["models"] ?? {});
}

/** Builds a config as the gateway does at boot; what the operator would be warned of is told. */
export async function build(yaml: string): Promise<{ readonly catalog: Catalog; readonly warnings: readonly string[] }> {
  const warnings: string[] = [];
  const pools = openPools();
  try {
    const catalog = await buildCatalog(loadConfig({ text: yaml, env: {} }), {
      pools,
      clock: systemClock,
      warn: (message) => warnings.push(message),
    });
    return { catalog, warnings };
  } finally {
    await pools.close();
  }
}

const voices = ["demo/alto", "demo/tenor", "demo/bass"] as const;

/** The models of a config, with a simulated model in the place of each that a provider would serve. */
export function overDemo(config: Config): Config {
  const providers = Object.keys(config["providers"] ?? {});
  const stands = new Map<string, string>();
  const standIn = (name: string): string => {
    if (!providers.includes(name.split("/")[0] ?? "") || !name.includes("/") || name.startsWith("demo/")) return name;
    const known = stands.get(name) ?? voices[stands.size % voices.length] ?? name;
    stands.set(name, known);
    return known;
  };
  const walk = (value: unknown): unknown => {
    if (typeof value === "string") return standIn(value);
    if (Array.isArray(value)) return value.map(walk);
    if (typeof value !== "object" || value === null) return value;
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, walk(inner)]));
  };
  return { models: walk(config["models"]) };
}
