import { resolve } from "node:path";
import type { Problem } from "../config/config-error.ts";
import { didYouMean } from "../config/nearest.ts";
import { problemAt, readPath, showPath, type Origin, type Path } from "../config/origin.ts";
import type { Model } from "../model/model.ts";
import type { BuildSite, Node, Prompt, Strategy } from "../strategies/define.ts";
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
}

export interface OpenSite {
  readonly site: BuildSite;
  readonly place: Place;
  /** Strategies on the longest way down, this one included. */
  height(): number;
  /** An override of a prompt that nobody asked for is a mistake. */
  checkPrompts(): void;
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

  const child = (node: Node, at: string): Model => {
    const name = `${place.name}/${at.replace(/\.model$/, "")}`;
    const built = deps.build(node, { path: [...place.path, ...readPath(at)], name });
    highest = Math.max(highest, built.height);
    return built.model;
  };

  return {
    site: {
      path: showPath(place.path),
      name: place.name,
      child,
      prompt,
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
