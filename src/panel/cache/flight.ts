import type { Call } from "../../model/call.ts";
import { GatewayError, throwIfAborted } from "../../model/errors.ts";
import { openDeadline } from "../../model/scope.ts";
import type { CacheEntry } from "./entry.ts";

/** How the one who asks for all came down: with an answer, kept or just made; with one that is for nobody else; or not at all. */
export type Landing =
  | { readonly type: "answer"; readonly entry: CacheEntry; readonly kept: boolean }
  | { readonly type: "unfit" }
  | { readonly type: "failed" };

/** One request that is under way for all who ask the same. */
export interface Flight {
  readonly landed: Promise<Landing>;
  /** Only the first counts. */
  land(landing: Landing): void;
}

/** The flights of one node: as many as it has requests under way, at most. */
export class Flights {
  readonly #flights = new Map<string, Flight>();

  get(id: string): Flight | undefined {
    return this.#flights.get(id);
  }

  start(id: string): Flight {
    const { promise, resolve } = Promise.withResolvers<Landing>();
    const flight: Flight = {
      landed: promise,
      land: (landing) => {
        // Gone before anybody hears of it: whoever has to ask anew finds the place free.
        if (this.#flights.get(id) === flight) this.#flights.delete(id);
        resolve(landing);
      },
    };
    this.#flights.set(id, flight);
    return flight;
  }
}

/** Waits for a flight, up to `ms`; undefined when that is not enough. Throws when the call is aborted. */
export async function waitFor(flight: Flight, call: Call, ms: number): Promise<Landing | undefined> {
  using patience = openDeadline(call, Math.max(0, ms), () => new GatewayError("cancelled", "Waited long enough."));
  const { promise, resolve } = Promise.withResolvers<Landing | undefined>();
  const giveUp = () => resolve(undefined);
  patience.signal.addEventListener("abort", giveUp, { once: true });
  void flight.landed.then(resolve);
  const landing = await promise;
  patience.signal.removeEventListener("abort", giveUp);
  throwIfAborted(call.signal);
  return landing;
}
