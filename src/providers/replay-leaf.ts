import type { Call } from "../model/call.ts";
import { deltasOf } from "../model/choice-deltas.ts";
import { sleep } from "../model/clock.ts";
import type { Completion } from "../model/completion.ts";
import { GatewayError, isErrorCode, throwIfAborted, toGatewayError } from "../model/errors.ts";
import { batch, CONTENT, type BatchEvent, type ModelEvent } from "../model/events.ts";
import { choicesOf, type LegRecord } from "../model/history.ts";
import type { Model } from "../model/model.ts";
import type { ChatRequest } from "../model/request.ts";
import type { Tape, Take } from "./replay-tape.ts";

export type Timing = "recorded" | "none";

export interface Player {
  readonly tape: Tape;
  readonly timing: Timing;
  /** `provider/model` here, for errors. */
  readonly name: string;
  /** `provider/model` as it was recorded. */
  readonly upstream: string;
}

/** How long a leg that was cut waits to be cut again, beyond the time at which it was. */
const PATIENCE_MS = 1000;

/** Finds what is to be played, or throws a miss that names its key. */
function takeFor({ tape, upstream, name }: Player, { body }: ChatRequest, call: Call): Take {
  const found = tape.take(upstream, body, call.id);
  if ("leg" in found) return found;
  const { key, recorded } = found;
  const why =
    recorded === 0
      ? "nothing was recorded of this request"
      : `this request was recorded ${recorded} ${recorded === 1 ? "time" : "times"}, and is asked once more`;
  throw new GatewayError("replay_miss", `${name}: ${why} (key ${upstream} ${key}).`, { upstream: name });
}

function errorOf({ error }: LegRecord, name: string): GatewayError {
  const { code = "", message, upstreamStatus, retryAfterMs, wire } = error ?? {};
  return new GatewayError(isErrorCode(code) ? code : "upstream_error", message ?? `${name} failed when it was recorded.`, {
    upstream: name,
    ...(upstreamStatus === undefined ? {} : { upstreamStatus }),
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    ...(wire ? { wire } : {}),
  });
}

/** Waits until a time after the leg's start, as it was recorded, within the timers of the nodes above. */
function newWait(
  leg: LegRecord,
  { name, timing }: Player,
  { clock, signal, timeouts }: Call,
): (ms: number, isFirst: boolean) => Promise<void> {
  const startMs = clock.now();
  return async (ms, isFirst) => {
    throwIfAborted(signal);
    if (timing === "none") return;
    const now = clock.now();
    const dueMs = startMs + ms;
    const patience = (isFirst ? timeouts.firstTokenMs : timeouts.idleMs) ?? Infinity;
    const boundMs = Math.min(now + patience, startMs + (timeouts.totalMs ?? Infinity));
    if (Math.min(dueMs, boundMs) > now) await sleep(clock, Math.min(dueMs, boundMs) - now, signal);
    if (boundMs >= dueMs) return;
    // The timer that struck then strikes now, a little earlier than it was seen to.
    if (leg.error?.code === "upstream_timeout") throw errorOf(leg, name);
    throw new GatewayError("upstream_timeout", `${name} took too long.`, { upstream: name });
  };
}

/** What a leg that ended before its answer did is billed for: its share of what the whole was. */
function share({ usage, usd }: LegRecord, read: number): { readonly usage?: LegRecord["usage"] & object; readonly usd?: number } {
  if (!usage) return {};
  const completionTokens = Math.round(usage.completionTokens * read);
  const whole = usage.promptTokens + usage.completionTokens;
  const part = whole === 0 ? 0 : (usage.promptTokens + completionTokens) / whole;
  return { usage: { promptTokens: usage.promptTokens, completionTokens }, ...(usd === undefined ? {} : { usd: usd * part }) };
}

/** Notes in the span what the leg cost, for whoever bills it. `read` is the share of it that was told. */
function bill(leg: LegRecord, { span }: Call, read: number): void {
  const { usage, usd, estimated = false, status } = leg;
  if (!usage || (status !== "ok" && usage.promptTokens + usage.completionTokens === 0)) return;
  span.sent = true;
  if (status !== "ok" || read === 1) Object.assign(span, { usage, estimated, ...(usd === undefined ? {} : { usd }) });
  else Object.assign(span, { ...share(leg, read), estimated: true });
}

function batchesOf(leg: LegRecord): readonly (readonly [ms: number, event: BatchEvent])[] {
  if (leg.chunks) return leg.chunks.map(([ms, deltas]) => [ms, batch(deltas)] as const);
  const { choices = [] } = leg.answer ?? {};
  return choices.length === 0 ? [] : [[leg.ms, batch(choices.flatMap((choice) => deltasOf(choice, choice.index)))]];
}

function completionOf(leg: LegRecord): Completion {
  const { usage, estimated, answer } = leg;
  return { ...answer, choices: choicesOf(leg) ?? [], ...(usage && estimated !== true ? { usage } : {}) };
}

/** Waits to be cut as the recording was; nobody does when the config has changed since, and then the leg fails. */
async function cutAgain(leg: LegRecord, { name }: Player, { clock, signal }: Call): Promise<never> {
  await sleep(clock, leg.ms + PATIENCE_MS, signal);
  throw new GatewayError("upstream_error", `${name} was cut when it was recorded, so that the rest of it is not known.`, {
    upstream: name,
  });
}

/** Plays one recorded leg. */
async function* play({ leg, order }: Take, player: Player, call: Call): AsyncGenerator<ModelEvent> {
  const wait = newWait(leg, player, call);
  const batches = batchesOf(leg);
  const reach = (moment: "start" | "first" | "end") => order?.reach(leg, moment, call);
  let read = 0;
  let done = false;
  try {
    await reach("start");
    let waited = false;
    if (call.delivery === "stream") {
      for (const [ms, event] of batches) {
        await wait(ms, !waited);
        if (!waited && (event.flags & CONTENT) !== 0) {
          waited = true;
          await reach("first");
          throwIfAborted(call.signal);
        }
        read += 1;
        yield event;
      }
    }
    if (leg.cut === true) await cutAgain(leg, player, call);
    await wait(leg.ms, !waited);
    await reach("end");
    throwIfAborted(call.signal);
    if (leg.status !== "ok") throw errorOf(leg, player.name);
    done = true;
    bill(leg, call, 1);
    const { usage, estimated } = leg;
    yield {
      type: "finish",
      ...(usage && estimated !== true ? { usage } : {}),
      ...(call.delivery === "stream" ? {} : { completion: completionOf(leg) }),
    };
  } finally {
    if (!done) bill(leg, call, batches.length === 0 ? 0 : read / (batches.length + 1));
    order?.leave(leg, call);
  }
}

/** A model that says what was recorded of it. */
export function replayLeaf(player: Player): Model {
  return {
    name: player.name,
    async *stream(request, call) {
      try {
        throwIfAborted(call.signal);
        yield* play(takeFor(player, request, call), player, call);
      } catch (thrown) {
        throw toGatewayError(thrown, call.signal);
      }
    },
  };
}
