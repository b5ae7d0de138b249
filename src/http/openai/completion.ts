import type { Identity } from "../../model/call.ts";
import type { Completion } from "../../model/completion.ts";
import { scanJsonObject } from "../../model/json-scan.ts";
import type { Usage } from "../../model/usage.ts";
import { wireUsage } from "./usage.ts";

export interface Rendering {
  readonly identity: Identity;
  /** The sum over all legs; replaces the answer's own when there were several. */
  readonly usage: Usage | undefined;
  /** More than the answer's own leg was billed. */
  readonly summed: boolean;
  /** The `chorale` field, when it was asked for. */
  readonly extension: unknown;
}

/** Pieces of a body, in order; what an upstream sent stays its own Buffer. */
export type Pieces = readonly (string | Buffer)[];

/** Below this a body is joined to one string: one write. Above, long strings cost more than two writes. */
const JOIN_BELOW = 4096;

function rendered(completion: Completion, rendering: Rendering): string {
  const { identity, usage, extension } = rendering;
  const { id, created, model } = identity;
  const total = usage ?? completion.usage;
  return JSON.stringify({
    id,
    object: "chat.completion",
    created,
    model,
    choices: completion.choices.map(({ index, message, finishReason, logprobs, extra }) => ({
      index,
      message,
      logprobs: logprobs ?? null,
      finish_reason: finishReason,
      ...extra,
    })),
    ...(total ? { usage: wireUsage(total) } : {}),
    ...completion.extra,
    ...(extension === undefined ? {} : { chorale: extension }),
  });
}

const ascii = /^[\x20-\x7e]*$/;

function latin1(value: unknown): string {
  const json = JSON.stringify(value);
  return ascii.test(json) ? json : Buffer.from(json, "utf8").toString("latin1");
}

/** The upstream's own bytes with identity, and usage where it is a sum, replaced in place. All but the ends stays its Buffer. */
function spliced(bytes: Buffer, rendering: Rendering): Pieces {
  const { identity, usage, summed, extension } = rendering;
  const text = bytes.toString("latin1");
  const { spans } = scanJsonObject(text);
  const puts: Record<string, string> = { id: latin1(identity.id), model: latin1(identity.model), created: String(identity.created) };
  if (summed && usage) puts["usage"] = latin1(wireUsage(usage));
  const pieces: (string | Buffer)[] = [];
  const small = bytes.length < JOIN_BELOW;
  const open = text.indexOf("{") + 1;
  let head = text.slice(0, open);
  if (extension !== undefined) head += `"chorale":${latin1(extension)},`;
  for (const [key, put] of Object.entries(puts)) if (!spans.has(key)) head += `"${key}":${put},`;
  let at = open;
  for (const [key, [, from, to]] of spans) {
    const put = puts[key];
    if (put === undefined) continue;
    if (small || from - at < JOIN_BELOW) head += text.slice(at, from) + put;
    else {
      pieces.push(head, bytes.subarray(at, from));
      head = put;
    }
    at = to;
  }
  if (small || text.length - at < JOIN_BELOW) pieces.push(head + text.slice(at));
  else pieces.push(head, bytes.subarray(at));
  return pieces;
}

/** Writes a whole answer. Strings among the pieces are latin1: one character is one byte. */
export function completionPieces(completion: Completion, rendering: Rendering): Pieces {
  if (completion.bytes) return spliced(completion.bytes, rendering);
  return [Buffer.from(rendered(completion, rendering), "utf8").toString("latin1")];
}
