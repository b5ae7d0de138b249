import type { Delivery } from "../../model/call.ts";
import type { ErrorCode, GatewayError } from "../../model/errors.ts";
import type { Model } from "../../model/model.ts";
import { Pace } from "./pace.ts";

/** Failures that say something about the one who was asked, and not about the request or the budget. */
const OWN_FAULT: ReadonlySet<ErrorCode> = new Set([
  "upstream_auth",
  "upstream_model_not_found",
  "upstream_rate_limited",
  "upstream_quota",
  "upstream_overloaded",
  "upstream_error",
  "upstream_unreachable",
  "upstream_protocol",
  "upstream_timeout",
  "all_failed",
]);

/** A Retry-After may be hours; a member that was given a new key is to be noticed sooner. */
const LONGEST_REST_MS = 60_000;

export interface PeerOptions {
  /** What stays when the list of members changes. */
  readonly id: string;
  readonly model: Model;
  readonly weight: number;
  readonly usd: (tokens: { readonly prompt: number; readonly completion: number }) => number | undefined;
  readonly decayMs: number;
  readonly restMs: number;
}

/** One of several equals, and what this process knows of it. */
export class Peer {
  readonly id: string;
  readonly model: Model;
  readonly weight: number;
  readonly usd: PeerOptions["usd"];
  /** Requests under way. */
  inFlight = 0;
  /** The turn at which it was last chosen. */
  turn = 0;
  /** What it is owed in a round of weights. */
  owed = 0;
  readonly #restMs: number;
  readonly #streams: Pace;
  readonly #wholes: Pace;
  #restsUntil = 0;

  constructor({ id, model, weight, usd, decayMs, restMs }: PeerOptions) {
    this.id = id;
    this.model = model;
    this.weight = weight;
    this.usd = usd;
    this.#restMs = restMs;
    this.#streams = new Pace(decayMs);
    this.#wholes = new Pace(decayMs);
  }

  /** A stream's time is that to its first content; a whole answer's is all of it, so the two are never mixed. */
  pace(delivery: Delivery): Pace {
    return delivery === "stream" ? this.#streams : this.#wholes;
  }

  isResting(now: number): boolean {
    return now < this.#restsUntil;
  }

  /** It answered after so many milliseconds. */
  answered(ms: number, delivery: Delivery, now: number): void {
    this.#restsUntil = 0;
    this.pace(delivery).record(ms, now);
  }

  /** It failed by its own fault: it is passed over for a while, as long as it asked for itself. */
  failed(error: GatewayError, now: number): void {
    if (!OWN_FAULT.has(error.code)) return;
    this.rest(now, Math.min(error.details.retryAfterMs ?? 0, LONGEST_REST_MS));
  }

  rest(now: number, leastMs = 0): void {
    if (this.#restMs > 0) this.#restsUntil = Math.max(this.#restsUntil, now + Math.max(this.#restMs, leastMs));
  }
}
