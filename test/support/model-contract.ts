import { getEventListeners } from "node:events";
import * as fc from "./properties.ts";
import { describe, expect, test } from "vitest";
import type { Call, Delivery } from "../../src/model/call.ts";
import { Collector } from "../../src/model/collect.ts";
import { complete } from "../../src/model/complete.ts";
import { type ErrorCode, GatewayError } from "../../src/model/errors.ts";
import { CONTENT, type ModelEvent } from "../../src/model/events.ts";
import type { Model } from "../../src/model/model.ts";
import type { ChatBody, ChatRequest } from "../../src/model/request.ts";
import { newRetryBudget, newSlot } from "../../src/model/slot.ts";
import { newTrace } from "../../src/model/trace.ts";
import { newCall, newRequest } from "./call.ts";
import { type ManualClock, manualClock, settle } from "./clock.ts";
import { FakeModel, type Move, says, type Script } from "./fake-model.ts";

/** Makes the model that is tested over models that are scripted; the same name is the same model. */
export type Make = (leaf: (name: string) => FakeModel) => Model;

const deliveries: readonly Delivery[] = ["stream", "unary", "metered"];

/** Long after every timer of a test: the client gives up, so that no run lasts for ever. */
const PATIENCE_MS = 10 ** 9;

/** One run of a model under test. */
export interface Scenario {
  readonly delivery: Delivery;
  readonly fields: Partial<ChatBody>;
  /** Scripts of the models below, call by call, by name. */
  readonly scripts: Readonly<Record<string, readonly Script[]>>;
  /** Draws of `call.random`, over and over. */
  readonly draws: readonly number[];
  /** The call is aborted at this time, for this reason. */
  readonly abortAtMs?: number;
  readonly reason?: GatewayError;
  /** The consumer stops after so many events. */
  readonly stopAfter?: number;
  /** Asked for its whole answer instead of its stream. */
  readonly asWhole?: boolean;
}

type Ending =
  | { readonly type: "finished" }
  | { readonly type: "stopped" }
  | { readonly type: "failed"; readonly thrown: unknown; readonly atMs: number };

export interface Outcome {
  readonly call: Call;
  readonly elapsedMs: number;
  readonly events: readonly ModelEvent[];
  readonly ending: Ending;
  readonly abortedAtMs: number | undefined;
  readonly fakes: ReadonlyMap<string, FakeModel>;
}

/** Reasons to abort: one that ends everything, and one that another model could heal if the call were not over. */
export const gone = new GatewayError("client_closed", "The client has left.");
export const late = new GatewayError("upstream_timeout", "It took too long.");

function isContent(event: ModelEvent): boolean {
  return event.type === "batch" && (event.flags & CONTENT) !== 0;
}

function sumOf(fakes: Iterable<FakeModel>, what: "open" | "streamed"): number {
  let sum = 0;
  for (const fake of fakes) sum += fake[what];
  return sum;
}

/** Pulls the events one by one and rests after the first content, to see whether anybody reads ahead. */
async function consume(
  stream: AsyncIterable<ModelEvent>,
  events: ModelEvent[],
  { stopAfter }: Scenario,
  rest: () => Promise<void>,
): Promise<"finished" | "stopped"> {
  const iterator = stream[Symbol.asyncIterator]();
  let rested = false;
  for (;;) {
    if (events.length === stopAfter) {
      await iterator.return?.();
      return "stopped";
    }
    const next = await iterator.next();
    if (next.done) return "finished";
    events.push(next.value);
    if (rested || !isContent(next.value)) continue;
    rested = true;
    await rest();
  }
}

async function* wholeOf(model: Model, request: ChatRequest, call: Call): AsyncGenerator<ModelEvent> {
  if (!model.whole) throw new Error(`${model.name} gives no whole answer`);
  yield await model.whole(request, call);
}

/** A model that gives its whole answer at once too, as a leaf does. */
export function wholly(model: Model): Model {
  return {
    name: model.name,
    stream: (request, call) => model.stream(request, call),
    async whole(request, call) {
      const result = await complete({ name: model.name, stream: () => model.stream(request, call) }, request, call);
      if (!result.ok) throw result.error;
      return result.finish;
    },
  };
}

function attemptsLeft({ slot }: Call): number {
  let left = 0;
  while (slot.take()) left += 1;
  return left;
}

/** What a run told its caller, and left in its call. Uses up the attempts that it left. */
function told({ call, elapsedMs, events, ending, fakes }: Outcome): object {
  const collector = new Collector();
  for (const event of events) collector.add(event);
  const { usage, agreement } = collector.finish ?? {};
  return {
    elapsedMs,
    ending:
      ending.type === "failed" && ending.thrown instanceof GatewayError
        ? { code: ending.thrown.code, text: ending.thrown.message }
        : ending,
    answer: collector.finish && { choices: collector.completion().choices, usage, agreement },
    trace: call.trace,
    legs: call.ledger.legs,
    attempts: attemptsLeft(call),
    calls: [...fakes].map(([name, { calls }]) => [name, calls.length]),
  };
}

