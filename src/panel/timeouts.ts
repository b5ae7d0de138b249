import * as z from "zod";
import { tightest, type Call, type Timeouts } from "../model/call.ts";
import { GatewayError } from "../model/errors.ts";
import type { ModelEvent } from "../model/events.ts";
import type { Model } from "../model/model.ts";
import { firstContent } from "../model/open.ts";
import type { ChatRequest } from "../model/request.ts";
import { openDeadline } from "../model/scope.ts";

const ms = (what: string) => z.int().min(1).exactOptional().describe(what);

/** The four bounds, wherever a node or a member may have them. */
export const timeouts = z
  .strictObject({
    connectMs: ms("Until a connection carries the request."),
    firstTokenMs: ms("From there to the first token, or to the head of a whole answer."),
    idleMs: ms("Between two reads."),
    totalMs: ms("Over all."),
  })
  .refine((bounds) => Object.keys(bounds).length > 0, {
    error: "expected at least one of connectMs, firstTokenMs, idleMs, totalMs",
  })
  .meta({ id: "timeouts" });

/** One timer that is set anew from phase to phase. */
function newAlarm(call: Call, ring: (why: string) => void): { set(ms: number | undefined, why: string): void } & Disposable {
  let timer: Disposable | undefined;
  const off = () => timer?.[Symbol.dispose]();
  return {
    set(ms, why) {
      off();
      timer = ms === undefined ? undefined : call.clock.timer(ms, () => ring(why));
    },
    [Symbol.dispose]: off,
  };
}

/** How long a composite may take to its first content: it can not see when its legs are connected, so the time for that is added. */
function firstContentMs({ connectMs = 0, firstTokenMs }: Partial<Timeouts>): number | undefined {
  return firstTokenMs === undefined ? undefined : connectMs + firstTokenMs;
}

/**
 * A model under time bounds. They reach every leg below it, and hold for the model as a whole: `totalMs` always; in a stream also
 * `firstTokenMs` until the first content, and `idleMs` for each wait between two events after it, while the consumer waits. A whole answer
 * shows nothing before its end, so there those two hold for the legs alone.
 */
export function limited(model: Model, bounds: Partial<Timeouts>): Model {
  const late = (why: string) => new GatewayError("upstream_timeout", `${model.name} ${why}.`, { upstream: model.name });
  const { idleMs, totalMs } = bounds;

  async function* stream(request: ChatRequest, call: Call): AsyncGenerator<ModelEvent> {
    using scope = openDeadline(call, totalMs, () => late(`took longer than ${totalMs} ms in all`));
    const inner: Call = {
      ...call,
      signal: scope.signal,
      timeouts: tightest(call.timeouts, bounds),
    };
    if (call.delivery !== "stream") {
      yield* model.stream(request, inner);
      return;
    }
    using alarm = newAlarm(call, (why) => scope.abort(late(why)));
    const firstMs = firstContentMs(bounds);
    alarm.set(firstMs, `gave no content within ${firstMs} ms`);
    let begun = false;
    for await (const event of model.stream(request, inner)) {
      begun ||= event.type === "finish" || firstContent(event);
      if (begun) alarm.set(undefined, "");
      yield event;
      if (begun && event.type !== "finish") alarm.set(idleMs, `was silent for ${idleMs} ms`);
    }
  }
  return { name: model.name, stream, unable: (request) => model.unable?.(request) };
}
