import { ConfigError, type Problem } from "../config/config-error.ts";
import type { Config } from "../config/config.ts";
import { registries as allRegistries, type Registries } from "../config/schema.ts";
import type { Clock } from "../model/clock.ts";
import type { Plan } from "../model/plan.ts";
import { memoryStore } from "../store/memory.ts";
import type { Store } from "../store/store.ts";
import type { Pools } from "../upstream/pools.ts";
import { openCatalog, type Catalog, type Entry } from "./catalog.ts";
import { explainer } from "./explain.ts";
import { LeafShelf, type Provided } from "./leaves.ts";
import { wrapsFor } from "./record-wraps.ts";
import type { Recorder } from "./record.ts";
import { loadPriceList, type PriceList } from "./prices.ts";
import { probesOf } from "./probe.ts";
import { buildProviders } from "./providers.ts";
import { Tree, type Built } from "./tree.ts";
import { multiplierOf, worstUsd } from "./worst.ts";

export interface CatalogDeps {
  readonly pools: Pools;
  readonly clock: Clock;
  /** What strategies keep beyond a request; by default they keep it in this process. */
  readonly store?: Store;
  /** Writes history; nobody does by default. */
  readonly recorder?: Recorder | undefined;
  /** Tells the operator what is legal but probably not meant. */
  warn(message: string): void;
  /** The kinds that exist; all of them by default. */
  readonly registries?: Registries;
}

async function priceListFor(providers: ReadonlyMap<string, Provided>): Promise<PriceList | undefined> {
  const isNeeded = [...providers.values()].some(({ instance }) => instance.pricedAs !== undefined);
  return isNeeded ? loadPriceList() : undefined;
}

function toEntry(name: string, built: Built, leaves: LeafShelf): Entry {
  const { plan } = built.planned;
  const { maxUsd = Infinity } = built;
  const leaf = built.kind === "leaf" ? leaves.of(plan) : undefined;
  if (leaf) return Object.freeze({ ...leaf, name, virtual: true });
  const price = (of: Plan) => leaves.of(of)?.price;
  return Object.freeze({
    name,
    kind: built.kind,
    model: built.model,
    plan,
    worstUsd: (promptTokens: number, completionTokens: number) =>
      Math.min(worstUsd(plan, price, { promptTokens, completionTokens }), maxUsd),
    multiplier: multiplierOf(plan, price),
    virtual: true,
  });
}

/** Builds every model of a config, once, before anything listens. Throws a ConfigError that tells every problem with its place. */
export async function buildCatalog(config: Config, deps: CatalogDeps): Promise<Catalog> {
  const registries = deps.registries ?? allRegistries;
  const problems: Problem[] = [];
  const warn = (message: string) => deps.warn(message);
  const providers = await buildProviders(config, {
    pools: deps.pools,
    clock: deps.clock,
    registries,
    problems,
    warn,
  });
  const { wraps, draws } = wrapsFor(
    deps.recorder,
    [...providers.values()].map(({ instance }) => instance),
  );
  const leaves = new LeafShelf(providers, await priceListFor(providers), wraps);
  const { store = memoryStore() } = deps;
  const tree = new Tree({ config, registries, leaves, problems, warn, store, wraps });
  const names = Object.keys(config.models);
  const built = names.map((name) => [name, tree.virtual(name, ["models", name])] as const);
  if (problems.length > 0) throw new ConfigError(problems, config.origin.file);
  const entries = new Map(built.map(([name, model]) => [name, toEntry(name, model, leaves)]));
  const explain = explainer({ part: (plan) => tree.part(plan), planned: (node) => tree.planned(node), leaf: (plan) => leaves.of(plan) });
  const probes = probesOf(providers.values(), (provider, told) => leaves.learn(provider, told));
  const catalog = openCatalog(entries, leaves, { explain, probes, draws });
  if (providers.size === 0) warn("there are no providers in the config, so there is no model to ask");
  for (const key of config.keys) warnOfKey(key, catalog, warn);
  return catalog;
}

/** Models of a key that nobody has, and bare names: a key is checked against the full name of a model. */
function warnOfKey({ name, models }: Config["keys"][number], catalog: Catalog, warn: (message: string) => void): void {
  const missing: string[] = [];
  for (const model of models) {
    if (model.includes("*")) continue;
    const entry = catalog.get(model);
    if (!entry) missing.push(model);
    else if (entry.name !== model) warn(`key "${name}" may use ${model}, which lets nothing through: write ${entry.name}`);
  }
  if (missing.length > 0) warn(`key "${name}" may use ${missing.join(", ")}, of which there is none`);
}
