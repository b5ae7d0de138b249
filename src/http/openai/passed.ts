import { scanJsonObject } from "../../model/json-scan.ts";
import { latin1Json } from "../../model/latin1.ts";
import type { Pieces } from "./completion.ts";
import type { Json } from "./passage-body.ts";

export interface Passed {
  readonly bytes: Buffer;
  readonly answer: Json;
}

/**
 * A server's own bytes under the name that the client asked for, with the extension where it is wanted. Written anew where a key stands twice or
 * the model has no place. Strings among the pieces are latin1.
 */
export function passedPieces({ bytes, answer }: Passed, model: string, extension: unknown): Pieces {
  const extended = extension === undefined ? {} : { chorale: extension };
  const text = bytes.toString("latin1");
  const { spans, duplicate } = scanJsonObject(text);
  const place = spans.get("model");
  if (duplicate !== undefined || !place || spans.has("chorale")) return [latin1Json({ ...answer, model, ...extended })];
  const [, from, to] = place;
  const open = text.indexOf("{") + 1;
  const head = extension === undefined ? "" : `"chorale":${latin1Json(extension)},`;
  return [text.slice(0, open) + head + text.slice(open, from) + latin1Json(model), bytes.subarray(to)];
}
