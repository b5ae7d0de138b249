import type { Aborter } from "../model/abort.ts";
import { GatewayError } from "../model/errors.ts";

/** Requests under way. Overload is refused early, for some, instead of shared by everybody. */
export interface InFlight {
  /** Registers a request; throws when there are too many, or when the gateway is shutting down. */
  enter(controller: Aborter): void;
  leave(controller: Aborter): void;
  readonly count: number;
  /** Stops taking requests; resolves when none is left, or after `ms`, when the rest is aborted. */
  drain(ms: number): Promise<void>;
  readonly draining: boolean;
}

export function newInFlight(max: number): InFlight {
  const running = new Set<Aborter>();
  let draining = false;
  let emptied: () => void = () => {};
  return {
    get count() {
      return running.size;
    },
    get draining() {
      return draining;
    },
    enter(controller) {
      if (draining) throw new GatewayError("shutting_down", "The gateway is shutting down.", { retryAfterMs: 1000 });
      if (running.size >= max)
        throw new GatewayError("overloaded", `The gateway is at its limit of ${max} requests at once.`, { retryAfterMs: 1000 });
      running.add(controller);
    },
    leave(controller) {
      running.delete(controller);
      if (running.size === 0) emptied();
    },
    async drain(ms) {
      draining = true;
      if (running.size === 0) return;
      const empty = new Promise<void>((resolve) => {
        emptied = resolve;
      });
      const timer = setTimeout(() => {
        for (const controller of running) controller.abort(new GatewayError("shutting_down", "The gateway is shutting down."));
      }, ms);
      await empty;
      clearTimeout(timer);
    },
  };
}
