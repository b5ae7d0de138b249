import { globSync, readFileSync } from "node:fs";
import { attempted } from "../../src/catalog/attempt.ts";
import type { Model } from "../../src/model/model.ts";
import { leafPlan, type Planned } from "../../src/model/plan.ts";
import type { BuildSite, Node, Prompt, Strategy } from "../../src/strategies/define.ts";

export type Strategies = ReadonlyMap<string, Strategy>;

function strategyOf(kind: string, strategies: Strategies): Strategy {
  const strategy = strategies.get(kind);
  if (!strategy) throw new Error(`no strategy of the kind ${kind}`);
  return strategy;
}

function optionsOf(node: Exclude<Node, string>, strategy: Strategy): unknown {
  return strategy.options.parse(Object.fromEntries(Object.entries(node).filter(([option]) => option !== "kind")));
}

function promptOf(name: string): Prompt {
  const root = new URL("../../src/", import.meta.url).pathname;
  const [file] = globSync(`**/${name}.prompt.md`, { cwd: root });
  if (file === undefined) throw new Error(`no prompt ${name}`);
  const text = readFileSync(root + file, "utf8");
  const variables = [...new Set([...text.matchAll(/\{\{(\w+)\}\}/g)].map(([, variable]) => variable ?? ""))];
  return {
    variables,
    fill: (values) => text.replaceAll(/\{\{(\w+)\}\}/g, (_, variable: string) => values[variable] ?? ""),
  };
}

/** Builds a node as the catalog does, without `observe`: a name is a model of `leaf`'s, which takes an attempt for each call, `{kind}` a strategy. */
export function buildNode(node: Node, leaf: (name: string) => Model, strategies: Strategies, name = "smart"): Model {
  if (typeof node === "string") return attempted(leaf(node));
  const strategy = strategyOf(node.kind, strategies);
  const site: BuildSite = {
    path: `models.${name}`,
    name,
    child: (child, at) => buildNode(child, leaf, strategies, `${name}/${at}`),
    prompt: promptOf,
  };
  return strategy.build(optionsOf(node, strategy), site);
}

/** Plans a node as the catalog does. */
export function planNode(node: Node, strategies: Strategies): Planned {
  if (typeof node === "string") return { title: node, plan: leafPlan };
  const strategy = strategyOf(node.kind, strategies);
  return {
    title: node.kind,
    plan: strategy.plan(optionsOf(node, strategy), (child) => planNode(child, strategies)),
  };
}
