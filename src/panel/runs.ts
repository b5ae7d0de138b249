import type { Signal } from "../model/abort.ts";
import { enter, type Call } from "../model/call.ts";
import { deltasOf } from "../model/choice-deltas.ts";
import { completing, type Completed } from "../model/complete.ts";
import { GatewayError, throwIfAborted } from "../model/errors.ts";
import { batch, type FinishEvent, type ModelEvent } from "../model/events.ts";
import type { Model } from "../model/model.ts";
import { open } from "../model/open.ts";
import { change, type ChatRequest } from "../model/request.ts";
import { openScope, type Scope } from "../model/scope.ts";
import { wholeDelivery } from "./flush.ts";
import { MergedChoices } from "./merged-choices.ts";
import { deriveSeed, seedOf } from "./seed.ts";

/** The requests of the runs: run 0 keeps the client's seed, so that it is the answer which `n: 1` would have got. Without a seed all are one. */
function requestsOf(request: ChatRequest): (run: number) => ChatRequest {
  const single = change(request, { n: undefined });
  const seed = seedOf(request);
  return (run) => (seed === undefined || run === 0 ? single : change(single, { seed: deriveSeed(seed, "choice", run) }));
}

/** A call for one run. Nobody observes a run as a node, so its span is closed here. */
function enterRun(call: Call, run: number, signal: Signal): Call {
  const delivery = run > 0 ? wholeDelivery(call) : call.delivery;
  return enter(call, { label: `choice ${run}`, member: true, delivery, signal });
}

function close(run: Call, ok: boolean): void {
  run.span.status = ok ? "ok" : run.signal.aborted ? "lost" : "failed";
  run.span.endMs = run.clock.now();
}

/** The weakest agreement of the runs, when all tell one. */
function agreementOf(finishes: readonly FinishEvent[]): Pick<FinishEvent, "agreement" | "agreementAtMost"> {
  const told = finishes.map(({ agreement }) => agreement).filter((agreement) => agreement !== undefined);
  if (told.length < finishes.length) return {};
  const agreement = Math.min(...told);
  const atMost = Math.min(...finishes.map(({ agreementAtMost, agreement: least = 0 }) => agreementAtMost ?? least));
  return atMost > agreement ? { agreement, agreementAtMost: atMost } : { agreement };
}

/** Runs under way together. The first that fails ends those that still run in its scopes. */
class Runs {
  readonly #scopes: readonly Pick<Scope, "abort">[];
  #failure: GatewayError | undefined;

  constructor(scopes: readonly Pick<Scope, "abort">[]) {
    this.#scopes = scopes;
  }

  start(inner: Model, request: ChatRequest, run: Call): Promise<Completed> {
    return completing(inner, request, run, (result) => {
      close(run, result.ok);
      if (!result.ok) this.fail(result.error);
      return result;
    });
  }

  fail(error: GatewayError): void {
    this.#failure ??= error;
    this.cancel();
  }

  /** Ends what still runs. Without effect on what has ended. */
  cancel(): void {
    for (const scope of this.#scopes) scope.abort(new GatewayError("cancelled", "No longer needed: the request has ended."));
  }

  get failed(): boolean {
    return this.#failure !== undefined;
  }

  throwIfFailed(): void {
    if (this.#failure) throw this.#failure;
  }
}

/** All runs at once, and their answers as the choices of one. */
export async function wholeTimes(inner: Model, n: number, request: ChatRequest, call: Call): Promise<FinishEvent> {
  const scope = openScope(call.signal);
  try {
    const runs = new Runs([scope]);
    const requestOf = requestsOf(request);
    const legs = Array.from({ length: n }, (_, run) => runs.start(inner, requestOf(run), enterRun(call, run, scope.signal)));
    const results = await Promise.all(legs);
    throwIfAborted(call.signal);
    runs.throwIfFailed();
    const done = results.filter((result) => result.ok);
    const completion = new MergedChoices(done.map((result) => result.completion));
    return { type: "finish", completion, ...agreementOf(done.map(({ finish }) => finish)) };
  } finally {
    scope[Symbol.dispose]();
  }
}

async function* whole(inner: Model, n: number, request: ChatRequest, call: Call): AsyncGenerator<ModelEvent> {
  yield await wholeTimes(inner, n, request, call);
}

/** Choice 0 as it comes. */
async function* watched(events: AsyncIterable<ModelEvent>, run: Call): AsyncGenerator<ModelEvent> {
  let ok = false;
  try {
    yield* events;
    ok = true;
  } finally {
    close(run, ok);
  }
}

async function* streamed(inner: Model, n: number, request: ChatRequest, call: Call): AsyncGenerator<ModelEvent> {
  using others = openScope(call.signal);
  using first = openScope(call.signal);
  // Once choice 0 has begun to show it is not cut: the error of another comes after its end.
  let shown = false;
  const runs = new Runs([others, { abort: (reason) => (shown ? undefined : first.abort(reason)) }]);
  const run = enterRun(call, 0, first.signal);
  const requestOf = requestsOf(request);
  const opened = open(inner, requestOf(0), run);
  const legs = Array.from({ length: n - 1 }, (_, i) => runs.start(inner, requestOf(i + 1), enterRun(call, i + 1, others.signal)));
  try {
    const opening = await opened;
    if (opening.ok && !runs.failed) {
      shown = true;
      yield* inOrder(watched(opening.events, run), legs);
    } else {
      close(run, false);
      if (opening.ok) await opening.discard();
      else runs.fail(opening.error);
    }
    throwIfAborted(call.signal);
    runs.throwIfFailed();
  } finally {
    runs.cancel();
    await Promise.all(legs);
  }
}

/** The running choice 0, then the others whole. Ends without a finish when one of them failed. */
async function* inOrder(events: AsyncIterable<ModelEvent>, legs: readonly Promise<Completed>[]): AsyncGenerator<ModelEvent> {
  const finishes: FinishEvent[] = [];
  for await (const event of events) {
    if (event.type === "finish") finishes.push(event);
    else yield event;
  }
  for (const [i, leg] of legs.entries()) {
    const result = await leg;
    if (!result.ok) return;
    const choice = result.completion.choices[0];
    if (choice) yield batch(deltasOf(choice, i + 1));
    finishes.push(result.finish);
  }
  yield { type: "finish", ...agreementOf(finishes) };
}

/**
 * `n` independent answers of one model that makes one at a time, as choices 0 to n-1. Only choice 0 streams; the others follow whole, in
 * order. All or nothing: a run that fails before the first text is shown fails the request with its error, later it ends the stream with it.
 */
export function answerTimes(inner: Model, n: number, request: ChatRequest, call: Call): AsyncGenerator<ModelEvent> {
  return call.delivery === "stream" ? streamed(inner, n, request, call) : whole(inner, n, request, call);
}
