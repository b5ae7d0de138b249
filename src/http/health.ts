import type { ServerResponse } from "node:http";
import type { Door } from "./door.ts";
import { sendJson } from "./reply.ts";

/** `/health`: the process is alive. */
export function health(reply: ServerResponse, headers: readonly string[]): void {
  sendJson(reply, { status: "ok" }, headers);
}

/** `/ready`: it takes requests. Turns false before the listener closes, so that a balancer goes elsewhere in time. */
export function ready(door: Door, reply: ServerResponse, headers: readonly string[]): void {
  const draining = door.inFlight.draining;
  sendJson(reply, { status: draining ? "draining" : "ready", inFlight: door.inFlight.count }, headers, draining ? 503 : 200);
}
