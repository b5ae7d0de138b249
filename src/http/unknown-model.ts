import { GatewayError } from "../model/errors.ts";
import type { Finding } from "./chat.ts";

/** Why a model is not to be had; it names only what this key may use. */
export function unknownModel({ served, asker }: Finding, model: string): GatewayError {
  const near = served.catalog.nearest(model, (name) => asker.mayUse(name));
  const hint = near.length > 0 ? ` Did you mean ${near.map((name) => `'${name}'`).join(" or ")}?` : " GET /v1/models lists what there is.";
  const message = `The model '${model.slice(0, 200)}' does not exist or your key may not use it.${hint}`;
  return new GatewayError("model_not_found", message, { param: "model" });
}
