import { buildCatalog } from "../catalog/build.ts";
import type { Catalog } from "../catalog/catalog.ts";
import type { Config } from "../config/config.ts";
import { loadOrDiscover } from "../config/load.ts";
import { systemClock } from "../model/clock.ts";
import { openPools } from "../upstream/pools.ts";
import type { CommandSite } from "./command.ts";

export interface Opened {
  readonly config: Config;
  readonly catalog: Catalog;
  readonly warnings: readonly string[];
  /** The file, or what stood in for it. */
  readonly source: string;
}

/**
 * Reads the config and builds every model, as the gateway does at boot, without listening. Calls nobody, but servers that may tell what their
 * models can do where `asks` says so.
 */
export async function openConfigured({ env, io, config: path }: CommandSite, asks = false): Promise<Opened> {
  const { config, file } = await loadOrDiscover({
    ...(path === undefined ? {} : { path }),
    env,
    probe: io.probe,
  });
  const warnings: string[] = [];
  const pools = openPools();
  try {
    const catalog = await buildCatalog(config, {
      pools,
      clock: systemClock,
      warn: (message) => warnings.push(message),
    });
    if (asks) {
      const { signal } = new AbortController();
      await Promise.all(catalog.probes.map((probe) => probe.ask(signal, systemClock)));
    }
    return {
      config,
      catalog,
      warnings,
      source: file ?? "no config file: what the environment and this machine offer",
    };
  } finally {
    await pools.close();
  }
}