/** Runs a model once, on a clock of its own where none is given, and checks what can only be seen from outside. */
export async function run(make: Make, scenario: Scenario, clock: ManualClock = manualClock()): Promise<Outcome> {
  const { delivery, fields, scripts, draws } = scenario;
  const fakes = new Map<string, FakeModel>();
  const leaf = (name: string): FakeModel => {
    const fake = fakes.get(name) ?? new FakeModel(name, ...(scripts[name] ?? []));
    fakes.set(name, fake);
    return fake;
  };
  let drawn = 0;
  const random = () => draws[drawn++ % draws.length] ?? 0.5;
  const controller = new AbortController();
  const { signal } = controller;
  const startMs = clock.now();
  const trace = newTrace(startMs, true);
  const call = newCall({ clock, delivery, random, signal, trace, slot: newSlot(newRetryBudget()) });
  const request = newRequest(fields);
  const before = JSON.stringify(request.body);
  const model = make(leaf);

  const stream = scenario.asWhole === true ? wholeOf(model, request, call) : model.stream(request, call);
  await settle();
  const begun = [...fakes.values()].filter(({ calls }) => calls.length > 0);
  expect({ begun, timers: clock.pending, spans: trace.root.children }, "law 1: lazy").toEqual({
    begun: [],
    timers: 0,
    spans: [],
  });

  const begunCalls = () => [...fakes.values()].reduce((sum, fake) => sum + fake.calls.length, 0);
  let abortedAtMs: number | undefined;
  let begunAtAbort = Infinity;
  const patience = clock.timer(scenario.abortAtMs ?? PATIENCE_MS, () => {
    abortedAtMs = clock.now();
    begunAtAbort = begunCalls();
    controller.abort(scenario.reason ?? gone);
  });
  let readAhead = 0;
  const rest = async () => {
    const [streamed, open] = [sumOf(fakes.values(), "streamed"), sumOf(fakes.values(), "open")];
    // A timer that is due at once comes when nothing else can happen.
    await new Promise<void>((resolve) => void clock.timer(0, resolve));
    readAhead = sumOf(fakes.values(), "streamed") - streamed - open;
  };
  const events: ModelEvent[] = [];
  const ending = await clock.drive(
    consume(stream, events, scenario, rest).then(
      (type): Ending => ({ type }),
      (thrown: unknown): Ending => ({ type: "failed", thrown, atMs: clock.now() }),
    ),
  );
  const endedMs = clock.now();
  patience[Symbol.dispose]();
  await settle();

  expect(readAhead, "law 7: one read ahead for each stream, no more").toBeLessThanOrEqual(0);
  const left = {
    streams: sumOf(fakes.values(), "open"),
    timers: clock.pending,
    listeners: getEventListeners(signal, "abort").length,
  };
  expect(left, "law 4: everything is released").toEqual({ streams: 0, timers: 0, listeners: 0 });
  expect(begunCalls(), "law 4: nobody is asked after an abort").toBeLessThanOrEqual(begunAtAbort);
  expect(JSON.stringify(request.body), "law 6: pure input").toBe(before);
  const calls = [...fakes.values()].flatMap((fake) => fake.calls);
  const spans = new Set(calls.map(({ span }) => span));
  expect(spans.size, "every call has a span of its own").toBe(calls.length);
  expect(spans.has(trace.root), "a child is entered, not handed its parent's call").toBe(false);
  return { call, elapsedMs: endedMs - startMs, events, ending, abortedAtMs, fakes };
}

/** Law 2, for as much as was seen; `finished` says whether the stream came to its end by itself. */
function checkOrder(events: readonly ModelEvent[], finished: boolean): void {
  const starts = events.flatMap((event, index) => (event.type === "start" ? [index] : []));
  const finishes = events.flatMap((event, index) => (event.type === "finish" ? [index] : []));
  expect(starts.length, "at most one start").toBeLessThanOrEqual(1);
  if (starts.length > 0) expect(starts, "a start comes first").toEqual([0]);
  if (finished) expect(finishes, "one finish, last").toEqual([events.length - 1]);
  else expect(finishes.length, "no finish but the last").toBeLessThanOrEqual(1);

  const begun = new Set<number>();
  const ended = new Set<number>();
  const late = new Set<number>();
  for (const event of events) {
    if (event.type !== "batch") continue;
    for (const delta of event.deltas) {
      if (ended.has(delta.choice)) late.add(delta.choice);
      begun.add(delta.choice);
      if (delta.type === "end") ended.add(delta.choice);
    }
  }
  expect(late, "choices that go on after their end").toEqual(new Set());
  const last = events.at(-1);
  if (!finished || last?.type !== "finish") return;
  if (last.completion) {
    const indices = last.completion.choices.map(({ index }) => index);
    expect(indices.length, "an answer has choices").toBeGreaterThan(0);
    expect(new Set(indices).size, "each choice once").toBe(indices.length);
    expect(begun.size, "an answer is told once, streamed or whole").toBe(0);
  } else {
    expect(begun.size, "an answer has choices").toBeGreaterThan(0);
    expect(ended, "each choice that began has ended").toEqual(begun);
  }
}

