import type { IncomingMessage } from "node:http";
import type { Clock } from "../model/clock.ts";
import type { Log } from "../model/call.ts";
import type { Catalog } from "../catalog/catalog.ts";
import type { Recorder } from "../catalog/record.ts";
import type { RetryBudget } from "../model/slot.ts";
import type { Store } from "../store/store.ts";
import type { ProcessLog } from "../telemetry/log.ts";
import type { InFlight } from "./admission.ts";
import type { Asker } from "./auth.ts";
import type { Cors } from "./cors.ts";

/** What the routes share. `current` follows a reload; the rest lives as long as the process. */
export interface Door {
  readonly current: () => Served;
  readonly store: Store;
  readonly clock: Clock;
  readonly random: () => number;
  readonly inFlight: InFlight;
  readonly retries: RetryBudget;
  /** Writes history, where the config asks for it. */
  readonly recorder?: Recorder | undefined;
  readonly log: Log & Pick<ProcessLog, "request">;
}

/** One good config, built. */
export interface Served {
  readonly catalog: Catalog;
  /** Without keys and for this machine alone: public names are refused. */
  readonly localOnly: boolean;
  authenticate(authorization: string | undefined, open: boolean): Asker;
  readonly cors: Cors;
  readonly heartbeatMs: number;
  readonly heartbeat: "comment" | "data";
  readonly commitAfterMs: number;
  /** Log messages and answers. */
  readonly logContent: boolean;
}

/** A request that has passed the first hook. */
export interface Entered {
  readonly requestId: string;
  readonly startMs: number;
  readonly served: Served;
  readonly asker: Asker;
  /** Headers that every answer to it carries, flat. */
  readonly headers: readonly string[];
  readonly hops: number;
  /** A header of the request's own. */
  readonly header: (name: string) => string | undefined;
}

const slot = Symbol("entered");

interface Marked {
  [slot]?: Entered;
}

/** Keeps what the first hook found for the route. */
export function setEntered(request: IncomingMessage & Marked, value: Entered): void {
  request[slot] = value;
}

/** What the first hook found, if the request got that far. */
export function findEntered(request: IncomingMessage & Marked): Entered | undefined {
  return request[slot];
}

/** What the first hook found. */
export function getEntered(request: IncomingMessage): Entered {
  const found = findEntered(request);
  if (!found) throw new Error("the first hook did not run");
  return found;
}
