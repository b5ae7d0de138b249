import { enter, type Call } from "../../model/call.ts";
import { throwIfAborted } from "../../model/errors.ts";
import type { FinishEvent, ModelEvent } from "../../model/events.ts";
import type { Heeds } from "../../model/heeds.ts";
import type { Model } from "../../model/model.ts";
import type { ChatRequest } from "../../model/request.ts";
import type { Span } from "../../model/trace.ts";
import { addUsage, type Usage } from "../../model/usage.ts";
import { newEntry, Recorder, replay, unfit, type CacheEntry } from "./entry.ts";
import { waitFor, type Flight, type Flights } from "./flight.ts";
import { cacheKey } from "./key.ts";
import type { Shelf } from "./shelf.ts";
import { seedOf } from "../seed.ts";
import { offersTools } from "../tools/tools.ts";

/** A cache as it was built. */
export interface Cache {
  /** What tells its keys from those of every other node. */
  readonly node: string;
  readonly child: Model;
  /** What tells requests apart beside their fields. */
  readonly heeds: Required<Heeds>;
  readonly shelf: Shelf;
  readonly flights: Flights;
  readonly maxBytes: number;
  readonly toolTurns: boolean;
  readonly sampled: boolean;
  /** How long one waits for another's answer before asking alone. */
  readonly waitMs: number;
  /** Renew an answer a little before it expires, one request for all. */
  readonly earlyRefresh: boolean;
}

/** One request at a cache. */
interface Visit {
  readonly cache: Cache;
  readonly request: ChatRequest;
  readonly call: Call;
  readonly key: string;
}

function decide(call: Call, cache: "hit" | "shared" | "miss" | "refresh" | "bypass", more: Readonly<Record<string, unknown>> = {}): void {
  call.span.decision = { cache, ...more };
}

/** What the request forbids, in the gateway's own field or in the header that every HTTP client knows: the stricter of the two. */
function forbidden({ caching, header }: Pick<Call, "caching" | "header">): Call["caching"] {
  const said = `${caching ?? ""},${header?.("cache-control") ?? ""}`.toLowerCase();
  const directives = new Set(said.split(",").map((directive) => directive.trim()));
  if (directives.has("no-store")) return "no-store";
  return directives.has("no-cache") ? "no-cache" : undefined;
}

/** Why a request is none of the cache's business. */
export function reasonToPass(
  { toolTurns, sampled }: Pick<Cache, "toolTurns" | "sampled">,
  request: ChatRequest,
  call: Pick<Call, "caching" | "header">,
): string | undefined {
  if (forbidden(call) === "no-store") return "no-store";
  if (!toolTurns && offersTools(request)) return "it offers tools";
  if (!sampled && seedOf(request) === undefined && request.body.temperature !== 0) return "it is sampled";
  return undefined;
}

function* give(entry: CacheEntry, call: Call, how: "hit" | "shared"): Generator<ModelEvent> {
  decide(call, how, { ageMs: Math.max(0, call.clock.wall() - entry.at), ...(entry.usage ? { saved: entry.usage } : {}) });
  yield* replay(entry, call);
}

async function* pass({ child }: Cache, request: ChatRequest, call: Call): AsyncGenerator<ModelEvent> {
  yield* child.stream(request, enter(call, { label: "model" }));
}

/** Optimal probabilistic early expiration (XFetch): the nearer the end and the dearer the answer, the likelier one request renews it. */
function isDue({ cache }: Visit, { at, ms }: CacheEntry, call: Call): boolean {
  if (!cache.earlyRefresh) return false;
  return call.clock.wall() - ms * Math.log(1 - call.random()) >= at + cache.shelf.ttlMs;
}

/** What the legs below a span used together: the finish of a panel tells one leg's usage. */
function spentBelow({ upstream, usage, children }: Span): Usage | undefined {
  if (upstream !== undefined) return usage;
  let sum: Usage | undefined;
  for (const child of children) {
    const spent = spentBelow(child);
    sum = sum && spent ? addUsage(sum, spent) : (sum ?? spent);
  }
  return sum;
}

