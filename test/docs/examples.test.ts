import { globSync } from "node:fs";
import { expect, onTestFinished, test } from "vitest";
import * as z from "zod";
import { run } from "../../src/cli/run.ts";
import { strategies } from "../../src/strategies/registry.ts";
import { expectAnswers } from "./answering.ts";
import { configOf, everyKind, namesOf, overDemo, page, root, yamlBlocks, type Config } from "./blocks.ts";

const PATH = "docs/examples/every-kind.yaml";

const nodes = everyKind()["models"] as Readonly<Record<string, { readonly kind: string }>>;

test("the example has a model of every kind", () => {
  const kinds = new Set(Object.values(nodes).map(({ kind }) => kind));
  expect([...kinds].toSorted()).toEqual([...strategies.keys()].toSorted());
});

interface Schema {
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly anyOf?: readonly Schema[];
  readonly oneOf?: readonly Schema[];
  readonly items?: Schema;
  readonly properties?: Readonly<Record<string, Schema>>;
}

/** All values of the keys by which a kind tells its ways apart, also within its steps: `by: judge`, `mode: overton`. */
function waysOf({ anyOf = [], oneOf = [], items, properties = {} }: Schema): readonly string[] {
  const own = Object.entries(properties).flatMap(([key, { const: only, enum: several }]) => {
    if (key !== "by" && key !== "mode") return [];
    return (several ?? (only === undefined ? [] : [only])).map((value) => `${key}: ${String(value)}`);
  });
  const within = [...anyOf, ...oneOf, ...(items ? [items] : []), ...Object.values(properties)];
  return [...new Set([...own, ...within.flatMap(waysOf)])];
}

/** The same of a node as it is configured. */
function waysIn(node: unknown): readonly string[] {
  if (typeof node !== "object" || node === null) return [];
  return Object.entries(node).flatMap(([key, value]: readonly [string, unknown]) =>
    (key === "by" || key === "mode") && typeof value === "string" ? [`${key}: ${value}`] : waysIn(value),
  );
}

test.each([...strategies.values()].map((strategy) => [strategy.kind, strategy] as const))(
  "the example has every way of %s",
  (kind, { options }) => {
    const schema = z.toJSONSchema(options, { io: "input", unrepresentable: "any" }) as Schema;
    const shown = new Set(Object.values(nodes).flatMap((node) => (node.kind === kind ? waysIn(node) : [])));
    expect(waysOf(schema).filter((way) => !shown.has(way))).toEqual([]);
  },
);

test("check prints the tree of each, and warns of nothing", async () => {
  let printed = "";
  let warned = "";
  const io = {
    out: (text: string) => void (printed += text),
    err: (text: string) => void (warned += text),
    serve: () => Promise.resolve(1),
    probe: () => Promise.resolve(undefined),
  };
  expect(await run(["check", "--config", root + PATH], {}, io)).toBe(0);
  expect(warned).toBe("");
  const trees = new Map(printed.split(/\n\n(?=\S+ \()/).map((tree) => [tree.slice(0, tree.indexOf("\n")), tree]));
  for (const [name, { kind }] of Object.entries(nodes)) {
    const tree = trees.get(`${name} (${kind})`);
    expect(tree, name).toMatch(/^ {2}calls \d+(\.\.\d+)?, depth \d+, (nothing )?streams.*, worst price x\d/m);
    expect(tree, name).toMatch(/^ {2}└─ .+: /m);
  }
  expect(trees.get("team (graph)")).toContain("```mermaid\nflowchart LR");
});

test("all of it answers, whole and streamed", { timeout: 30_000 }, async () => {
  expect(await expectAnswers(everyKind(), onTestFinished)).toBeGreaterThan(strategies.size);
});

/** The sections of several blocks in one. */
function together(blocks: readonly Config[]): Config {
  const section = (name: string) => Object.assign({}, ...blocks.map((block) => block[name] ?? {})) as Config;
  return { providers: section("providers"), models: section("models") };
}

test("the models of the README answer over simulated ones", { timeout: 30_000 }, async () => {
  const config = overDemo(together(yamlBlocks(page("README.md")).map(configOf)));
  expect(await expectAnswers(config, onTestFinished)).toBeGreaterThan(4);
});

/** Blocks over simulated models alone: what needs a recording or a file is for the tests of these. */
function demos(path: string): readonly Config[] {
  const configs = yamlBlocks(page(path)).map(configOf);
  return configs.filter(({ providers, models }) => models !== undefined && Object.keys(providers ?? {}).join() === "demo");
}

const others = globSync("docs/*.md", { cwd: root }).filter((path) => path !== "docs/strategies.md" && demos(path).length > 0);

test.each(others)("the models of %s answer", async (path) => {
  for (const config of demos(path)) expect(await expectAnswers(config, onTestFinished)).toBeGreaterThan(0);
});

test("the models of the image's example answer over simulated ones", async () => {
  const config = overDemo(configOf(page("docker/chorale.example.yaml")));
  expect(await expectAnswers(config, onTestFinished)).toBe(namesOf(config).length);
});
