import type { ServerResponse } from "node:http";
import type { Entry } from "../catalog/catalog.ts";
import type { Entered } from "./door.ts";
import { sendJson } from "./reply.ts";
import { unknownModel } from "./unknown-model.ts";

interface WireModel {
  readonly id: string;
  readonly object: "model";
  readonly created: number;
  readonly owned_by: string;
  /** The name that other gateways and their clients use for it. */
  readonly context_length?: number;
  readonly chorale: {
    readonly kind: string;
    readonly capabilities?: NonNullable<Entry["capabilities"]>;
  };
}

/** The process has no better date for a model than its own start. */
const created = Math.floor(Date.now() / 1000);

/** What clients know by the fields of the API, and what is known beyond that; they skip fields that they do not know. */
function wire({ name, kind, provider, capabilities = {} }: Entry): WireModel {
  const { contextLength } = capabilities;
  return {
    id: name,
    object: "model",
    created,
    owned_by: provider ?? "chorale",
    ...(contextLength === undefined ? {} : { context_length: contextLength }),
    chorale: { kind, ...(Object.keys(capabilities).length === 0 ? {} : { capabilities }) },
  };
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
  if (!entry || !entered.asker.mayUse(entry.name)) throw unknownModel(entered, id);
  sendJson(reply, { ...wire(entry), id }, entered.headers);
}
