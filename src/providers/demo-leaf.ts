import type { Call } from "../model/call.ts";
import { sleep } from "../model/clock.ts";
import { newFold } from "../model/collect.ts";
import { GatewayError, throwIfAborted, toGatewayError } from "../model/errors.ts";
import { batch, type Delta, type ModelEvent } from "../model/events.ts";
import type { Model } from "../model/model.ts";
import type { ChatRequest } from "../model/request.ts";
import type { Usage } from "../model/usage.ts";
import { demoModels, isDemoModel, voiceOf } from "./demo-answer.ts";
import { speak, type Speech } from "./demo-speech.ts";
import { countPrompt } from "./demo-tokens.ts";

/** How fast an answer comes. */
export interface Pace {
  readonly firstTokenMs: number;
  /** 0 is as fast as it goes. */
  readonly tokensPerSecond: number;
}

/** One of the demo models, at a pace. A whole answer takes as long as its stream. */
export function demoLeaf(name: string, model: string, pace: Pace): Model {
  return {
    name,
    async *stream(request, call) {
      try {
        const speeches = speechesOf(name, model, request);
        yield* told({ speeches, pace, name, request }, call);
      } catch (thrown) {
        throw toGatewayError(thrown, call.signal);
      }
    },
  };
}

function speechesOf(name: string, model: string, { body }: ChatRequest): readonly Speech[] {
  if (!isDemoModel(model)) {
    throw new GatewayError("upstream_model_not_found", `${name} does not exist; the demo models are ${demoModels.join(", ")}.`, {
      upstream: name,
    });
  }
  return Array.from({ length: body.n ?? 1 }, (_, choice) => speak(voiceOf(model, body, choice), body, choice, name));
}

interface Telling {
  readonly name: string;
  readonly speeches: readonly Speech[];
  readonly pace: Pace;
  readonly request: ChatRequest;
}

/** Tells all choices at once, a token of each at a time. */
async function* told({ name, speeches, pace, request }: Telling, call: Call): AsyncGenerator<ModelEvent> {
  const fold = newFold();
  const promptTokens = countPrompt(request.body.messages);
  const usageAfter = (steps: number): Usage => {
    return { promptTokens, completionTokens: speeches.reduce((sum, speech) => sum + Math.min(speech.steps.length, steps), 0) };
  };
  const wait = newWait(name, pace, call);
  const length = Math.max(...speeches.map(lengthOf));
  let written = 0;
  let done = false;
  throwIfAborted(call.signal);
  call.span.sent = true;
  try {
    for (let step = 0; step < length; step += 1) {
      await wait(step);
      written = step + 1;
      for (const deltas of batchesAt(speeches, step)) {
        if (call.delivery === "stream") yield batch(deltas);
        else for (const delta of deltas) fold.add(delta);
      }
    }
    const usage = usageAfter(length);
    done = true;
    yield { type: "finish", usage, ...(call.delivery === "stream" ? {} : { completion: { choices: fold.choices(), usage } }) };
  } finally {
    // A cut leg is billed for what it wrote; nobody reported that, so it is an estimate.
    if (!done) Object.assign(call.span, { usage: usageAfter(written), estimated: true });
  }
}

/** A choice without a token still ends, when its first would have come. */
function lengthOf({ steps }: Speech): number {
  return Math.max(1, steps.length);
}

/** The tokens of one step, then the ends of the choices whose last they were. */
function batchesAt(speeches: readonly Speech[], step: number): readonly (readonly Delta[])[] {
  const tokens = speeches.flatMap(({ steps }) => steps[step] ?? []);
  const ends = speeches.flatMap((speech, choice): readonly Delta[] =>
    lengthOf(speech) === step + 1 ? [{ type: "end", choice, reason: speech.reason }] : [],
  );
  return [tokens, ends].filter((deltas) => deltas.length > 0);
}

/** Waits until a step is due, measured from the start so that late timers do not add up; bounded by the timers of the nodes above. */
function newWait(
  name: string,
  { firstTokenMs, tokensPerSecond }: Pace,
  { clock, signal, timeouts }: Call,
): (step: number) => Promise<void> {
  const start = clock.now();
  const stepMs = tokensPerSecond === 0 ? 0 : 1000 / tokensPerSecond;
  const { totalMs = Infinity } = timeouts;
  return async (step) => {
    throwIfAborted(signal);
    const now = clock.now();
    const due = start + firstTokenMs + step * stepMs;
    const patience = (step === 0 ? timeouts.firstTokenMs : timeouts.idleMs) ?? Infinity;
    const bound = Math.min(now + patience, start + totalMs);
    if (Math.min(due, bound) > now) await sleep(clock, Math.min(due, bound) - now, signal);
    if (bound < due) throw new GatewayError("upstream_timeout", `${name} took too long.`, { upstream: name });
  };
}
