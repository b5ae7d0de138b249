import type { Store } from "../../store/store.ts";
import { hashOf } from "./vectors.ts";
import type { Asked } from "./rules.ts";

/** Which way a request goes. */
export interface Decision {
  /** A member's place in the list; undefined when the decision failed, so that `else` answers. */
  readonly choice: number | undefined;
  /** What the trace is told: plain JSON. */
  readonly told: Readonly<Record<string, unknown>>;
  /** Why there is no choice. */
  readonly failed?: string;
}

/** A decision that could not be made. */
export function failedDecision(why: string): Decision {
  return { choice: undefined, told: { failed: why }, failed: why };
}

/** A default after a failure is kept long enough for an agent's loop, not for the day. */
const FAILED_MS = 5 * 60_000;

function isDecision(value: unknown): value is Decision {
  return typeof value === "object" && value !== null && "told" in value;
}

function parse(text: string): Decision | undefined {
  const value: unknown = JSON.parse(text);
  return isDecision(value) ? value : undefined;
}

/**
 * Decisions by what they were made on, apart for each key: the turns of an agent's loop, and a question that comes again, are not decided twice, nor
 * in two ways. Only a hash of the conversation is kept.
 */
export class RouteMemory {
  readonly #store: Store;
  readonly #space: string;
  readonly #ttlMs: number;

  /** `made` is what else a decision depends on: options and tables. */
  constructor(store: Store, node: string, made: string, ttlSeconds: number) {
    this.#store = store;
    this.#space = `route ${node} ${hashOf(made)}`;
    this.#ttlMs = ttlSeconds * 1000;
  }

  #keyOf({ view, call }: Asked): string {
    return hashOf(JSON.stringify([call.principal.name, view.messages]));
  }

  async get(asked: Asked): Promise<Decision | undefined> {
    if (this.#ttlMs === 0) return undefined;
    const found = await this.#store.get(this.#space, this.#keyOf(asked), asked.call.clock.wall());
    return found === undefined ? undefined : parse(found);
  }

  async put(asked: Asked, decision: Decision): Promise<void> {
    if (this.#ttlMs === 0) return;
    const ttlMs = decision.failed === undefined ? this.#ttlMs : Math.min(this.#ttlMs, FAILED_MS);
    await this.#store.set(this.#space, this.#keyOf(asked), { value: JSON.stringify(decision), ttlMs, now: asked.call.clock.wall() });
  }
}
