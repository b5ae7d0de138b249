import { check } from "../config/check.ts";
import type { Problem } from "../config/config-error.ts";
import type { Config } from "../config/config.ts";
import { didYouMean, nearest } from "../config/nearest.ts";
import { nodeCommon, splitKeys, type NodeBudget } from "../config/nodes.ts";
import { problemAt, readPath, showPath, type Path } from "../config/origin.ts";
import type { Registries } from "../config/schema.ts";
import { GatewayError } from "../model/errors.ts";
import { heedsOf } from "../model/heeds.ts";
import type { Model } from "../model/model.ts";
import type { Embedder, Reranker } from "../model/leaves.ts";
import { leafPlan, type Plan, type Planned } from "../model/plan.ts";
import { SLOT_ATTEMPTS } from "../model/slot.ts";
import type { Usage } from "../model/usage.ts";
import type { Store } from "../store/store.ts";
import { OptionError, type Node, type Strategy } from "../strategies/define.ts";
import { budgeted } from "./budgeted.ts";
import { identityOf } from "./identity.ts";
import type { LeafShelf } from "./leaves.ts";
import type { Offer, Offers } from "./observe-offers.ts";
import { nearestModels } from "./names.ts";
import { observe } from "./observe.ts";
import { bare, type Wraps } from "./record-wraps.ts";
import { openSite, type OpenSite, type Place } from "./site.ts";
import { leavesOf, worstUsd } from "./worst.ts";

/** A node that was built. */
export interface Built {
  readonly model: Model;
  /** Kind of the strategy; `leaf` for an upstream model. */
  readonly kind: string;
  readonly planned: Planned;
  /** Strategies on the longest way down. */
  readonly height: number;
  /** US dollars that its own budget lets it spend. */
  readonly maxUsd?: number;
}

export interface TreeDeps {
  readonly config: Config;
  readonly registries: Registries;
  readonly leaves: LeafShelf;
  readonly problems: Problem[];
  readonly warn: (message: string) => void;
  readonly store: Store;
  readonly wraps?: Wraps;
}

const DEEPEST = 6;

const verbs: Readonly<Record<Offer, string>> = { embedder: "embed", reranker: "rerank" };

/** Stands for a child that could not be built, so that its parent's other faults are found too. It never answers anybody. */
const broken: Built = {
  model: {
    name: "broken",
    stream: () => {
      throw new GatewayError("internal", "This model was never built.");
    },
  },
  kind: "broken",
  // Whatever a parent asks of its children's plans, this one has it: the fault that counts is its own.
  planned: { title: "?", plan: { ...leafPlan, agreement: true } },
  height: 0,
};

const neverBuilt = () => Promise.reject(new GatewayError("internal", "This model was never built."));
const noEmbedder: Embedder = { name: "broken", embed: neverBuilt };
const noReranker: Reranker = { name: "broken", rerank: neverBuilt };

/** What a plan was made of. */
export interface Part {
  readonly strategy: Strategy;
  readonly options: unknown;
  readonly budget?: NodeBudget | undefined;
}

/** Builds the virtual models depth-first, each once, and notes every problem with its place. */
export class Tree {
  readonly #deps: TreeDeps;
  readonly #virtual = new Map<string, Built>();
  readonly #plans = new WeakMap<object, Plan>();
  readonly #parts = new WeakMap<Plan, Part>();
  #building: readonly string[] = [];

  constructor(deps: TreeDeps) {
    this.#deps = deps;
  }

