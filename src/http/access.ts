import type { IncomingMessage } from "node:http";
import type { GatewayError } from "../model/errors.ts";
import { findEntered, type Door } from "./door.ts";

/** Enough to know a path again; a scanner's may be as long as a head can be. */
const MAX_PATH = 200;

export interface Accessed {
  readonly requestId: string;
  /** Without the query: some clients send keys there. */
  readonly path: string;
  readonly status: number;
  readonly error?: GatewayError;
}

/** The log line of a request that asked no model: one that was refused at the door, or about lists and records. */
export function logAccess({ clock, log }: Door, raw: IncomingMessage, { requestId, path, status, error }: Accessed): void {
  const entered = findEntered(raw);
  log.request({
    requestId,
    key: entered?.asker.name,
    method: raw.method,
    path: path.slice(0, MAX_PATH),
    status,
    ms: entered && Math.round(clock.now() - entered.startMs),
    error: error?.code,
    why: error?.message,
  });
}
