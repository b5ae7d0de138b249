import type { Call, Delivery } from "../model/call.ts";
import type { Completion } from "../model/completion.ts";
import { toGatewayError, type GatewayError } from "../model/errors.ts";
import { CONTENT, Flag, type Delta, type ModelEvent } from "../model/events.ts";
import type { Model } from "../model/model.ts";
import type { ChatRequest } from "../model/request.ts";
import type { Span, Trace } from "../model/trace.ts";
import type { Capabilities } from "../providers/define.ts";

/** What was seen of a leg beside its span. */
export interface Seen {
  readonly request: ChatRequest;
  readonly capabilities: Capabilities;
  readonly delivery: Delivery;
  readonly seq: { readonly start: number; first?: number; end?: number };
  readonly chunks: (readonly [ms: number, deltas: readonly Delta[]])[];
  finishReason?: string;
  completion?: Completion;
  error?: GatewayError;
  /** Ended from above, not by itself. */
  cut: boolean;
}

/** Milliseconds to a thousandth. */
export function rounded(ms: number): number {
  return Math.round(ms * 1000) / 1000;
}

/** Counts what happens within a request: several things happen within one tick of any clock. */
const counts = new WeakMap<Trace, { last: number }>();

function next({ trace }: Call): number {
  const count = counts.get(trace) ?? { last: 0 };
  counts.set(trace, count);
  count.last += 1;
  return count.last;
}

function note(event: ModelEvent, seen: Seen, call: Call): void {
  if (event.type === "finish") {
    seen.seq.end = next(call);
    if (event.completion) seen.completion = event.completion;
  } else if (event.type === "batch") {
    if ((event.flags & CONTENT) !== 0) seen.seq.first ??= next(call);
    if ((event.flags & Flag.end) === 0) return;
    for (const delta of event.deltas) if (delta.type === "end") seen.finishReason ??= delta.reason;
  }
}

/** Looks at a leaf's legs while they run; `keep` gets what their spans do not tell. With `content` each read is kept. */
export function watched(
  leaf: Model,
  capabilities: Capabilities,
  { content, keep }: { readonly content: boolean; readonly keep: (span: Span, seen: Seen) => void },
): Model {
  return {
    name: leaf.name,
    async *stream(request: ChatRequest, call: Call): AsyncGenerator<ModelEvent> {
      const startMs = call.clock.now();
      const seen: Seen = { request, capabilities, delivery: call.delivery, seq: { start: next(call) }, chunks: [], cut: false };
      keep(call.span, seen);
      try {
        for await (const event of leaf.stream(request, call)) {
          note(event, seen, call);
          if (content && event.type === "batch") seen.chunks.push([rounded(call.clock.now() - startMs), event.deltas]);
          yield event;
        }
      } catch (thrown) {
        seen.error = toGatewayError(thrown, call.signal);
        throw thrown;
      } finally {
        if (seen.seq.end === undefined) {
          seen.cut = call.signal.aborted || seen.error === undefined;
          seen.seq.end = next(call);
        }
      }
    },
  };
}