/** Keeps what may be kept and tells those who wait. An answer of a lower kind than configured is nobody else's. */
async function land({ cache, request, call, key }: Visit, made: Made, flight: Flight | undefined): Promise<void> {
  const { recorder, finish, spent, startMs, degraded } = made;
  const completion = recorder.completion();
  const why = !completion ? "it is too large" : call.trace.degraded.length > degraded ? "it is degraded" : unfit(completion, request.body);
  if (!completion || why !== undefined) {
    call.span.decision = { ...call.span.decision, unkept: why };
    flight?.land({ type: "unfit" });
    return;
  }
  const told = spent ? { ...finish, usage: spent } : finish;
  const entry = newEntry(completion, told, { at: call.clock.wall(), ms: call.clock.now() - startMs });
  const unkept = await cache.shelf.set(key, entry, call);
  if (unkept !== undefined) call.span.decision = { ...call.span.decision, unkept };
  flight?.land({ type: "answer", entry, kept: false });
}

/** An answer of the model's that has come to its finish. */
interface Made {
  readonly recorder: Recorder;
  readonly finish: FinishEvent;
  /** What all its legs used, where the trace knows it. */
  readonly spent: Usage | undefined;
  readonly startMs: number;
  /** How many degradations the request had before. */
  readonly degraded: number;
}

/** Asks the model. Its tokens go on as they come; what they make is kept at the end. */
async function* make(visit: Visit, flight: Flight | undefined): AsyncGenerator<ModelEvent> {
  const { cache, request, call } = visit;
  const startMs = call.clock.now();
  const degraded = call.trace.degraded.length;
  const recorder = new Recorder(cache.maxBytes);
  const inner = enter(call, { label: "model" });
  for await (const event of cache.child.stream(request, inner)) {
    recorder.add(event);
    if (event.type === "finish") await land(visit, { recorder, finish: event, spent: spentBelow(inner.span), startMs, degraded }, flight);
    yield event;
  }
}

/** Looks for a kept answer and makes one when there is none, for everybody who waits meanwhile. */
async function* lead(visit: Visit, flight: Flight): AsyncGenerator<ModelEvent> {
  const { cache, call, key } = visit;
  try {
    const entry = await cache.shelf.get(key, call);
    throwIfAborted(call.signal);
    if (!entry) {
      decide(call, "miss");
      yield* make(visit, flight);
      return;
    }
    flight.land({ type: "answer", entry, kept: true });
    if (isDue(visit, entry, call)) {
      decide(call, "refresh");
      yield* make(visit, undefined);
    } else yield* give(entry, call, "hit");
  } finally {
    // Without effect where an answer has landed. Else the next of those who wait asks in our place.
    flight.land({ type: "failed" });
  }
}

/** Answers from the cache, from another request's answer that is on its way, or from the model. */
export async function* answerCached(cache: Cache, request: ChatRequest, call: Call): AsyncGenerator<ModelEvent> {
  throwIfAborted(call.signal);
  const why = reasonToPass(cache, request, call);
  if (why !== undefined) {
    decide(call, "bypass", { why });
    yield* pass(cache, request, call);
    return;
  }
  const visit: Visit = { cache, request, call, key: cacheKey(cache, request, call) };
  if (forbidden(call) === "no-cache") {
    decide(call, "refresh");
    yield* make(visit, undefined);
    return;
  }
  const id = `${cache.shelf.space(call)}\n${visit.key}`;
  const untilMs = call.clock.now() + cache.waitMs;
  for (let flight = cache.flights.get(id); flight; flight = cache.flights.get(id)) {
    const landing = await waitFor(flight, call, untilMs - call.clock.now());
    if (landing?.type === "answer") {
      yield* give(landing.entry, call, landing.kept ? "hit" : "shared");
      return;
    }
    if (landing?.type === "failed") continue;
    decide(call, "bypass", { why: landing ? "the shared answer is for nobody else" : "waited long enough" });
    yield* pass(cache, request, call);
    return;
  }
  yield* lead(visit, cache.flights.start(id));
}
