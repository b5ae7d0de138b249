import type { Call } from "../model/call.ts";
import type { Seat } from "../model/gather.ts";
import type { Latency } from "../model/latency.ts";
import type { Model } from "../model/model.ts";
import { change, type ChatRequest } from "../model/request.ts";
import { deriveSeed, freshSeed, seedOf } from "./seed.ts";

/** What a node's options may set for one of its children, on top of the client's request. */
export interface Settings {
  readonly temperature?: number | undefined;
  /** A cap: the client's own limit holds where it is smaller. */
  readonly maxTokens?: number | undefined;
  /** Put before the client's messages. */
  readonly system?: string | undefined;
}

/** A child with a part to play: a member, a writer, an analyst. */
export interface Role {
  readonly label: string;
  readonly model: Model;
  readonly settings: Settings;
}

/** One seat of a panel as it is known at boot. */
export interface Place extends Role {
  /** What its seed derives from; places of one name differ in `sample`. */
  readonly name: string;
  readonly sample: number;
  readonly weight: number;
  readonly latency: Latency;
}

/** The seats of a panel, in order, and who may replace them. */
export interface Seating {
  readonly places: readonly Place[];
  readonly reserves: readonly Place[];
}

/** Everybody who may sit. */
export function everyone({ places, reserves }: Seating): readonly Place[] {
  return [...places, ...reserves];
}

/** Limits on the answer's length: the smaller of the client's and `cap`, in the field that the client used. */
function limitEdits(request: ChatRequest, cap: number): Readonly<Record<string, number>> {
  const edits: Record<string, number> = {};
  for (const field of ["max_tokens", "max_completion_tokens"] as const) {
    const limit = request.body[field];
    if (typeof limit === "number") edits[field] = Math.min(limit, cap);
  }
  return Object.keys(edits).length > 0 ? edits : { max_completion_tokens: cap };
}

/** The request as this child gets it. Without settings it stays the client's own bytes. */
export function withSettings(request: ChatRequest, settings: Settings): ChatRequest {
  const { temperature, maxTokens, system } = settings;
  const edits: Record<string, unknown> = maxTokens === undefined ? {} : limitEdits(request, maxTokens);
  if (temperature !== undefined) edits["temperature"] = temperature;
  if (system !== undefined) edits["messages"] = [{ role: "system", content: system }, ...request.body.messages];
  return Object.keys(edits).length > 0 ? change(request, edits) : request;
}

/** The request with the seed of a role, when the client gave one. */
export function withSeed(request: ChatRequest, label: string, sample = 0): ChatRequest {
  const seed = seedOf(request);
  return seed === undefined ? request : change(request, { seed: deriveSeed(seed, label, sample) });
}

/** Names that stand in more than one place: without a seed, and behind a cache, their samples would be one. */
function repeatedNames({ places, reserves }: Seating): ReadonlySet<string> {
  return new Set([...places, ...reserves].filter(({ sample }) => sample > 0).map(({ name }) => name));
}

/** The request of a panel, or what each place is asked, before its own settings and seed. */
export type Asking = ChatRequest | ((place: Place) => ChatRequest);

/**
 * Fills the seats for one request. With a seed of the client's each seat gets its own, derived from it; without one only the samples of a
 * model that has several get seeds, drawn once per request, so that they differ.
 */
export function seatsOf(
  seating: Seating,
  request: Asking,
  call: Call,
): { readonly seats: readonly Seat[]; readonly reserves: readonly Seat[] } {
  const repeated = repeatedNames(seating);
  let drawn: number | undefined;
  const seedFor = (asked: ChatRequest, { name }: Place): number | undefined =>
    seedOf(asked) ?? (repeated.has(name) ? (drawn ??= freshSeed(call)) : undefined);
  const toSeat = (place: Place): Seat => {
    const { label, model, name, sample, latency, settings } = place;
    const asked = typeof request === "function" ? request(place) : request;
    const own = withSettings(asked, settings);
    const seed = seedFor(asked, place);
    return { label, model, request: seed === undefined ? own : change(own, { seed: deriveSeed(seed, name, sample) }), latency };
  };
  return { seats: seating.places.map(toSeat), reserves: seating.reserves.map(toSeat) };
}
