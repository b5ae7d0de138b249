import { check } from "../config/check.ts";
import type { Problem } from "../config/config-error.ts";
import type { Config, ProviderEntry } from "../config/config.ts";
import { didYouMean } from "../config/nearest.ts";
import { providerCommon, splitKeys, type ProviderCommon } from "../config/nodes.ts";
import { problemAt } from "../config/origin.ts";
import type { Registries } from "../config/schema.ts";
import type { Clock } from "../model/clock.ts";
import type { Model } from "../model/model.ts";
import type { ProviderInstance } from "../providers/define.ts";
import type { Pools } from "../upstream/pools.ts";
import type { Provided } from "./leaves.ts";
import { observe } from "./observe.ts";
import { leafSite } from "./site.ts";

export interface ProviderDeps {
  readonly pools: Pools;
  readonly clock: Clock;
  readonly registries: Registries;
  readonly problems: Problem[];
  readonly warn: (message: string) => void;
}

/** Builds every provider of the config; one that can not be built leaves its problems behind. */
export async function buildProviders(config: Config, deps: ProviderDeps): Promise<ReadonlyMap<string, Provided>> {
  const built = new Map<string, Provided>();
  for (const [name, entry] of Object.entries(config.providers)) {
    const provided = await buildProvider(name, entry, { config, deps });
    if (provided) built.set(name, provided);
  }
  return built;
}

async function buildProvider(
  name: string,
  entry: ProviderEntry,
  { config, deps }: { config: Config; deps: ProviderDeps },
): Promise<Provided | undefined> {
  const { origin } = config;
  const { registries, problems } = deps;
  const path = ["providers", name];
  const { kind, ...keys } = entry;
  const provider = registries.providers.get(kind);
  if (!provider) {
    const kinds = [...registries.providers.keys()];
    const speaker = [...registries.providers.values()].find(({ dialects }) => dialects?.includes(kind));
    problems.push(
      problemAt(
        origin,
        [...path, "kind"],
        speaker
          ? `"${kind}" is a dialect: write {kind: ${speaker.kind}, dialect: ${kind}}`
          : `no provider is of kind "${kind}"${didYouMean(kind, kinds) || `; there are ${kinds.join(", ")}`}`,
      ),
    );
    return undefined;
  }
  const parts = splitKeys(keys, providerCommon);
  const common = check(providerCommon, parts.common, { origin, path });
  const options = check(provider.options, parts.rest, {
    origin,
    path,
    beside: ["kind", ...Object.keys(providerCommon.shape)],
    owner: "this provider",
  });
  const retried = common.ok ? buildRetry(common.value, [...path, "retry"], { config, deps }) : undefined;
  if (!common.ok) problems.push(...common.problems);
  if (!options.ok) problems.push(...options.problems);
  if (!common.ok || !options.ok || !retried) return undefined;
  const instance = await tryToBuild(
    () => provider.build(options.value, { name, pools: deps.pools, clock: deps.clock }),
    (message) => {
      problems.push(problemAt(origin, path, message));
    },
  );
  for (const advice of instance?.advice ?? []) deps.warn(`providers.${name}: ${advice}`);
  return instance && { name, instance, common: common.value, retried };
}

/** A provider refuses options that are each legal but not together by throwing. */
async function tryToBuild(
  build: () => ProviderInstance | Promise<ProviderInstance>,
  refuse: (message: string) => void,
): Promise<ProviderInstance | undefined> {
  try {
    return await build();
  } catch (thrown) {
    refuse(thrown instanceof Error ? thrown.message : "it can not be built");
    return undefined;
  }
}

/** `retry` of a provider is short for a `retry` node round each of its leaves. */
function buildRetry(
  { retry }: ProviderCommon,
  path: readonly string[],
  { config, deps }: { config: Config; deps: ProviderDeps },
): ((leaf: Model) => Model) | undefined {
  const strategy = deps.registries.strategies.get("retry");
  if (!strategy || retry.attempts === 1) return (leaf) => leaf;
  const options = check(strategy.options, { ...retry, model: "leaf" }, { origin: config.origin, path });
  if (!options.ok) {
    deps.problems.push(...options.problems);
    return undefined;
  }
  return (leaf) => observe(strategy.build(options.value, leafSite(path.join("."), leaf)), "retry");
}
