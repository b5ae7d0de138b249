import type { ServerResponse } from "node:http";
import type { Aborter } from "../model/abort.ts";
import { GatewayError } from "../model/errors.ts";

/**
 * Aborts a controller when the client leaves before its answer is complete. Listens to the response: the request's own `close` comes as soon as
 * the body was read, and so does Fastify's `request.signal`.
 */
export function onHangUp(raw: ServerResponse, controller: Aborter): void {
  const left = () => {
    if (!raw.writableEnded) controller.abort(new GatewayError("client_closed", "The client closed the connection."));
  };
  if (raw.destroyed) left();
  // It goes with the response: when that has ended, nobody has left.
  raw.on("close", left);
}
