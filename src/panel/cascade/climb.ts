import { enter, type Call } from "../../model/call.ts";
import { complete } from "../../model/complete.ts";
import type { Completion } from "../../model/completion.ts";
import { allFailed, throwIfAborted, type ErrorCode, type GatewayError } from "../../model/errors.ts";
import type { ModelEvent } from "../../model/events.ts";
import type { Model } from "../../model/model.ts";
import { open } from "../../model/open.ts";
import { change, type ChatRequest } from "../../model/request.ts";
import { judge, needsLogprobs, newPrefixGate, type Gate, type Judged, type PrefixAccept, type Verdict } from "./accept.ts";
import { capable } from "../capable.ts";
import { hideLogprobs, withoutLogprobs } from "./confidence.ts";
import { flush } from "../flush.ts";
import { hasRoom } from "../room.ts";
import { validatorOf, type Validator } from "../schema.ts";
import { emptiness } from "../usable.ts";

/** One step of a cascade. The last has no gate. */
export interface Step {
  readonly label: string;
  readonly model: Model;
  readonly gate?: Gate;
}

/** What a step came to. Accepted events have to be iterated, or a socket stays open. */
type Outcome =
  | {
      readonly type: "accepted";
      readonly events: AsyncIterable<ModelEvent> | Iterable<ModelEvent>;
      readonly verdict?: Verdict;
    }
  /** `answer` is there when all of it was read. */
  | { readonly type: "refused"; readonly verdict: Verdict; readonly answer?: Completion }
  | { readonly type: "failed"; readonly error: GatewayError };

/** One request on its way through the steps. */
interface Ascent {
  readonly request: ChatRequest;
  readonly call: Call;
  readonly validator: Validator | undefined;
}

/** A step's request, and whether what it brings in log-probabilities is for the gateway alone. */
function askedOf(request: ChatRequest, gate: Gate): { readonly asked: ChatRequest; readonly hidden: boolean } {
  const hidden = needsLogprobs(gate) && request.body.logprobs !== true;
  return { asked: hidden ? change(request, { logprobs: true }) : request, hidden };
}

/** A step is a call that was planned, not an attempt to heal one: it has a slot of its own. */
function enterStep(call: Call, { label, gate }: Step, delivery = call.delivery): Call {
  return enter(call, { label, member: true, delivery, marks: gate?.by === "agreement" ? [gate.min] : [] });
}

async function takeLast(step: Step, { request, call }: Ascent): Promise<Outcome> {
  const opening = await open(step.model, request, enterStep(call, step));
  return opening.ok ? { type: "accepted", events: opening.events } : { type: "failed", error: opening.error };
}

/**
 * Judges a whole answer. One that says nothing is not worth a question; and questions that would take from the next step what it needs are not
 * asked, so that it can answer.
 */
function verdictOf(gate: Gate, { label }: Step, judged: Judged, { request, call, validator }: Ascent): Verdict | Promise<Verdict> {
  if (!("verdict" in gate)) return judge(gate, judged, validator);
  const { by } = gate;
  const reason = emptiness(judged.completion, "unusable");
  if (reason !== undefined) return { accepted: false, by, reason };
  if (hasRoom(call, gate.questions + 1)) return gate.verdict(judged, request, call);
  call.trace.degraded.push(`gate of ${label}: budget_denied`);
  return { accepted: false, by, reason: "budget_denied" };
}

/** Reads the whole answer, then judges it. */
async function takeWhole(step: Step, gate: Gate, ascent: Ascent): Promise<Outcome> {
  const { request, call } = ascent;
  const { asked, hidden } = askedOf(request, gate);
  const result = await complete(step.model, asked, enterStep(call, step, call.delivery === "metered" ? "metered" : "unary"));
  if (!result.ok) return { type: "failed", error: result.error };
  const verdict = await verdictOf(gate, step, result, ascent);
  const answer = hidden ? withoutLogprobs(result.completion) : result.completion;
  if (!verdict.accepted) return { type: "refused", verdict, answer };
  const { agreement } = result.finish;
  return {
    type: "accepted",
    verdict,
    events: flush(answer, call, agreement === undefined ? {} : { agreement }),
  };
}

/** Holds the beginning of a stream, judges it, and lets the stream go on or ends it. */
async function takePrefix(step: Step, gate: PrefixAccept, { request, call }: Ascent): Promise<Outcome> {
  const { asked, hidden } = askedOf(request, gate);
  const prefix = newPrefixGate(gate);
  const inner = enterStep(call, step);
  const opening = await open(step.model, asked, inner, (event) => prefix.read(event));
  if (!opening.ok) return { type: "failed", error: opening.error };
  const verdict = prefix.verdict();
  const events = hidden ? hideLogprobs(opening.events) : opening.events;
  if (verdict.accepted) return { type: "accepted", verdict, events };
  if (!prefix.finished) {
    await opening.discard();
    return { type: "refused", verdict };
  }
  const held = await complete({ name: step.model.name, stream: () => events }, asked, inner);
  return held.ok ? { type: "refused", verdict, answer: held.completion } : { type: "failed", error: held.error };
}

