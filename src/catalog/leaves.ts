import type { ProviderCommon, Price } from "../config/nodes.ts";
import { leafPlan, type Plan } from "../model/plan.ts";
import type { Passage } from "../model/leaves.ts";
import type { Model } from "../model/model.ts";
import type { ChatRequest } from "../model/request.ts";
import { answerTimes, wholeTimes } from "../panel/runs.ts";
import type { Capabilities, ProviderInstance } from "../providers/define.ts";
import { attempted } from "./attempt.ts";
import { capabilitiesOf } from "./capabilities.ts";
import { Incapable } from "./incapable.ts";
import type { Entry, Leaves } from "./catalog.ts";
import { observeLeaf } from "./observe.ts";
import { embedderOver, rerankerOver, type Offer, type Offers } from "./observe-offers.ts";
import { costOf, priceOf, type PriceList } from "./prices.ts";
import { bare, type Wraps } from "./record-wraps.ts";
import { leavesOf } from "./worst.ts";

/** A provider that was built, with what the catalog knows of it. */
export interface Provided {
  readonly name: string;
  readonly instance: ProviderInstance;
  readonly common: ProviderCommon;
  /** Puts the provider's retries round a leaf. */
  readonly retried: (leaf: Model) => Model;
}

/** Leaves made for names that clients asked for. Bounded: the names are theirs. */
const ASKED = 256;
/** No model's name is longer. */
const NAME = 256;

/** The names that a provider says it serves. */
function listedNames({ instance, common }: Provided): readonly string[] {
  const own = instance.own ?? [];
  return Array.isArray(common.models) ? [...new Set([...own, ...common.models])] : own;
}

/** Takes any name: nobody said what it serves. */
function isOpen({ instance, common }: Provided): boolean {
  return common.models === "*" || (common.models === undefined && instance.own === undefined);
}

/** Makes it when it is first asked for. */
function once<T>(make: () => T): () => T {
  let made: T | undefined;
  return () => (made ??= make());
}

/** A leaf whose server has no `n`: as many runs of its own instead. */
function independentRuns(leaf: Model): Model {
  const whole = leaf.whole?.bind(leaf);
  const timesOf = ({ body: { n } }: ChatRequest) => (typeof n === "number" && n > 1 ? n : 1);
  return {
    name: leaf.name,
    stream: (request, call) => {
      const n = timesOf(request);
      return n > 1 ? answerTimes(leaf, n, request, call) : leaf.stream(request, call);
    },
    ...(whole && {
      whole: (request, call) => {
        const n = timesOf(request);
        return n > 1 ? wholeTimes(leaf, n, request, call) : whole(request, call);
      },
    }),
    unable: (request) => leaf.unable?.(request),
  };
}

/** The upstream models: those that the config names, built at boot, and for open providers the last ones that clients asked for. */
export class LeafShelf implements Leaves {
  readonly #providers: ReadonlyMap<string, Provided>;
  readonly #list: PriceList | undefined;
  readonly #wraps: Wraps;
  readonly #built = new Map<string, Entry>();
  /** What clients see. */
  readonly #listed = new Map<string, Entry>();
  /** Names that providers list by themselves, whatever the nodes use. */
  readonly #declared = new Map<string, Entry>();
  readonly #asked = new Map<string, Entry>();
  readonly #entries = new WeakMap<Plan, Entry>();
  /** What servers told of their models, by provider and model. */
  readonly #told = new Map<string, ReadonlyMap<string, Capabilities>>();
  readonly #limits = new WeakMap<Plan, Incapable>();
  readonly #offers = new WeakMap<Plan, { readonly [Kind in Offer]: () => Offers[Kind] | undefined }>();

  constructor(providers: ReadonlyMap<string, Provided>, list: PriceList | undefined, wraps: Wraps = bare) {
    this.#providers = providers;
    this.#list = list;
    this.#wraps = wraps;
    for (const provided of providers.values()) {
      for (const model of listedNames(provided)) {
        const entry = this.#build(provided, model);
        this.#listed.set(entry.name, entry);
        this.#declared.set(entry.name, entry);
      }
    }
  }

  has(provider: string): boolean {
    return this.#providers.has(provider);
  }

