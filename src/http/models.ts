import type { ServerResponse } from "node:http";
import type { Entry } from "../catalog/catalog.ts";
import { GatewayError } from "../model/errors.ts";
import type { Entered } from "./door.ts";
import { sendJson } from "./reply.ts";

interface WireModel {
  readonly id: string;
  readonly object: "model";
  readonly created: number;
  readonly owned_by: string;
}

/** The process has no better date for a model than its own start. */
const created = Math.floor(Date.now() / 1000);

function wire(entry: Entry): WireModel {
  return { id: entry.name, object: "model", created, owned_by: entry.provider ?? "chorale" };
}

/** `GET /v1/models`: virtual models and listed leaves that the key may use. */
export function listModels(entered: Entered, reply: ServerResponse): void {
  const { catalog } = entered.served;
  const data = catalog.list().filter((entry) => entered.asker.mayUse(entry.name));
  sendJson(reply, { object: "list", data: data.map(wire) }, entered.headers);
}

/** `GET /v1/models/{id}`; the id may hold slashes, encoded or not. */
export function getModel(entered: Entered, reply: ServerResponse, id: string): void {
  const entry = entered.served.catalog.get(id);
  if (!entry || !entered.asker.mayUse(entry.name)) {
    throw new GatewayError("model_not_found", `The model '${id.slice(0, 200)}' does not exist.`, { param: "model" });
  }
  sendJson(reply, { ...wire(entry), id }, entered.headers);
}