function tellsLogprobs(event: ModelEvent): boolean {
  if (event.type === "batch") return event.deltas.some(({ type }) => type === "logprobs");
  return event.type === "finish" && Boolean(event.completion?.choices.some(({ logprobs }) => logprobs));
}

/** The laws that hold for every run, whatever happens in it. */
export function checkLaws(scenario: Scenario, { events, ending, abortedAtMs }: Outcome): void {
  checkOrder(events, ending.type === "finished");
  if (scenario.delivery !== "stream") {
    expect(events.filter(isContent), "law 3: a whole answer shows nothing before its finish").toEqual([]);
  }
  if (scenario.fields.logprobs !== true) {
    expect(events.filter(tellsLogprobs), "no log-probabilities where none were asked for").toEqual([]);
  }
  if (ending.type !== "failed") return;
  expect(ending.thrown, "law 5: only a GatewayError leaves").toBeInstanceOf(GatewayError);
  if (abortedAtMs === undefined) return;
  expect(ending.atMs, "law 4: an abort takes no time").toBe(abortedAtMs);
}

/** Texts that may mean something to a strategy: options, numbers, verdicts, labels. */
export const texts = ["Hello", " world", "4", "A", "B", "The answer is 4.", '{"winner":"A"}', '{"ok":true}', "", "yes"];

const codes: readonly ErrorCode[] = [
  "upstream_rate_limited",
  "upstream_error",
  "upstream_timeout",
  "upstream_invalid",
  "content_filter",
  "context_length_exceeded",
  "budget_denied",
];

const fault = fc
  .record({
    code: fc.constantFrom(...codes),
    retryAfterMs: fc.constantFrom(undefined, 500, 10 ** 6),
  })
  .map(({ code, retryAfterMs }) => {
    return new GatewayError(code, "It failed.", {
      upstream: "a",
      ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    });
  });

const logprobs = fc.array(fc.double({ min: -3, max: 0, noNaN: true }), {
  minLength: 1,
  maxLength: 4,
});

const move: fc.Arbitrary<Move> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ text: fc.constantFrom(...texts), logprobs }, { requiredKeys: ["text"] }),
  },
  { weight: 1, arbitrary: fc.constant({ reasoning: "Let me think." }) },
  { weight: 1, arbitrary: fc.constant({ refusal: "I will not." }) },
  { weight: 1, arbitrary: fc.constant({ tool: { id: "call_1", name: "add", arguments: "{}" } }) },
  { weight: 2, arbitrary: fc.integer({ min: 1, max: 5000 }).map((waitMs) => ({ waitMs })) },
  { weight: 1, arbitrary: fault.map((fail) => ({ fail })) },
  { weight: 1, arbitrary: fc.constant("role" as const) },
  { weight: 1, arbitrary: fc.constant("stall" as const) },
);

export const script: fc.Arbitrary<Script> = fc.record(
  {
    moves: fc.uniqueArray(move, {
      maxLength: 6,
      selector: (one) => (typeof one === "object" && "tool" in one ? "tool" : one),
    }),
    agreement: fc.constantFrom(0.2, 0.7, 1),
    usage: fc.constant({ promptTokens: 3, completionTokens: 5 }),
    end: fc.constantFrom("stop" as const, "length" as const),
  },
  { requiredKeys: ["moves"] },
);

const tool = { type: "function", function: { name: "add", parameters: { type: "object" } } };

const fields: fc.Arbitrary<Partial<ChatBody>> = fc.oneof(
  { weight: 4, arbitrary: fc.constant({}) },
  { weight: 1, arbitrary: fc.constant({ tools: [tool] }) },
  { weight: 1, arbitrary: fc.constant({ n: 2 }) },
  { weight: 1, arbitrary: fc.constant({ logprobs: true }) },
  { weight: 1, arbitrary: fc.constant({ response_format: { type: "json_object" } }) },
);

