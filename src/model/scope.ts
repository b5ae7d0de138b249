import type { Call } from "./call.ts";
import type { GatewayError } from "./errors.ts";

/** A signal of one's own below a parent's: aborts with the parent, or by itself. Dispose of it, or the parent keeps a listener. */
export interface Scope extends Disposable {
  readonly signal: AbortSignal;
  abort(reason: GatewayError): void;
}

/** Opens a scope below `parent`. */
export function openScope(parent: AbortSignal): Scope {
  const controller = new AbortController();
  const follow = () => controller.abort(parent.reason);
  if (parent.aborted) follow();
  else parent.addEventListener("abort", follow, { once: true });
  return {
    signal: controller.signal,
    abort: (reason) => controller.abort(reason),
    [Symbol.dispose]: () => parent.removeEventListener("abort", follow),
  };
}

/** A scope that aborts after `ms` with the given code; undefined or infinite means never. */
export function openDeadline(call: Call, ms: number | undefined, reason: () => GatewayError): Scope {
  const scope = openScope(call.signal);
  if (ms === undefined || ms === Infinity) return scope;
  const timer = call.clock.timer(ms, () => scope.abort(reason()));
  return {
    ...scope,
    [Symbol.dispose]: () => {
      timer[Symbol.dispose]();
      scope[Symbol.dispose]();
    },
  };
}
