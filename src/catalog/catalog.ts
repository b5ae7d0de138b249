import type { Price } from "../config/nodes.ts";
import type { Embedder, Passage, Reranker } from "../model/leaves.ts";
import type { Model } from "../model/model.ts";
import type { Plan } from "../model/plan.ts";
import type { Capabilities } from "../providers/define.ts";
import type { DrawsFor } from "./record-wraps.ts";
import type { Explain } from "./explain.ts";
import { bareName, nearestModels } from "./names.ts";
import type { ServerProbe } from "./probe.ts";

/** A model by the name that a client may ask for. */
export interface Entry {
  readonly name: string;
  /** Kind of its root; `leaf` for an upstream model, also behind an alias. */
  readonly kind: string;
  readonly model: Model;
  readonly plan: Plan;
  /** US dollars at worst for a prompt and answers of these sizes, within its own budget; calls whose price is unknown count nothing. */
  worstUsd(promptTokens: number, completionTokens: number): number;
  /** Its worst price over that of one call to its dearest leaf. */
  readonly multiplier: number;
  /** Made in the config, not served by one upstream under this name. */
  readonly virtual: boolean;
  /** Of a leaf, also behind an alias. */
  readonly provider?: string;
  /** Of a leaf: how often its provider asks at most where a call fails. Plans do not count it. */
  readonly attempts?: number;
  readonly price?: Price;
  readonly capabilities?: Capabilities;
  /** Of a leaf: what it embeds with, where it does. */
  readonly embedder?: () => Embedder | undefined;
  /** Of a leaf: what it scores documents with, where it does. */
  readonly reranker?: () => Reranker | undefined;
  /** Of a leaf: an endpoint of its server that bodies pass through, in the frames of chat. */
  readonly passage?: (endpoint: Passage) => Model | undefined;
}

/** Every model there is, built once at boot. */
export interface Catalog {
  /** A virtual model, `provider/model`, or the bare name of a model that exactly one provider lists. */
  get(name: string): Entry | undefined;
  /** The names that `name` may have been meant to be, best first; only those that `allowed` lets through. */
  nearest(name: string, allowed?: (name: string) => boolean): readonly string[];
  /** Virtual models, then the listed models of each provider. */
  list(): readonly Entry[];
  /** Tells what a request to a model of this catalog would do. */
  readonly explain: Explain;
  /** Servers that may tell what their models can do, to be asked while the gateway runs. */
  readonly probes: readonly ServerProbe[];
  /** Chance for a request, while history is written or replayed. */
  readonly draws?: DrawsFor;
}

/** Where leaves are found: those built at boot, and others made when somebody asks. */
export interface Leaves {
  /** By provider and model; undefined when the provider does not have it. */
  get(provider: string, model: string): Entry | undefined;
  readonly listed: readonly Entry[];
}

/** Models whose bare name one provider alone lists. */
function bareNames(listed: readonly Entry[]): ReadonlyMap<string, Entry> {
  const bare = new Map<string, Entry | undefined>();
  for (const entry of listed) {
    const name = bareName(entry.name);
    bare.set(name, bare.has(name) ? undefined : entry);
  }
  return new Map([...bare].filter((pair): pair is [string, Entry] => pair[1] !== undefined));
}

/**
 * Names that may end up in the path of an upstream's address, where they would lead elsewhere or have no spelling: parts that are dots, control
 * characters, half a surrogate pair. No model is called so.
 */
function leadsAstray(name: string): boolean {
  return /(?:^|[/\\])\.{1,2}(?:[/\\?#]|$)|\p{Cc}/u.test(name) || !name.isWellFormed();
}

/** The names over models that were built. */
export function openCatalog(
  virtual: ReadonlyMap<string, Entry>,
  leaves: Leaves,
  rest: Pick<Catalog, "explain" | "probes"> & { readonly draws?: DrawsFor | undefined },
): Catalog {
  const { explain, probes, draws } = rest;
  const all = Object.freeze([...virtual.values(), ...leaves.listed]);
  const bare = bareNames(leaves.listed);
  const names = all.map(({ name }) => name);
  return Object.freeze({
    get(name: string) {
      const named = virtual.get(name);
      if (named || leadsAstray(name)) return named;
      const slash = name.indexOf("/");
      const leaf = slash < 0 ? undefined : leaves.get(name.slice(0, slash), name.slice(slash + 1));
      return leaf ?? bare.get(name);
    },
    nearest: (name: string, allowed: (name: string) => boolean = () => true) => nearestModels(name, names.filter(allowed)),
    list: () => all,
    explain,
    probes,
    ...(draws ? { draws } : {}),
  });
}
