import * as z from "zod";
import { enter, type Call } from "../../model/call.ts";
import { sleep } from "../../model/clock.ts";
import { GatewayError } from "../../model/errors.ts";
import { completing, type Completed } from "../../model/complete.ts";
import type { FinishEvent, ModelEvent } from "../../model/events.ts";
import { handOver, only } from "../../model/hand-over.ts";
import { open, type Opening } from "../../model/open.ts";
import type { ChatRequest } from "../../model/request.ts";
import { hold, holdGate } from "../../panel/hold.ts";
import { tailOf } from "../../panel/tail.ts";
import { defineStrategy, node } from "../define.ts";

const options = z.strictObject({
  model: node,
  attempts: z.int().min(1).max(20).default(2).describe("How often it is asked, the first time included."),
  baseMs: z.int().min(0).default(250).describe("The longest wait before the second attempt; it doubles from attempt to attempt."),
  capMs: z.int().min(0).default(8000).describe("The longest wait of all."),
  maxRetryAfterMs: z
    .int()
    .min(0)
    .default(30_000)
    .describe("A Retry-After above this is not waited for: the error goes up, and a fallback elsewhere."),
  hold: hold.optional(),
});

type Options = z.output<typeof options>;

/** Full jitter: anything up to the exponential bound, after the time that the upstream asked for. Undefined when that is too long to wait. */
function waitMs(error: GatewayError, attempt: number, call: Call, { baseMs, capMs, maxRetryAfterMs }: Options): number | undefined {
  const { retryAfterMs = 0 } = error.details;
  if (retryAfterMs > maxRetryAfterMs) return undefined;
  return retryAfterMs + call.random() * Math.min(capMs, baseMs * 2 ** (attempt - 1));
}

/** The last error with the number of attempts that were made in vain; the trace is told of them. */
function givenUp(error: GatewayError, attempts: number, call: Call): GatewayError {
  call.span.decision = { attempts, failed: error.code };
  return new GatewayError(error.code, error.message, { ...error.details, attempts });
}

interface Succeeded {
  readonly ok: true;
}

interface Failed {
  readonly ok: false;
  readonly error: GatewayError;
}

/** What was tried already. */
interface Tried {
  readonly attempts: number;
  /** Upstream calls, which a fallback below makes several of in one attempt. */
  readonly made: number;
}

const untried: Tried = { attempts: 0, made: 0 };

const finishOf = ({ finish }: Extract<Completed, Succeeded>): FinishEvent => finish;
const eventsOf = ({ events }: Extract<Opening, Succeeded>): AsyncIterable<ModelEvent> => events;

/**
 * Asks the same model again when it failed in a way that may pass, and nothing was shown yet. Waits with exponential backoff and full jitter,
 * and at least as long as a Retry-After; one above `maxRetryAfterMs` is not waited for, so that one goes elsewhere.
 *
 * Costs one call when all is well, `attempts` at worst, one after the other. The slot's attempts, one for each upstream call,
 * bound it together with every other retry of the request. Pays against rate limits, restarts and resets; never against a timeout or a refusal
 * of the request itself.
 */
export const retry = defineStrategy({
  kind: "retry",
  level: "api",
  summary: "Asks the same model again, before anything was shown, when it failed in a way that may pass.",
  options,
  build(own, site) {
    const child = site.child(own.model, "model");
    const labels = Array.from({ length: own.attempts }, (_, index) => `attempt ${index + 1}`);
    const whole = (request: ChatRequest, call: Call) => tries(call, (inner, judge) => completing(child, request, inner, judge), finishOf);
    return {
      name: site.name,
      stream: (request, call) =>
        handOver(async () => {
          if (call.delivery !== "stream") return only(await whole(request, call));
          return tries(call, (inner, judge) => open(child, request, inner, holdGate(own.hold)).then(judge), eventsOf);
        }),
      whole,
      unable: (request) => child.unable?.(request),
    };

    /** Tries until it succeeds, and takes out of that what is asked for. Throws the last error. No async function: it is on the way of every request. */
    function tries<T extends Succeeded, R>(
      call: Call,
      attemptOne: (inner: Call, judge: (tried: T | Failed) => R | Promise<R>) => Promise<R>,
      take: (tried: T) => R,
      before: Tried = untried,
    ): Promise<R> {
      return attemptOne(enter(call, { label: labels[before.attempts] ?? "" }), (tried) => {
        if (tried.ok) {
          if (before.made > 0) call.span.decision = { attempts: before.made + 1 };
          return take(tried);
        }
        const { error } = tried;
        const attempts = before.attempts + 1;
        const made = before.made + (error.details.attempts ?? 1);
        const wait = error.retry && attempts < own.attempts ? waitMs(error, attempts, call, own) : undefined;
        if (wait === undefined || !call.slot.retry()) throw givenUp(error, made, call);
        return sleep(call.clock, wait, call.signal).then(() => tries(call, attemptOne, take, { attempts, made }));
      });
    }
  },
  plan(own, child) {
    const planned = child(own.model);
    const { plan } = planned;
    return {
      ...plan,
      attempts: own.attempts * (plan.attempts ?? 1),
      tail: own.hold === "whole" ? "none" : tailOf(planned),
      reads: plan.reads || own.hold !== undefined,
      edges: [{ role: "model", child: planned }],
    };
  },
  foretell: ({ attempts }) => ({ note: `up to ${attempts} attempts where it fails, which are not counted here` }),
  examples: [
    { kind: "retry", model: "a" },
    { kind: "retry", model: "a", attempts: 4, baseMs: 100, capMs: 2000, maxRetryAfterMs: 5000 },
    { kind: "retry", model: "b", hold: { tokens: 20 } },
    {
      kind: "retry",
      model: { kind: "fallback", members: ["a", { kind: "retry", model: "b" }] },
      hold: "whole",
    },
  ],
});