/** Runs over models with these scripts. */
export function scenarios(faulty: fc.Arbitrary<Script>): fc.Arbitrary<Scenario> {
  const calls = fc.array(faulty, { minLength: 1, maxLength: 4 });
  return fc.record({
    delivery: fc.constantFrom(...deliveries),
    fields,
    scripts: fc.record({ a: calls, b: calls, c: calls }),
    draws: fc.array(fc.double({ min: 0, max: 0.999, noNaN: true }), { minLength: 1, maxLength: 5 }),
  });
}

/** All say the same: a sentence that has an option, a number and a word to find. */
const agreed = Object.fromEntries(["a", "b", "c"].map((name) => [name, [says("Yes: yes, the answer", " is 4.")]]));

/** Holds a model to the seven laws, in every delivery, over models below that fail, stall and answer at random. */
export function describeModelContract(name: string, make: Make): void {
  describe(`the laws of a model: ${name}`, () => {
    test.for(deliveries)("one finish and nothing left when all is well (%s)", async (delivery) => {
      const scenario: Scenario = { delivery, fields: {}, scripts: agreed, draws: [0.5] };
      const outcome = await run(make, scenario);
      checkLaws(scenario, outcome);
      expect(outcome.ending).toEqual({ type: "finished" });
    });

    test.for(["a", "b", "c"])("law 3: what was shown of %s is not gone on with by another", async (broken) => {
      const shown = "Yes, so it is, ";
      const breaks: Script = { moves: [{ text: shown }, { waitMs: 10 }, { fail: new GatewayError("upstream_error", "It broke.") }] };
      const scripts = { ...agreed, [broken]: [breaks] };
      const { events, ending } = await run(make, { delivery: "stream", fields: {}, scripts, draws: [0.5] });
      const isShown = events.some(
        (event) => event.type === "batch" && event.deltas.some((delta) => delta.type === "text" && delta.text === shown),
      );
      if (isShown) expect(ending.type).toBe("failed");
    });

    test("every law holds whatever happens below", async () => {
      const holds = async (scenario: Scenario) => checkLaws(scenario, await run(make, scenario));
      await fc.assert(fc.asyncProperty(scenarios(script), holds), { numRuns: 60 });
    });

    test("an abort at any time ends it at once and releases everything", async () => {
      const holds = async (scenario: Scenario, abortAtMs: number, reason: GatewayError) => {
        const aborted = { ...scenario, abortAtMs, reason };
        checkLaws(aborted, await run(make, aborted));
      };
      const time = fc.integer({ min: 0, max: 20_000 });
      await fc.assert(fc.asyncProperty(scenarios(script), time, fc.constantFrom(gone, late), holds), { numRuns: 40 });
    });

    test("an aborted call does not begin", async () => {
      for (const delivery of deliveries) {
        const fakes: FakeModel[] = [];
        const model = make((leaf) => {
          const fake = new FakeModel(leaf);
          fakes.push(fake);
          return fake;
        });
        const call = newCall({ delivery, signal: AbortSignal.abort(gone) });
        const pulled = model.stream(newRequest(), call)[Symbol.asyncIterator]().next();
        await expect(pulled).rejects.toMatchObject({ code: gone.code });
        expect(fakes.filter(({ open }) => open > 0)).toEqual([]);
      }
    });

    const givesWhole = make((leaf) => new FakeModel(leaf)).whole !== undefined;
    (givesWhole ? test : () => {})("asked for its whole answer it does what its stream does, to an abort at any time", async () => {
      const holds = async (scenario: Scenario, delivery: Delivery, abortAtMs: number) => {
        const asked: Scenario = { ...scenario, delivery, abortAtMs };
        const [streamed, answered] = [await run(make, asked), await run(make, { ...asked, asWhole: true })];
        checkLaws(asked, answered);
        expect(told(answered)).toEqual(told(streamed));
      };
      const delivery = fc.constantFrom<Delivery>("unary", "metered");
      await fc.assert(fc.asyncProperty(scenarios(script), delivery, fc.integer({ min: 0, max: 20_000 }), holds), { numRuns: 60 });
    });

    test("a consumer that stops at any event leaves nothing open", async () => {
      const holds = async (scenario: Scenario, stopAfter: number) => {
        const stopped = { ...scenario, stopAfter };
        checkLaws(stopped, await run(make, stopped));
      };
      await fc.assert(fc.asyncProperty(scenarios(script), fc.integer({ min: 0, max: 6 }), holds), {
        numRuns: 60,
      });
    });
  });
}

/** Calls of the models below in a run where nothing fails. */
export async function countCalls(make: Make, fields: Partial<ChatBody> = {}): Promise<number> {
  const { fakes } = await run(make, { delivery: "stream", fields, scripts: agreed, draws: [0.5] });
  return [...fakes.values()].reduce((sum, fake) => sum + fake.calls.length, 0);
}
