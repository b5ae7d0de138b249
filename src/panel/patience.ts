import type { Signal } from "../model/abort.ts";
import type { Call } from "../model/call.ts";
import { GatewayError } from "../model/errors.ts";
import { openScope } from "../model/scope.ts";

/** The time that a panel has until its answer begins. */
export interface Patience extends Disposable {
  /** Aborts with the call, or when the time is up. */
  readonly signal: Signal;
  /** Milliseconds that are left; undefined when it never ends. */
  leftMs(): number | undefined;
  /** Stops the clock, for when the answer has begun; the call can still end it. */
  release(): void;
}

/** Starts the clock; without `ms` it never ends. */
export function openPatience(call: Call, ms: number | undefined): Patience {
  const scope = openScope(call.signal);
  const late = () => scope.abort(new GatewayError("upstream_timeout", "The panel's deadline passed."));
  const timer = ms === undefined ? undefined : call.clock.timer(ms, late);
  const startMs = call.clock.now();
  const release = () => timer?.[Symbol.dispose]();
  return {
    signal: scope.signal,
    leftMs: () => (ms === undefined ? undefined : Math.max(0, startMs + ms - call.clock.now())),
    release,
    [Symbol.dispose]() {
      release();
      scope[Symbol.dispose]();
    },
  };
}
