import type { Catalog, Entry } from "../catalog/catalog.ts";
import type { Plan, Planned } from "../model/plan.ts";
import { openConfigured } from "./catalog.ts";
import { checkTables } from "./check-tables.ts";
import { configOption, type Command } from "./command.ts";
import { mermaid } from "./mermaid.ts";

function range([best, worst]: Plan["calls"]): string {
  return best === worst ? String(best) : `${best}..${worst}`;
}

function toolsOf({ tools }: Plan): string {
  if (tools === undefined) return "";
  if (tools === "refused" || /\b(?:vote|pick|advice) of /.test(tools)) return `, with tools: ${tools}`;
  return `, with tools: single model ${tools}`;
}

/** What a client has to know of a model before it asks: calls, latency, streaming, money. */
function facts({ plan, multiplier }: Entry): string {
  const streams = plan.tail === "none" ? "nothing streams" : `streams ${plan.tail}`;
  const price = `worst price x${Number(multiplier.toFixed(1))}`;
  return `calls ${range(plan.calls)}, depth ${plan.depth}, ${streams}, ${price}${toolsOf(plan)}`;
}

function isAlias({ name, model }: Entry): boolean {
  return model.name !== name;
}

/** A model with its kind: `exam (vote)`, `small = gpu/qwen3-4b`, `gpu/qwen3-4b`, `vote`. */
function titleOf({ title, plan }: Planned, catalog: Catalog): string {
  const entry = catalog.get(title);
  if (!entry || entry.plan !== plan || !entry.virtual) return title;
  return isAlias(entry) ? `${title} = ${entry.model.name}` : `${title} (${entry.kind})`;
}

function* tree(plan: Plan, catalog: Catalog, indent: string): Generator<string> {
  for (const [index, { role, child }] of plan.edges.entries()) {
    const isLast = index === plan.edges.length - 1;
    yield `${indent}${isLast ? "└─" : "├─"} ${role}: ${titleOf(child, catalog)}`;
    yield* tree(child.plan, catalog, `${indent}${isLast ? "  " : "│ "} `);
  }
}

/** The drawings of a model and of the nodes below that have no name of their own. */
function* drawings(plan: Plan, catalog: Catalog): Generator<string> {
  if (plan.drawing) yield mermaid(plan.drawing);
  for (const { child } of plan.edges) if (catalog.get(child.title)?.plan !== child.plan) yield* drawings(child.plan, catalog);
}

function* report(catalog: Catalog): Generator<string> {
  for (const entry of catalog.list().filter(({ virtual }) => virtual)) {
    yield "";
    yield titleOf({ title: entry.name, plan: entry.plan }, catalog);
    if (isAlias(entry)) continue;
    yield `  ${facts(entry)}`;
    yield* tree(entry.plan, catalog, "  ");
    yield* drawings(entry.plan, catalog);
  }
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}

export const check: Command = {
  name: "check",
  summary: "Checks the config and prints what every virtual model does and costs; with --table <file>, learned files.",
  options: { ...configOption, table: { type: "string", multiple: true } },
  async run(site) {
    const tables = site.flags?.["table"];
    if (Array.isArray(tables)) {
      const fine = checkTables(tables.map(String), site.io);
      if (site.config === undefined || !fine) return fine ? 0 : 1;
    }
    const { config, catalog, warnings, source } = await openConfigured(site);
    const virtual = catalog.list().filter((entry) => entry.virtual).length;
    const head = `${source}: ${count(virtual, "virtual model")} over ${count(Object.keys(config.providers).length, "provider")}`;
    site.io.out([head, ...report(catalog), ""].join("\n"));
    for (const warning of warnings) site.io.err(`warning: ${warning}\n`);
    return 0;
  },
};
