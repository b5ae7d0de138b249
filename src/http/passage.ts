import type { Entry } from "../catalog/catalog.ts";
import type { Call } from "../model/call.ts";
import { complete } from "../model/complete.ts";
import { GatewayError } from "../model/errors.ts";
import type { Passage } from "../model/leaves.ts";
import type { Asked } from "./asked.ts";
import { rootCall } from "./asked.ts";
import { extensionOf } from "./extension.ts";
import { isObject } from "./openai/passage-body.ts";
import type { Passed } from "./openai/passed.ts";

/** Passes a body through to the leaf that was asked for; undefined where the leaf does not have the endpoint. Throws what the leaf throws. */
export async function passThrough(endpoint: Passage, { entry, request }: Asked, call: Call): Promise<Passed | undefined> {
  const model = entry.passage?.(endpoint);
  if (!model) return undefined;
  const result = await complete(model, request, rootCall(call, entry));
  if (!result.ok) throw result.error;
  const { bytes, extra } = result.completion;
  const answer = extra?.["answer"];
  if (!bytes || !isObject(answer)) throw badAnswer(entry.name, "an answer that is no object");
  return { bytes, answer };
}

/** What an upstream sent instead of what it should. */
export function badAnswer(upstream: string, what: string): GatewayError {
  return new GatewayError("upstream_protocol", `${upstream} sent ${what}.`, { upstream });
}

/** The model exists, and does not do this. */
export function noEndpoint({ name, kind }: Entry, path: string): GatewayError {
  const why = kind === "leaf" ? "does not have it" : `is a virtual model of kind ${kind}, and only upstream models have it`;
  return new GatewayError("model_not_found", `'${name.slice(0, 200)}' can not be asked at ${path}: it ${why}.`, { param: "model" });
}

/** What the request wants to know of its own way; undefined when nothing. */
export function exposed({ narrowing: { expose } }: Asked, call: Call): unknown {
  return expose === "none" ? undefined : extensionOf(call, expose, call.clock.now());
}
