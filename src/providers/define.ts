import type * as z from "zod";
import type { Signal } from "../model/abort.ts";
import type { Adapters, Decoder, Embedder, Passage, Reranker, Scorer } from "../model/leaves.ts";
import type { Heeds } from "../model/heeds.ts";
import type { Model } from "../model/model.ts";
import type { ChatRequest } from "../model/request.ts";
import type { Clock } from "../model/clock.ts";
import type { Pools } from "../upstream/pools.ts";

/** What a provider may ask for while it is built. */
export interface ProviderSite {
  /** The provider's name in the config. */
  readonly name: string;
  readonly pools: Pools;
  readonly clock: Clock;
}

/** What a leaf can do, as declared by config, table or dialect data, or told by its server; unknown is undefined, never false. */
export interface Capabilities {
  /** Enforces a JSON Schema by itself. */
  readonly schema?: boolean;
  readonly tools?: boolean;
  readonly logprobs?: boolean;
  readonly images?: boolean;
  /** Hears and speaks. */
  readonly audio?: boolean;
  /** Reads documents. */
  readonly files?: boolean;
  /** Goes on with an assistant's message that stands last. */
  readonly continuation?: boolean;
  /** Tells its tokens without generating any. */
  readonly tokenise?: boolean;
  /** Takes adapters, or scales of them, with a request. */
  readonly adapters?: boolean;
  /** Tokens of prompt and answer together. */
  readonly contextLength?: number;
  /** The most tokens that it writes. */
  readonly maxOutput?: number;
  /** `one` when the server has no `n`. */
  readonly choices?: "one";
}

/** A leaf's offer as a provider makes it: one upstream call each, which notes in `call.span` that it was sent and what was used. */
export type Batched<Offer> = Offer & {
  /** Texts that one call may bring; the rest goes into further calls. */
  readonly most: number;
};

/** A built provider: makes leaves, and may list what it serves. */
export interface ProviderInstance {
  /** One model of this provider. Its `name` is `provider/model`. */
  chat(model: string): Model;
  capabilities(model: string): Capabilities;
  /**
   * Asks the server what its models can do, by requests that cost nothing and end soon; `*` is any model that it serves. Undefined or a rejection
   * when it does not tell: then nothing is known that was not known before. Ends when `signal` aborts.
   */
  probe?(signal: Signal): Promise<ReadonlyMap<string, Capabilities> | undefined>;
  /** What its models offer beside chat; absent where they do not. */
  embedder?(model: string): Batched<Embedder> | undefined;
  reranker?(model: string): Batched<Reranker> | undefined;
  /** Passes another endpoint of its server through; undefined where the server does not have it for this model. */
  passage?(endpoint: Passage, model: string): Model | undefined;
  decoder?(model: string): Decoder;
  scorer?(model: string): Scorer;
  adapters?(model: string): Adapters;
  /** Names that the provider serves by itself, without being asked (the demo models). */
  readonly own?: readonly string[];
  /** A request of a client's comes, under this id: the seed of what was drawn for it when it was recorded, where it was. */
  recall?(request: ChatRequest, callId: string): number | undefined;
  /** What of a request, beside its fields, goes to its models and may change what they answer. */
  readonly heeds?: Heeds;
  /** What in its settings is likely a mistake: told at boot and by `chorale check`. */
  readonly advice?: readonly string[];
  /** Whose public price list applies, when there is one. */
  readonly pricedAs?: string;
}

/** A wire dialect, not a company. One file, one registry line. */
export interface Provider<Options = unknown> {
  readonly kind: string;
  /** Names of servers that it speaks with under this kind, for who takes one of them for a kind. */
  readonly dialects?: readonly string[];
  readonly summary: string;
  /** Strict; all defaults stand here. */
  readonly options: z.ZodType<Options>;
  build(options: Options, site: ProviderSite): ProviderInstance | Promise<ProviderInstance>;
}

/** Declares a provider; the types of its options, and whether it is there at once, follow from what is given. */
export function defineProvider<Schema extends z.ZodType, Built extends ReturnType<Provider["build"]>>(
  provider: Omit<Provider, "options" | "build"> & {
    readonly options: Schema;
    build(options: z.output<Schema>, site: ProviderSite): Built;
  },
): Omit<Provider, "build"> & { build(options: unknown, site: ProviderSite): Built } {
  // The registry holds providers of all option types; each is only ever given what its own schema parsed.
  return provider;
}
