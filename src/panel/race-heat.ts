import { enter, type Call, type Delivery } from "../model/call.ts";
import { complete } from "../model/complete.ts";
import type { Completion } from "../model/completion.ts";
import { allFailed, GatewayError } from "../model/errors.ts";
import type { ModelEvent } from "../model/events.ts";
import { only } from "../model/hand-over.ts";
import type { Latency } from "../model/latency.ts";
import type { Model } from "../model/model.ts";
import { firstContent, open } from "../model/open.ts";
import type { ChatRequest } from "../model/request.ts";
import { openScope, type Scope } from "../model/scope.ts";

/** A member of a race, with what this process knows of its times. */
export interface Runner {
  readonly label: string;
  readonly model: Model;
  /** To the first content of streams. */
  readonly streams: Latency;
  /** To the end of whole answers. */
  readonly wholes: Latency;
}

/** When the next runner starts while the others run. Without either, only when one fails. */
export interface Stagger {
  /** When the last that started is slower than its own p90. */
  readonly p90: boolean;
  /** After this long; beside `p90`, until that is known. */
  readonly ms: number | undefined;
}

/** How far a leg came. Its events have to be iterated or discarded. */
type Arrival =
  | { readonly ok: true; readonly empty: boolean; readonly events: AsyncIterable<ModelEvent>; discard(): Promise<void> }
  | { readonly ok: false; readonly error: GatewayError };

type Answer = Extract<Arrival, { ok: true }>;

/** Whether an answer has nothing in it: no text, no refusal, no tool call, no thoughts. */
function isEmpty({ choices }: Completion): boolean {
  return choices.every(({ message }) => {
    const { role: _role, content, refusal, tool_calls: calls, ...others } = message;
    return !content && !refusal && !calls?.length && Object.keys(others).length === 0;
  });
}

/** Whether nobody else could do better. Each runner has attempts of its own, so that one has none left says nothing of the others. */
function blamesRequest({ elsewhere, code }: GatewayError): boolean {
  return !elsewhere && code !== "attempts_exhausted";
}

async function arriveWhole({ model }: Runner, request: ChatRequest, call: Call): Promise<Arrival> {
  const result = await complete(model, request, call);
  if (!result.ok) return result;
  return { ok: true, empty: isEmpty(result.completion), events: only(result.finish), discard: async () => {} };
}

async function arriveStreaming({ model }: Runner, request: ChatRequest, call: Call): Promise<Arrival> {
  let begun = false;
  const opening = await open(model, request, call, (event) => (begun = firstContent(event)));
  return opening.ok ? { ...opening, empty: !begun } : opening;
}

/** One leg of a race. */
interface Leg {
  readonly runner: Runner;
  readonly startMs: number;
  readonly scope: Scope;
  running: boolean;
  done: Promise<void>;
}

interface Finisher {
  readonly leg: Leg;
  readonly answer: Answer;
}

/** One request in a race: who runs, who arrived first, who failed. */
export class Heat {
  readonly #runners: readonly Runner[];
  readonly #stagger: Stagger;
  readonly #request: ChatRequest;
  readonly #call: Call;
  readonly #delivery: Delivery;
  readonly #legs: Leg[] = [];
  readonly #failed: { readonly label: string; readonly error: GatewayError }[] = [];
  /** The first to arrive with an answer. */
  #first: Finisher | undefined;
  /** The first that came to its end with nothing to say. */
  #empty: Finisher | undefined;
  #timer: Disposable | undefined;
  #over: () => void = () => {};

  constructor(runners: readonly Runner[], stagger: Stagger, request: ChatRequest, call: Call) {
    this.#runners = runners;
    this.#stagger = stagger;
    this.#request = request;
    this.#call = call;
    // A leg may be cut at any time, and is billed for what it wrote until then.
    this.#delivery = call.delivery === "stream" ? "stream" : "metered";
  }

