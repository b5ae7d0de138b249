import { GatewayError } from "../../../model/errors.ts";
import type { Store } from "../../../store/store.ts";
import { isObject, parseExact, type Json } from "./json.ts";

/** How long a response may be asked for, or gone on from. Shorter where the store runs full: the least recently used go first. */
const TTL_MS = 24 * 3_600_000;
/** One that is longer than this, in characters of JSON, is not kept: it would push many others out. */
const MAX_LENGTH = 4 * 2 ** 20;
/** A conversation that is longer has to be sent whole. */
const MAX_TURNS = 1000;

/** One response as it is kept. */
export interface Kept {
  /** As the client got it. */
  readonly response: Json;
  /** Items of the request itself, with ids. */
  readonly input: readonly Json[];
  /** Items of the answer, where the next turn needs more than the client asked to see. */
  readonly output?: readonly Json[] | undefined;
  readonly previous?: string | undefined;
}

function wireError(status: "invalid_request" | "not_found", message: string, fields: { param: string | null; code: string | null }) {
  return new GatewayError(status, message, { wire: { message, type: "invalid_request_error", ...fields } });
}

/** The 32 digits of the response that an id of one of its items, or its own, was made of. */
function digitsOf(id: string): string | undefined {
  return /^[a-z]+_([\da-f]{32})/.exec(id)?.[1];
}

/** Whether what is to be kept of the request leaves room for an answer. */
export function isKeepable(length: number): boolean {
  return length <= MAX_LENGTH / 2;
}

function outputOf({ response, output }: Kept): readonly Json[] {
  return output ?? (response["output"] as readonly Json[]);
}

/** The responses of one key. Nobody else's are found. */
export class KeptResponses {
  readonly #store: Store;
  readonly #space: string;
  readonly #now: number;

  constructor(store: Store, key: string, now: number) {
    this.#store = store;
    this.#space = `responses:${key}`;
    this.#now = now;
  }

  async put(id: string, kept: Kept): Promise<void> {
    const value = JSON.stringify(kept);
    if (value.length <= MAX_LENGTH) await this.#store.set(this.#space, id, { value, ttlMs: TTL_MS, now: this.#now });
  }

  async get(id: string): Promise<Kept> {
    const kept = await this.#find(id);
    if (!kept) throw wireError("not_found", `Response with id '${id.slice(0, 100)}' not found.`, { param: null, code: null });
    return kept;
  }

  async delete(id: string): Promise<void> {
    await this.get(id);
    await this.#store.set(this.#space, id, { value: "", ttlMs: 0, now: this.#now });
  }

  /** The conversation that ends with a response, oldest first. Throws when a part of it is gone. */
  async history(id: string): Promise<readonly Json[]> {
    const turns: Kept[] = [];
    for (let next: string | undefined = id; next !== undefined;) {
      const kept: Kept | undefined = turns.length < MAX_TURNS ? await this.#find(next) : undefined;
      if (!kept) {
        const message = `Previous response with id '${next.slice(0, 100)}' not found.`;
        throw wireError("invalid_request", message, { param: "previous_response_id", code: "previous_response_not_found" });
      }
      turns.push(kept);
      next = kept.previous;
    }
    return turns.reverse().flatMap((kept) => [...kept.input, ...outputOf(kept)]);
  }

  /** The item that a reference names; undefined for reasoning that is gone, without which a conversation still makes sense. */
  async item(id: string): Promise<Json | undefined> {
    const digits = digitsOf(id);
    const kept = digits === undefined ? undefined : await this.#find(`resp_${digits}`);
    const found = kept && [...kept.input, ...outputOf(kept)].find((item) => item["id"] === id);
    if (found || id.startsWith("rs_")) return found;
    throw wireError("not_found", `Item with id '${id.slice(0, 100)}' not found.`, { param: "input", code: null });
  }

  async #find(id: string): Promise<Kept | undefined> {
    const value = await this.#store.get(this.#space, id, this.#now);
    if (value === undefined || value === "") return undefined;
    const kept = parseExact(value);
    return isObject(kept) ? (kept as unknown as Kept) : undefined;
  }
}