  get listed(): readonly Entry[] {
    return [...this.#listed.values()];
  }

  /** Takes what a provider's server told of its models, for those that are there and those that are asked for later. */
  learn(provider: string, told: ReadonlyMap<string, Capabilities>): void {
    this.#told.set(provider, told);
    for (const entry of [...this.#built.values(), ...this.#asked.values()]) {
      if (entry.provider === provider) this.#limits.get(entry.plan)?.learn(this.#toldOf(entry.name));
    }
  }

  /** The leaf that a plan belongs to. */
  of(plan: Plan): Entry | undefined {
    return this.#entries.get(plan);
  }

  /** What the leaf of a plan offers besides chat; undefined when it does not. */
  offered<Kind extends Offer>(kind: Kind, plan: Plan): Offers[Kind] | undefined {
    return this.#offers.get(plan)?.[kind]();
  }

  /** The providers whose models offer this. */
  offering(kind: Offer): readonly string[] {
    return [...this.#providers.values()].filter(({ instance }) => instance[kind] !== undefined).map(({ name }) => name);
  }

  /** Every leaf below a plan, once. */
  below(plan: Plan): readonly Entry[] {
    return leavesOf(plan)
      .map((leaf) => this.of(leaf))
      .filter((entry) => entry !== undefined);
  }

  /** The leaves of this bare name that providers list by themselves. */
  bare(model: string): readonly Entry[] {
    return [...this.#providers.keys()].map((name) => this.#declared.get(`${name}/${model}`)).filter((entry) => entry !== undefined);
  }

  /** A leaf that the config names. Undefined when its provider has only other models. */
  named(provider: string, model: string): Entry | undefined {
    const provided = this.#providers.get(provider);
    if (!provided || model === "") return undefined;
    const known = this.#built.get(`${provider}/${model}`);
    if (known) return known;
    if (isOpen(provided)) {
      const entry = this.#build(provided, model);
      this.#listed.set(entry.name, entry);
      return entry;
    }
    // A list is what clients see; the operator may use more. What a provider tells of itself is all it has.
    return provided.common.models === undefined ? undefined : this.#build(provided, model);
  }

  /** A leaf that a client names: any model of an open provider, else one that its provider lists. */
  get(provider: string, model: string): Entry | undefined {
    const name = `${provider}/${model}`;
    const provided = this.#providers.get(provider);
    if (!provided) return undefined;
    // What the nodes use beside a list is the operator's alone.
    if (!isOpen(provided)) return this.#declared.get(name);
    const known = this.#built.get(name) ?? this.#asked.get(name);
    if (known) {
      if (this.#asked.delete(name)) this.#asked.set(name, known);
      return known;
    }
    if (model === "" || model.length > NAME) return undefined;
    const entry = this.#make(provided, model);
    this.#asked.set(name, entry);
    if (this.#asked.size > ASKED) this.#asked.delete(this.#asked.keys().next().value ?? "");
    return entry;
  }

  #toldOf(name: string): Capabilities {
    const slash = name.indexOf("/");
    const told = this.#told.get(name.slice(0, slash));
    return { ...told?.get("*"), ...told?.get(name.slice(slash + 1)) };
  }

  #build(provided: Provided, model: string): Entry {
    const entry = this.#make(provided, model);
    this.#built.set(entry.name, entry);
    return entry;
  }

  #make({ name: provider, instance, common, retried }: Provided, model: string): Entry {
    const price: Price | undefined = priceOf(model, {
      own: common.prices,
      pricedAs: instance.pricedAs,
      list: this.#list,
    });
    const plan: Plan = { ...leafPlan, attempts: common.retry.attempts, ...(instance.heeds ? { heeds: instance.heeds } : {}) };
    const capabilities = capabilitiesOf(model, { own: common.capabilities, instance });
    const limits = new Incapable(`${provider}/${model}`, capabilities);
    limits.learn(this.#toldOf(`${provider}/${model}`));
    const nothing = new Incapable(`${provider}/${model}`, {});
    const frame = (inner: Model) => retried(attempted(observeLeaf(this.#wraps.leaf(inner, capabilities), price), nothing));
    const asked = retried(attempted(observeLeaf(this.#wraps.leaf(instance.chat(model), capabilities), price), limits));
    const embedder = once(() => embedderOver(instance.embedder?.(model), frame));
    const reranker = once(() => rerankerOver(instance.reranker?.(model), frame));
    // No part of history: a replay gives what was said in chats.
    const passing = (inner: Model | undefined) => inner && retried(attempted(observeLeaf(inner, price), nothing));
    const passages = {
      completions: once(() => passing(instance.passage?.("completions", model))),
      embeddings: once(() => passing(instance.passage?.("embeddings", model))),
      moderations: once(() => passing(instance.passage?.("moderations", model))),
      rerank: once(() => passing(instance.passage?.("rerank", model))),
    };
    const entry: Entry = Object.freeze({
      name: `${provider}/${model}`,
      kind: "leaf",
      model: this.#wraps.node(capabilities.choices === "one" ? independentRuns(asked) : asked),
      plan,
      worstUsd: (promptTokens: number, completionTokens: number) => (price ? costOf({ promptTokens, completionTokens }, price) : 0),
      multiplier: 1,
      virtual: false,
      provider,
      attempts: common.retry.attempts,
      ...(price ? { price } : {}),
      capabilities,
      embedder,
      reranker,
      passage: (endpoint: Passage) => passages[endpoint](),
    });
    this.#entries.set(plan, entry);
    this.#limits.set(plan, limits);
    this.#offers.set(plan, {
      embedder,
      reranker,
    });
    return entry;
  }
}