  /** The virtual model of this name; `from` is where it was asked for. */
  virtual(name: string, from: Path): Built {
    const known = this.#virtual.get(name);
    if (known) return known;
    if (this.#building.includes(name)) {
      const circle = [...this.#building.slice(this.#building.indexOf(name)), name].join(" -> ");
      return this.#wrong(from, `the models need each other in a circle: ${circle}`);
    }
    const before = this.#building;
    this.#building = [...before, name];
    const built = this.#node(this.#deps.config.models[name] ?? "", {
      path: ["models", name],
      name,
    });
    this.#building = before;
    this.#virtual.set(name, built);
    return built;
  }

  /** What the plan of a strategy was made of; undefined for a leaf. */
  part(plan: Plan): Part | undefined {
    return this.#parts.get(plan);
  }

  #wrong(path: Path, message: string): Built {
    this.#deps.problems.push(problemAt(this.#deps.config.origin, path, message));
    return broken;
  }

  #node(node: Node, place: Place): Built {
    if (typeof node === "string") return this.#reference(node, place.path);
    const strategy = this.#deps.registries.strategies.get(node.kind);
    return strategy ? this.#strategy(strategy, node, place) : this.#unknownKind(node.kind, place.path);
  }

  #unknownKind(kind: string, path: Path): Built {
    const kinds = [...this.#deps.registries.strategies.keys()];
    const guess = didYouMean(kind, kinds) || `; there are ${kinds.join(", ")}`;
    const other = this.#deps.registries.providers.has(kind) ? "; that is a kind of provider" : guess;
    return this.#wrong([...path, "kind"], `no node is of kind "${kind}"${other}`);
  }

  #reference(name: string, path: Path): Built {
    const { config, leaves } = this.#deps;
    if (Object.hasOwn(config.models, name)) return this.virtual(name, path);
    const slash = name.indexOf("/");
    const provider = name.slice(0, Math.max(0, slash));
    if (Object.hasOwn(config.providers, provider)) {
      const entry = leaves.named(provider, name.slice(slash + 1));
      if (entry)
        return {
          model: entry.model,
          kind: "leaf",
          planned: { title: entry.name, plan: entry.plan },
          height: 0,
        };
      // A provider that could not be built has said why.
      return leaves.has(provider) ? this.#unknownName(name, path) : broken;
    }
    const [only, ...others] = leaves.bare(name);
    if (only && others.length === 0)
      return {
        model: only.model,
        kind: "leaf",
        planned: { title: only.name, plan: only.plan },
        height: 0,
      };
    if (!only) return this.#unknownName(name, path);
    return this.#wrong(path, `more than one provider has "${name}": write ${[only, ...others].map((entry) => entry.name).join(" or ")}`);
  }

  #unknownName(name: string, path: Path): Built {
    const { config, leaves } = this.#deps;
    const guesses = [...nearestModels(name, [...Object.keys(config.models), ...leaves.listed.map((entry) => entry.name)])];
    const slash = name.indexOf("/");
    const given = slash < 0 ? undefined : name.slice(0, slash);
    const [provider] = given === undefined ? [] : nearest(given, Object.keys(config.providers));
    if (guesses.length === 0 && provider !== undefined && provider !== given) guesses.push(provider + name.slice(slash));
    const guess = guesses.map((other) => `"${other}"`).join(" or ");
    const others = leaves.listed.flatMap((entry) => (entry.name.startsWith(`${given}/`) ? [entry.name] : []));
    const there = guess === "" && others.length > 0 ? `; there are ${others.slice(0, 10).join(", ")}` : "";
    return this.#wrong(path, `there is no model "${name}"${guess && `; did you mean ${guess}?`}${there}`);
  }

  #strategy(strategy: Strategy, node: Exclude<Node, string>, place: Place): Built {
    const { origin } = this.#deps.config;
    const { kind, ...keys } = node;
    const parts = splitKeys(keys, nodeCommon);
    const common = check(nodeCommon, parts.common, { origin, path: place.path });
    const options = check(strategy.options, parts.rest, {
      origin,
      path: place.path,
      beside: ["kind", ...Object.keys(nodeCommon.shape)],
      owner: "this node",
    });
    if (!common.ok) this.#deps.problems.push(...common.problems);
    if (!options.ok) this.#deps.problems.push(...options.problems);
    if (!common.ok || !options.ok) return broken;
    const { budget, prompts = {} } = common.value;
    const open = openSite(strategy, place, {
      ...this.#deps,
      prompts,
      build: (child, at) => this.#node(child, at),
      embedder: (child, at) => this.#offered("embedder", child, at) ?? noEmbedder,
      reranker: (child, at) => this.#offered("reranker", child, at) ?? noReranker,
      prices: { worstUsd: (child, usage) => this.#worstUsd(child, usage) },
      heeds: (child) => heedsOf(this.planned(child).plan),
      identity: (child) => identityOf(child, { models: this.#deps.config.models, strategies: this.#deps.registries.strategies }),
    });
    const made = this.#made(strategy, options.value, open);
    if (!made) return broken;
    open.checkPrompts();
    this.#plans.set(node, made.plan);
    this.#parts.set(made.plan, { strategy, options: options.value, budget });
    const height = open.height();
    if (height === DEEPEST + 1) this.#wrong(place.path, `${height} strategies stand inside each other here; at most ${DEEPEST} may`);
    if (budget) this.#warnOfBudget(budget, made.plan, place.path);
    this.#warnOfAttempts(made.plan, place.path);
    const { wraps = bare } = this.#deps;
    const model = wraps.node(observe(budget ? budgeted(made.model, budget) : made.model, kind));
    const { usd: maxUsd } = budget ?? {};
    return { model, kind, planned: { title: kind, plan: made.plan }, height, ...(maxUsd === undefined ? {} : { maxUsd }) };
  }

  /** What the model of a node offers besides chat; undefined with a problem at its place when it does not. */
  #offered<Kind extends Offer>(kind: Kind, node: Node, { path, name }: Place): Offers[Kind] | undefined {
    const { leaves } = this.#deps;
    const built = this.#node(node, { path, name });
    if (built === broken) return undefined;
    const offered = leaves.offered(kind, built.planned.plan);
    if (offered) return offered;
    const providers = leaves.offering(kind).map((provider) => `"${provider}"`);
    const said =
      built.kind === "leaf" ? `${built.planned.title} does not ${verbs[kind]}` : `a node of kind "${built.kind}" can not ${verbs[kind]}`;
    const fix = providers.length === 0 ? "no provider of this config has models that do" : `name a model of ${providers.join(" or ")}`;
    this.#wrong(path, `${said}; ${fix}`);
    return undefined;
  }

  #worstUsd(node: Node, { promptTokens, completionTokens }: Usage): number | undefined {
    const { leaves } = this.#deps;
    const { plan } = this.planned(node);
    const price = (of: Plan) => leaves.of(of)?.price;
    return leavesOf(plan).every((leaf) => price(leaf) !== undefined)
      ? worstUsd(plan, price, { promptTokens, completionTokens })
      : undefined;
  }

  #made(strategy: Strategy, options: unknown, { site, place }: OpenSite): { readonly model: Model; readonly plan: Plan } | undefined {
    try {
      return {
        model: strategy.build(options, site),
        plan: strategy.plan(options, (node) => this.planned(node)),
      };
    } catch (thrown) {
      if (!(thrown instanceof OptionError)) throw thrown;
      this.#wrong([...place.path, ...readPath(thrown.at)], thrown.message);
      return undefined;
    }
  }

  /** The plan of a node that was built as somebody's child. */
  planned(node: Node): Planned {
    if (typeof node === "string") {
      const virtual = this.#virtual.get(node);
      if (virtual) return { title: node, plan: virtual.planned.plan };
      const slash = node.indexOf("/");
      const entry = slash < 0 ? this.#deps.leaves.bare(node)[0] : this.#deps.leaves.named(node.slice(0, slash), node.slice(slash + 1));
      return entry ? { title: entry.name, plan: entry.plan } : broken.planned;
    }
    return { title: node.kind, plan: this.#plans.get(node) ?? this.#pure(node) };
  }

  /** The plan of a node that its parent made out of what was written. */
  #pure({ kind, ...keys }: Exclude<Node, string>): Plan {
    const strategy = this.#deps.registries.strategies.get(kind);
    const options = strategy?.options.safeParse(splitKeys(keys, nodeCommon).rest);
    if (!strategy || !options?.success) return leafPlan;
    const plan = strategy.plan(options.data, (node) => this.planned(node));
    this.#parts.set(plan, { strategy, options: options.data });
    return plan;
  }

  /** Children that follow each other in one slot: those behind its last attempt are there in vain when all before them are down. */
  #warnOfAttempts({ attempts, edges }: Plan, path: Path): void {
    const taken = edges.map(({ child }) => child.plan.attempts ?? 1);
    if (edges.length < 2 || attempts !== taken.reduce((sum, own) => sum + own, 0)) return;
    const late = edges.filter((_, index) => taken.slice(0, index).reduce((sum, own) => sum + own, 0) >= SLOT_ATTEMPTS);
    if (late.length === 0) return;
    this.#deps.warn(
      `${showPath(path)}: ${late.map(({ role }) => role).join(", ")} may never be asked: all before may take the ${SLOT_ATTEMPTS} attempts ` +
        "of a request; set retry.attempts of their providers to 1",
    );
  }

  #warnOfBudget({ usd }: NodeBudget, plan: Plan, path: Path): void {
    if (usd === undefined) return;
    const unpriced = this.#deps.leaves.below(plan).filter(({ price }) => price === undefined);
    if (unpriced.length === 0) return;
    this.#deps.warn(
      `${showPath([...path, "budget", "usd"])}: no price is known of ${unpriced.map(({ name }) => name).join(", ")}, so that they count as nothing`,
    );
  }
}
