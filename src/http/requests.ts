import type { ServerResponse } from "node:http";
import { GatewayError } from "../model/errors.ts";
import type { Door, Entered } from "./door.ts";
import { sendJsonText } from "./reply.ts";

/** `GET /v1/chorale/requests/{id}`: why a request was answered as it was, for the key that made it. */
export async function getRequest(door: Door, entered: Entered, reply: ServerResponse, id: string): Promise<void> {
  const record = await door.store.getRequest(entered.asker.name, id, door.clock.wall());
  if (!record) throw new GatewayError("request_not_found", `There is no request '${id.slice(0, 100)}' of this key, or it is too old.`);
  sendJsonText(reply, record.body.json(), entered.headers);
}
