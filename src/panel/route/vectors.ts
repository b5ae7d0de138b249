import { createHash } from "node:crypto";
import type { Signal } from "../../model/abort.ts";
import { enter, type Call } from "../../model/call.ts";
import { GatewayError, throwIfAborted, toGatewayError } from "../../model/errors.ts";
import type { Embedder } from "../../model/leaves.ts";
import type { Store } from "../../store/store.ts";
import { normalised, type Vector } from "./neighbours.ts";

/** A query beside the fixed texts: all vectors have length 1. `known` is the same map while nothing changes. */
export type Likened =
  | { readonly ok: true; readonly vector: Vector; readonly known: ReadonlyMap<string, Vector> }
  | { readonly ok: false; readonly error: GatewayError };

/** Texts in one call of the embedder; what one call brought is kept even when a later one fails. */
const CHUNK = 100;
/** Calls that a query and so many fixed texts take together. */
export function callsFor(texts: number): number {
  return Math.ceil((texts + 1) / CHUNK);
}

/** A model under a fixed name does not change its embeddings; the space names the model. */
const TTL_MS = 30 * 24 * 60 * 60_000;
/** Of a text, what an embedder gets: most take 512 to 8192 tokens. */
const LENGTH = 8_000;

/** An embedding or why there is none. */
export type Embedded = { readonly ok: true; readonly vector: Float32Array } | { readonly ok: false; readonly error: GatewayError };

export function hashOf(text: string): string {
  return createHash("sha256").update(text).digest("base64url");
}

/** What an embedder is shown of a text. An empty one is refused by most servers. */
export function shown(text: string): string {
  const cut = text.slice(0, LENGTH).toWellFormed();
  return cut.trim() === "" ? "(empty)" : cut;
}

/**
 * A vector for the store: one byte a number, a fifth of the size and near enough for angles. What is kept in memory has gone
 * through the same, so that every process decides alike.
 */
function encode(vector: Float32Array): string {
  const largest = vector.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  const bytes = Int8Array.from(vector, (value) => (largest === 0 ? 0 : Math.round((value / largest) * 127)));
  return Buffer.from(bytes.buffer).toString("base64");
}

/** Of length 1, whatever it was. */
function decode(text: string): Vector {
  const bytes = Buffer.from(text, "base64");
  return normalised(Float32Array.from(new Int8Array(bytes.buffer, bytes.byteOffset, bytes.length)));
}

async function tryToEmbed(embedder: Embedder, texts: readonly string[], call: Call): Promise<readonly Float32Array[] | GatewayError> {
  try {
    return await embedder.embed(texts.map(shown), call);
  } catch (thrown) {
    return toGatewayError(thrown, call.signal);
  }
}

/** One embedding, as a value. `call` has been entered for it. */
export async function embedded(embedder: Embedder, text: string, call: Call): Promise<Embedded> {
  const result = await tryToEmbed(embedder, [text], call);
  if (result instanceof GatewayError) return { ok: false, error: result };
  const [vector] = result;
  if (!vector) return { ok: false, error: new GatewayError("upstream_protocol", `${embedder.name} sent no vector.`) };
  return { ok: true, vector };
}

/**
 * The vectors of fixed texts, embedded when a request first needs them and kept in memory and in the store, by content. One request does the work,
 * and its own text goes along in the first call; the others wait for it, and one of them takes over when it fails or leaves.
 */
export class TextVectors {
  readonly #embedder: Embedder;
  readonly #store: Store;
  readonly #texts: readonly string[];
  #known = new Map<string, Vector>();
  #asked = false;
  #flight: Promise<void> | undefined;

  constructor(embedder: Embedder, store: Store, texts: readonly string[]) {
    this.#embedder = embedder;
    this.#store = store;
    this.#texts = [...new Set(texts)];
  }

  /** Embeds a query, and the fixed texts where they have no vectors yet. Each call of the embedder has attempts of its own. */
  async embed(query: string, call: Call, signal: Signal): Promise<Likened> {
    while (this.#flight) if (!(await settled(this.#flight, signal))) return { ok: false, error: toGatewayError(signal.reason, signal) };
    if (this.#known.size === this.#texts.length) return this.#query(query, call, signal);
    const done = Promise.withResolvers<void>();
    this.#flight = done.promise;
    try {
      return await this.#fill(query, call, signal);
    } finally {
      this.#flight = undefined;
      done.resolve();
    }
  }

  async #query(query: string, call: Call, signal: Signal): Promise<Likened> {
    const result = await embedded(this.#embedder, query, enter(call, { label: "embedder", member: true, delivery: "unary", signal }));
    return result.ok ? this.#checked(result.vector) : result;
  }

  /** A vector of another length than the table's is of another model, whatever its name. */
  #checked(vector: Float32Array): Likened {
    const other = [...this.#known.values()].find(({ length }) => length !== vector.length);
    if (other) {
      // What is known may be of an older model under this name: the next request embeds anew.
      this.#known = new Map();
      const message = `${this.#embedder.name} sent ${vector.length} numbers where the labelled texts have ${other.length}.`;
      return { ok: false, error: new GatewayError("upstream_protocol", message, { upstream: this.#embedder.name }) };
    }
    return { ok: true, vector: normalised(vector), known: this.#known };
  }

  async #fill(query: string, call: Call, signal: Signal): Promise<Likened> {
    await this.#remember(call);
    throwIfAborted(call.signal);
    let missing = this.#texts.filter((text) => !this.#known.has(text));
    if (missing.length === 0) return this.#query(query, call, signal);
    let vector: Float32Array | undefined;
    for (let number = 1; missing.length > 0; number += 1) {
      const own = vector ? [] : [query];
      const chunk = missing.slice(0, CHUNK - own.length);
      missing = missing.slice(chunk.length);
      const label = number === 1 ? "embedder" : `embedder ${number}`;
      const inner = enter(call, { label, member: true, delivery: "unary", signal });
      const result = await tryToEmbed(this.#embedder, [...own, ...chunk], inner);
      if (result instanceof GatewayError) return { ok: false, error: result };
      const vectors = vector ? result : result.slice(1);
      vector ??= result[0];
      await this.#keep(chunk, vectors, call);
    }
    return this.#checked(vector ?? new Float32Array());
  }

  get #space(): string {
    return `embeddings 8 bit ${this.#embedder.name}`;
  }

  /** What an earlier process embedded. */
  async #remember({ clock }: Call): Promise<void> {
    if (this.#asked) return;
    this.#asked = true;
    const stored = await Promise.all(this.#texts.map((text) => this.#store.get(this.#space, hashOf(text), clock.wall())));
    for (const [index, value] of stored.entries()) {
      const text = this.#texts[index];
      if (value !== undefined && text !== undefined) this.#known.set(text, decode(value));
    }
  }

  async #keep(texts: readonly string[], vectors: readonly Float32Array[], { clock }: Call): Promise<void> {
    const now = clock.wall();
    for (const [index, text] of texts.entries()) {
      const vector = vectors[index];
      if (!vector) continue;
      const value = encode(vector);
      this.#known.set(text, decode(value));
      await this.#store.set(this.#space, hashOf(text), { value, ttlMs: TTL_MS, now });
    }
  }
}

/** Waits for another request's work, at most until the signal aborts; false then. */
async function settled(work: Promise<void>, signal: Signal): Promise<boolean> {
  if (signal.aborted) return false;
  const left = Promise.withResolvers<false>();
  const leave = () => left.resolve(false);
  signal.addEventListener("abort", leave, { once: true });
  try {
    return await Promise.race([work.then(() => true), left.promise]);
  } finally {
    signal.removeEventListener("abort", leave);
  }
}
