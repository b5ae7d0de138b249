import type { Entry } from "../catalog/catalog.ts";
import { openConfigured } from "./catalog.ts";
import { configOption, type Command } from "./command.ts";

const heads = ["name", "kind", "provider", "USD per million in/out", "capabilities"];

function priceOf({ price }: Entry): string {
  if (!price) return "";
  return price.cachedIn === undefined ? `${price.in} / ${price.out}` : `${price.in} (cached ${price.cachedIn}) / ${price.out}`;
}

/** What it can, what it is known not to, and how much; what nobody knows is left out. */
function capabilitiesOf({ capabilities = {} }: Entry): string {
  const { contextLength, maxOutput } = capabilities;
  const named = (is: boolean) => Object.entries(capabilities).flatMap(([name, has]) => (has === is ? [name] : []));
  const lacks = named(false);
  return [
    ...named(true),
    ...(lacks.length === 0 ? [] : [`(not ${lacks.join(", ")})`]),
    ...(contextLength === undefined ? [] : [`${contextLength} tokens`]),
    ...(maxOutput === undefined ? [] : [`writes ${maxOutput}`]),
  ].join(" ");
}

function table(rows: readonly (readonly string[])[]): string {
  const widths = heads.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const lines = rows.map((row) => row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join("  "));
  return lines.map((line) => `${line.trimEnd()}\n`).join("");
}

export const models: Command = {
  name: "models",
  summary: "Lists the models with their providers, prices and capabilities; --probe asks the servers that tell them.",
  options: { ...configOption, probe: { type: "boolean" } },
  async run(site) {
    const { catalog } = await openConfigured(site, site.flags?.["probe"] === true);
    const rows = catalog.list().map((entry) => [entry.name, entry.kind, entry.provider ?? "", priceOf(entry), capabilitiesOf(entry)]);
    site.io.out(table([heads, ...rows]));
    return 0;
  },
};