function take(step: Step, ascent: Ascent): Promise<Outcome> {
  const { gate } = step;
  if (!gate) return takeLast(step, ascent);
  const streams = ascent.call.delivery === "stream";
  return gate.by === "prefixLogprob" && streams ? takePrefix(step, gate, ascent) : takeWhole(step, gate, ascent);
}

/** What an upstream says that does not take `logprobs`: not the client's fault, so the next step is asked. */
const REJECTIONS: ReadonlySet<ErrorCode> = new Set(["invalid_request", "unsupported_parameter", "upstream_invalid"]);

function goesOn({ gate }: Step, error: GatewayError, { request }: Ascent): boolean {
  return error.elsewhere || (gate !== undefined && askedOf(request, gate).hidden && REJECTIONS.has(error.code));
}

/** A refused answer that is there as a last resort. */
interface Spare {
  readonly step: Step;
  readonly answer: Completion;
}

/** Steps go from cheap to strong, so the later answer counts for more; one that misses the schema only when there is no other. */
function strongest(spares: readonly Spare[]): Spare | undefined {
  return spares.findLast(({ step }) => step.gate?.by !== "schema") ?? spares.at(-1);
}

/** Tells the trace how far one came; plain JSON. */
class Report {
  readonly #call: Call;
  readonly #name: string;
  readonly #steps: Readonly<Record<string, unknown>>[] = [];

  constructor(call: Call, name: string) {
    this.#call = call;
    this.#name = name;
  }

  add({ label }: Step, outcome: Outcome): void {
    const { type } = outcome;
    if (type === "failed")
      this.#steps.push({
        step: label,
        outcome: type,
        code: outcome.error.code,
        message: outcome.error.message,
      });
    else if (outcome.verdict) {
      const { accepted: _, ...found } = outcome.verdict;
      this.#steps.push({ step: label, outcome: type, ...found });
    } else this.#steps.push({ step: label, outcome: type });
    if (type === "refused" && outcome.verdict.threshold !== undefined && outcome.verdict.measured === undefined) {
      this.#call.trace.warnings.push(`${this.#name}: ${label} came without what "${outcome.verdict.by}" measures, so it was not accepted`);
    }
    this.close(type === "accepted" ? { accepted: label } : {});
  }

  close(end: Readonly<Record<string, string>>): void {
    this.#call.span.decision = { ...end, steps: [...this.#steps] };
  }
}

/** The steps that may take the request. The last of them answers in any case. */
function capableSteps(all: readonly Step[], request: ChatRequest, call: Call): readonly Step[] {
  const able = capable(all, ({ model }) => ({ model, request }), call);
  const last = able.at(-1);
  return last?.gate === undefined ? able : [...able.slice(0, -1), { label: last.label, model: last.model }];
}

/** Goes from step to step until one is accepted. `name` is the node's. */
export async function* climb(name: string, all: readonly Step[], request: ChatRequest, call: Call): AsyncGenerator<ModelEvent> {
  const steps = capableSteps(all, request, call);
  const judgesSchema = steps.some(({ gate }) => gate?.by === "schema");
  const ascent: Ascent = {
    request,
    call,
    validator: judgesSchema ? validatorOf(request) : undefined,
  };
  const report = new Report(call, name);
  const spares: Spare[] = [];
  const errors: GatewayError[] = [];
  for (const step of steps) {
    throwIfAborted(call.signal);
    const outcome = await take(step, ascent);
    report.add(step, outcome);
    if (outcome.type === "accepted") {
      yield* outcome.events;
      return;
    }
    if (outcome.type === "refused") {
      const { answer } = outcome;
      if (answer && emptiness(answer, "usable") === undefined) spares.push({ step, answer });
    } else {
      errors.push(outcome.error);
      if (!goesOn(step, outcome.error, ascent)) break;
    }
  }
  throwIfAborted(call.signal);
  const spare = strongest(spares);
  const last = errors.at(-1);
  if (!spare) throw last && !last.elsewhere ? last : allFailed(name, errors);
  call.trace.degraded.push(`cascade: a later step failed (${last?.code}), so the refused answer of ${spare.step.label} stands`);
  report.close({ kept: spare.step.label });
  yield* flush(spare.answer, call);
}
