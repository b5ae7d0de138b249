import type { Identity } from "../../model/call.ts";
import type { Completion } from "../../model/completion.ts";
import { closingQuote, scanJsonObject, skipSpace } from "../../model/json-scan.ts";
import { latin1Json, latin1Quoted } from "../../model/latin1.ts";
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

/** The choices in JSON, latin1. Those that are known as text are put together as they came. */
function choicesJson(completion: Completion): string {
  const { unread } = completion;
  if (unread) return `[${unread.map((rest, index) => `{"index":${index}${rest}`).join(",")}]`;
  return latin1Json(
    completion.choices.map(({ index, message, finishReason, logprobs, extra }) => ({
      index,
      message,
      logprobs: logprobs ?? null,
      finish_reason: finishReason,
      ...extra,
    })),
  );
}

function rendered(completion: Completion, rendering: Rendering): string {
  const { identity, usage, extension } = rendering;
  const { id, created, model } = identity;
  const total = usage ?? completion.usage;
  const rest = latin1Json({
    ...(total ? { usage: wireUsage(total) } : {}),
    ...completion.extra,
    ...(extension === undefined ? {} : { chorale: extension }),
  });
  const identified = `{"id":${latin1Quoted(id)},"object":"chat.completion","created":${created},"model":${latin1Quoted(model)}`;
  return `${identified},"choices":${choicesJson(completion)}${rest === "{}" ? "}" : `,${rest.slice(1)}`}`;
}

/** Where a top-level value stands in the text of an answer. */
type Place = readonly [key: string, from: number, to: number];

const HEAD = 400;
/** In the order in which most servers write them. */
const identityKeys = ["id", "created", "model"] as const;

/** Where a value ends that begins at `from`, or behind white space there; no further than `from` where the text does not say. */
function valueEnd(text: string, from: number): number {
  const start = skipSpace(text, from);
  return text.charCodeAt(start) === 34 ? closingQuote(text, start + 1) + 1 : text.indexOf(",", start);
}

/** Where the choices begin, when that is early and nothing before them nests; -1 otherwise. */
function flatHead(text: string): number {
  const choices = text.indexOf('"choices":[');
  if (choices < 0 || choices > HEAD) return -1;
  const nested = text.indexOf("{", 1);
  return (nested < 0 || nested > choices) && text.indexOf("[") > choices ? choices : -1;
}

/**
 * The places of identity when all of it stands in a flat head before the choices, as most servers write it. A quote inside a JSON string is
 * escaped, so the needle `"id":` is a key. Undefined sends the answer the long way.
 */
function headPlaces(text: string): readonly Place[] | undefined {
  const choices = flatHead(text);
  const places: Place[] = [];
  for (const key of identityKeys) {
    const needle = `"${key}":`;
    const at = text.indexOf(needle);
    const from = at + needle.length;
    const to = valueEnd(text, from);
    if (at < 0 || to <= from || to > choices) return undefined;
    places.push([key, from, to]);
  }
  return places.sort(([, a], [, b]) => a - b);
}

/** The common answer with a new identity: a small one, whose identity stands in a flat head in the usual order. Makes nothing but its text. */
function renamed(text: string, { id, model, created }: Identity): string | undefined {
  const choices = flatHead(text);
  const idKey = text.indexOf('"id":');
  const idEnd = valueEnd(text, idKey + 5);
  const createdKey = text.indexOf('"created":', idEnd);
  const createdEnd = valueEnd(text, createdKey + 10);
  const modelKey = text.indexOf('"model":', createdEnd);
  const modelEnd = valueEnd(text, modelKey + 8);
  const isUsual =
    idKey > 0 && idEnd > idKey + 5 && createdKey > 0 && createdEnd > createdKey + 10 && modelKey > 0 && modelEnd > modelKey + 8;
  if (!isUsual || modelEnd > choices) return undefined;
  const upToCreated = text.slice(0, idKey + 5) + latin1Quoted(id) + text.slice(idEnd, createdKey + 10);
  return upToCreated + String(created) + text.slice(createdEnd, modelKey + 8) + latin1Quoted(model) + text.slice(modelEnd);
}

/** The places of identity and usage anywhere at the top level; undefined when a key stands twice. */
function scannedPlaces(text: string): readonly Place[] | undefined {
  const { spans, keys } = scanJsonObject(text);
  if (keys !== spans.size) return undefined;
  return [...spans].map(([key, [, from, to]]) => [key, from, to] as const);
}

/** The upstream's own bytes with identity, and usage where it is a sum, replaced in place; undefined when they can not be. */
function spliced(completion: Completion, rendering: Rendering): Pieces | undefined {
  const { bytes } = completion;
  if (!bytes) return undefined;
  const { identity, usage, summed, extension } = rendering;
  const text = completion.latin1 ?? bytes.toString("latin1");
  const sums = summed && usage !== undefined;
  if (bytes.length < JOIN_BELOW && !sums && extension === undefined) {
    const whole = renamed(text, identity);
    if (whole !== undefined) return [whole];
  }
  const places = (sums ? undefined : headPlaces(text)) ?? scannedPlaces(text);
  if (!places) return undefined;
  const puts: Record<string, string> = {
    id: latin1Json(identity.id),
    model: latin1Json(identity.model),
    created: String(identity.created),
  };
  if (sums) puts["usage"] = latin1Json(wireUsage(usage));
  const pieces: (string | Buffer)[] = [];
  const small = bytes.length < JOIN_BELOW;
  const open = text.indexOf("{") + 1;
  let head = text.slice(0, open);
  if (extension !== undefined) head += `"chorale":${latin1Json(extension)},`;
  for (const key in puts) if (!places.some(([known]) => known === key)) head += `"${key}":${puts[key]},`;
  let at = open;
  for (const [key, from, to] of places) {
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
  return spliced(completion, rendering) ?? [rendered(completion, rendering)];
}