  /** Runs until somebody has arrived with an answer, or nobody is left. */
  async run(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#over = resolve;
      this.#start();
    });
    this.#stopTimer();
  }

  /** An empty answer is better than none: it is what its model would have given alone. */
  get #winner(): Finisher | undefined {
    return this.#first ?? this.#empty;
  }

  /** The winner's events. */
  get events(): AsyncIterable<ModelEvent> | undefined {
    return this.#winner?.answer.events;
  }

  /** Whose events those are. */
  get answered(): Runner | undefined {
    return this.#winner?.leg.runner;
  }

  /** Ends those that lost. */
  endLosers(): void {
    for (const leg of this.#legs) {
      if (!leg.running || leg.scope.signal.aborted) continue;
      this.#learn(leg);
      leg.scope.abort(new GatewayError("cancelled", "No longer needed: another was faster."));
    }
  }

  /** Resolves when all that lost have ended, and are billed. */
  async losers(): Promise<void> {
    await Promise.all(this.#legs.map(({ done }) => done));
  }

  /** Releases everything, whatever happened. */
  async close(): Promise<void> {
    this.#stopTimer();
    this.endLosers();
    await Promise.all([this.losers(), this.#first?.answer.discard(), this.#empty?.answer.discard()]);
    for (const { scope } of this.#legs) scope[Symbol.dispose]();
  }

  /** What the failures mean together: what is wrong with the request itself says more than who was out of reach. */
  failure(name: string): GatewayError {
    const errors = this.#failed.map(({ error }) => error);
    return errors.find(blamesRequest) ?? allFailed(name, errors);
  }

  get decision(): Readonly<Record<string, unknown>> {
    const winner = this.#winner?.leg.runner.label;
    const failed = this.#failed.map(({ label, error: { code, message } }) => ({ member: label, code, message }));
    return {
      ...(winner === undefined ? {} : { winner }),
      started: this.#legs.length,
      ...(this.#first === undefined && winner !== undefined ? { empty: true } : {}),
      ...(failed.length > 0 ? { failed } : {}),
    };
  }

  #stopTimer(): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
  }

  #latency({ streams, wholes }: Runner): Latency {
    return this.#delivery === "stream" ? streams : wholes;
  }

  /** What is wrong with the request is not tried on others; those that run may still answer. */
  #mayStart(): boolean {
    const hopeless = this.#failed.some(({ error }) => blamesRequest(error));
    return this.#legs.length < this.#runners.length && this.#first === undefined && !hopeless && !this.#call.signal.aborted;
  }

  #start(): void {
    this.#stopTimer();
    const runner = this.#runners[this.#legs.length];
    if (!runner || !this.#mayStart()) return;
    const leg: Leg = {
      runner,
      startMs: this.#call.clock.now(),
      scope: openScope(this.#call.signal),
      running: true,
      done: Promise.resolve(),
    };
    this.#legs.push(leg);
    leg.done = this.#run(leg);
    const { p90, ms } = this.#stagger;
    const wait = (p90 ? this.#latency(runner).p90() : undefined) ?? ms;
    if (wait === 0) this.#start();
    else if (wait !== undefined && this.#mayStart()) this.#timer = this.#call.clock.timer(wait, () => this.#start());
  }

  async #run(leg: Leg): Promise<void> {
    const { runner, scope, startMs } = leg;
    const inner = enter(this.#call, { label: runner.label, member: true, delivery: this.#delivery, signal: scope.signal });
    const arrive = this.#delivery === "stream" ? arriveStreaming : arriveWhole;
    const arrival = await arrive(runner, this.#request, inner);
    leg.running = false;
    if (this.#first || scope.signal.aborted) {
      if (arrival.ok) await arrival.discard();
    } else if (!arrival.ok) this.#failed.push({ label: runner.label, error: arrival.error });
    else if (!arrival.empty) {
      this.#latency(runner).record(this.#call.clock.now() - startMs);
      this.#first = { leg, answer: arrival };
    } else if (this.#empty) await arrival.discard();
    else this.#empty = { leg, answer: arrival };
    if (this.#mayStart()) this.#start();
    if (this.#first || !this.#legs.some(({ running }) => running)) this.#over();
  }

  /** A leg that is cut would have taken longer. Without that its p90 would forget every slow answer, and come down race by race. */
  #learn({ runner, startMs }: Leg): void {
    const latency = this.#latency(runner);
    const ms = this.#call.clock.now() - startMs;
    if (ms >= (latency.p90() ?? Infinity)) latency.record(ms);
  }
}
