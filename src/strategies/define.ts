import * as z from "zod";
import type { Call } from "../model/call.ts";
import type { Embedder, Reranker } from "../model/leaves.ts";
import type { Heeds } from "../model/heeds.ts";
import type { Model } from "../model/model.ts";
import type { Plan, Planned } from "../model/plan.ts";
import type { ChatRequest } from "../model/request.ts";
import type { Usage } from "../model/usage.ts";
import type { Store } from "../store/store.ts";

/** In the config a node is a model's name or `{kind, ...options}`, and options may hold nodes. That is the whole language. */
export type Node = string | { readonly kind: string; readonly [option: string]: unknown };

/** Marks the place of a child in a strategy's options. The child's own options are checked when it is built, at its own path. */
export const node: z.ZodType<Node> = z
  .union([z.string().min(1), z.looseObject({ kind: z.string().min(1) })], {
    error: "expected the name of a model, or a map with a kind: {kind: vote, members: [...]}",
  })
  .meta({ id: "node" });

/** What a strategy may ask for while it is built, at boot. */
export interface BuildSite {
  /** Path of this node in the config: `models.smart.steps[0].model`. */
  readonly path: string;
  /** Name of this node in traces: `smart/steps[0]`. */
  readonly name: string;
  /**
   * Builds a child; `at` is its place below this node, such as `members[0]`. One that can not be built is noted with its path and fails the boot;
   * what stands in for it is never asked.
   */
  child(node: Node, at: string): Model;
  /**
   * A model that embeds, and one that scores documents; `at` as for `child`. A model that does not offer this is noted with its path and fails the
   * boot. A call of one is an upstream call like any other: `enter` it, count it in the plan and draw it among the edges.
   */
  embedder(node: Node, at: string): Embedder;
  reranker(node: Node, at: string): Reranker;
  /** The text of `<name>.prompt.md` beside the strategies, or the override in the node's `prompts`. */
  prompt(name: string): Prompt;
  /** The bytes of a file named in the options at `at`, relative to the config file. Throws an `OptionError` there when it can not be read. */
  file(path: string, at: string): Buffer;
  /** State that all requests share, partitioned by the spaces that a strategy names. */
  readonly store: Store;
  readonly prices: Prices;
  /** What a child that was built, and all below it, heed of a request beside its fields. */
  heeds(node: Node): Required<Heeds>;
  /**
   * Tells a node from any other, for files that are made for certain nodes: an upstream model is its name, anything else its kind and a hash over
   * its options and all below. Aliases are followed.
   */
  identity(node: Node): string;
  /** Tells the operator of something legal that is hardly meant. `at` as for `child`. */
  warn(at: string, message: string): void;
}

/** What is known of money before a call. */
export interface Prices {
  /** US dollars at worst of a child that was built, for a prompt and answers of these sizes; undefined where a price below it is unknown. */
  worstUsd(node: Node, usage: Usage): number | undefined;
}

/** A prompt with `{{variable}}` places. */
export interface Prompt {
  /** Fills every place. The variables were checked at boot. */
  fill(variables: Readonly<Record<string, string>>): string;
  /** The places it has. */
  readonly variables: readonly string[];
}

/** A request as a strategy may look at it before anybody is asked. */
export interface Foresight {
  readonly request: ChatRequest;
  readonly call: Pick<Call, "principal" | "header" | "caching" | "trace">;
}

/** What a strategy knows of a request's way from the request alone. */
export interface Foretold {
  /** One sentence for the operator: what decides, or what was decided. */
  readonly note?: string;
  /** Role of the edge that it takes, untouched, and no other. */
  readonly to?: string;
  /** Roles of edges that are taken in any case, where the plan's fewest calls do not say so. */
  readonly certain?: readonly string[];
  /** Roles of edges that are asked something of the strategy's own, not the client's request. */
  readonly aside?: readonly string[];
}

/** A kind of node. One file, one registry line. */
export interface Strategy<Options = unknown> {
  readonly kind: string;
  readonly level: "api" | "text";
  /** One sentence for `chorale check`, the schema and the docs. */
  readonly summary: string;
  /** Strict; all defaults stand here. */
  readonly options: z.ZodType<Options>;
  /** Runs once per node, at boot. Resolve children here; `stream` does no look-ups. */
  build(options: Options, site: BuildSite): Model;
  /** Pure. `child` gives the plan of a node among the options. */
  plan(options: Options, child: (node: Node) => Planned): Plan;
  /** Pure. For kinds whose way depends on the request: what it tells of that way. Nobody is asked. */
  foretell?(options: Options, asked: Foresight): Foretold;
  /** Legal configs over the models `a`, `b` and `c`: the contract suite and the docs run them. */
  readonly examples: readonly Node[];
}

/** Thrown by `plan` and `build` for options that are each legal but not together. `at` is the place below the node, such as `quorum.min`. */
export class OptionError extends Error {
  readonly at: string;

  constructor(at: string, message: string) {
    super(message);
    this.name = "OptionError";
    this.at = at;
  }
}

/** Declares a strategy; the types of its options follow from the schema. */
export function defineStrategy<Schema extends z.ZodType>(
  strategy: Omit<Strategy<z.output<Schema>>, "options"> & { readonly options: Schema },
): Strategy {
  // The registry holds strategies of all option types; each is only ever given what its own schema parsed.
  return strategy;
}
