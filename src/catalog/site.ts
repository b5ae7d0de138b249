import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import type { Problem } from "../config/config-error.ts";
import { didYouMean } from "../config/nearest.ts";
import { problemAt, readPath, showPath, type Origin, type Path } from "../config/origin.ts";
import type { Embedder, Reranker } from "../model/leaves.ts";
import type { Heeds } from "../model/heeds.ts";
import type { Model } from "../model/model.ts";
import type { Store } from "../store/store.ts";
import { OptionError, type BuildSite, type Node, type Prices, type Prompt, type Strategy } from "../strategies/define.ts";
import { overridingPrompt, PromptError, shippedPrompt } from "./prompts.ts";

/** Where a node stands. */
export interface Place {
  readonly path: Path;
  /** Name of the node in traces. */
  readonly name: string;
}

export interface SiteDeps {
  readonly config: { readonly origin: Origin };
  readonly problems: Problem[];
  /** Files that the node puts in the place of prompts. */
  readonly prompts: Readonly<Record<string, string>>;
  build(node: Node, place: Place): { readonly model: Model; readonly height: number };
  /** What a leaf offers besides chat; a stand-in where it does not, with a problem at the place. */
  embedder(node: Node, place: Place): Embedder;
  reranker(node: Node, place: Place): Reranker;
  readonly store: Store;
  readonly prices: Prices;
  readonly heeds: (node: Node) => Required<Heeds>;
  readonly identity: (node: Node) => string;
  readonly warn: (message: string) => void;
}

export interface OpenSite {
  readonly site: BuildSite;
  readonly place: Place;
  /** Strategies on the longest way down, this one included. */
  height(): number;
  /** An override of a prompt that nobody asked for is a mistake. */
  checkPrompts(): void;
}

function readNamed(folder: string, path: string, at: string): Buffer {
  try {
    return readFileSync(resolve(folder, path));
  } catch (thrown) {
    throw new OptionError(at, `can not read ${resolve(folder, path)} (${(thrown as NodeJS.ErrnoException).code ?? "unknown"})`);
  }
}

/** The site of a kind that the catalog itself puts round a leaf: it has one child and asks for nothing else. */
export function leafSite(path: string, leaf: Model): BuildSite {
  const nothing = () => {
    throw new Error(`${path} has nothing but its model.`);
  };
  return {
    path,
    name: leaf.name,
    child: () => leaf,
    embedder: nothing,
    reranker: nothing,
    prompt: nothing,
    file: nothing,
    get store() {
      return nothing();
    },
    prices: { worstUsd: nothing },
    heeds: nothing,
    identity: nothing,
    warn: nothing,
  };
}

/** What a strategy may ask for while it is built. */
export function openSite(strategy: Strategy, place: Place, deps: SiteDeps): OpenSite {
  const { prompts, problems, config } = deps;
  const asked = new Set<string>();
  let highest = 0;
  const wrong = (name: string, message: string) => void problems.push(problemAt(config.origin, [...place.path, "prompts", name], message));

  const prompt = (name: string): Prompt => {
    asked.add(name);
    const shipped = shippedPrompt(strategy.level, name);
    const path = prompts[name];
    if (path === undefined) return shipped;
    try {
      return overridingPrompt(resolve(config.origin.folder, path), shipped);
    } catch (thrown) {
      if (!(thrown instanceof PromptError)) throw thrown;
      wrong(name, thrown.message);
      return shipped;
    }
  };

  const below = (at: string): Place => {
    return { path: [...place.path, ...readPath(at)], name: `${place.name}/${at.replace(/\.model$/, "")}` };
  };

  const child = (node: Node, at: string): Model => {
    const built = deps.build(node, below(at));
    highest = Math.max(highest, built.height);
    return built.model;
  };

  return {
    site: {
      path: showPath(place.path),
      name: place.name,
      child,
      embedder: (node, at) => deps.embedder(node, below(at)),
      reranker: (node, at) => deps.reranker(node, below(at)),
      prompt,
      file: (named, at) => readNamed(config.origin.folder, named, at),
      store: deps.store,
      prices: deps.prices,
      heeds: deps.heeds,
      identity: deps.identity,
      warn: (at, message) => deps.warn(`${showPath(below(at).path)}: ${message}`),
    },
    place,
    height: () => highest + 1,
    checkPrompts() {
      for (const name of Object.keys(prompts)) {
        if (asked.has(name)) continue;
        const known = [...asked];
        const there = known.length === 0 ? "; this kind has none" : didYouMean(name, known) || `; there are ${known.join(", ")}`;
        wrong(name, `there is no prompt "${name}"${there}`);
      }
    },
  };
}
