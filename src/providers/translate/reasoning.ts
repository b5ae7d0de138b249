import { isRecord, isText, type Json } from "./json.ts";

/**
 * A thought as its server gave it, to be given back unchanged on the next turn. Between client and gateway it travels in the assistant
 * message's `reasoning_details`, which clients that keep it at all send back whole: `{type: "reasoning.text", text, signature, format, index}`
 * or `{type: "reasoning.encrypted", data, format, index}`, with a `place: {text, calls}` where the model had said something before.
 */
export type Thought = {
  /** Absent where the thought came before all else. */
  readonly place?: Place;
} & (
  | { readonly type: "text"; readonly text: string; readonly signature?: string }
  /** Nobody but its server can read it. */
  | { readonly type: "encrypted"; readonly data: string }
);

/** What a model had said when it thought: so many characters of its text, so many calls. */
export interface Place {
  readonly text: number;
  readonly calls: number;
}

/** The place behind what was said; none at the front. */
export function placedAfter(text: number, calls: number): { readonly place?: Place } {
  return text + calls > 0 ? { place: { text, calls } } : {};
}

/** The value of `reasoning_details`; `format` says whose thoughts they are, since only their own server takes them back. */
export function writeThoughts(thoughts: readonly Thought[], format: string): readonly Json[] {
  return thoughts.map((thought, index) =>
    thought.type === "text"
      ? {
          type: "reasoning.text",
          text: thought.text,
          ...(thought.signature === undefined ? {} : { signature: thought.signature }),
          format,
          index,
          ...placeField(thought),
        }
      : { type: "reasoning.encrypted", data: thought.data, format, index, ...placeField(thought) },
  );
}

function placeField({ place }: Thought): Json {
  return place ? { place } : {};
}

function readPlace(place: unknown): { readonly place?: Place } {
  const { text, calls } = isRecord(place) ? place : {};
  return typeof text === "number" && typeof calls === "number" ? placedAfter(text, calls) : {};
}

function fromDetail(detail: unknown, format: string): Thought | undefined {
  if (!isRecord(detail)) return undefined;
  const { type, text, signature, data, format: theirs, place } = detail;
  if (isText(theirs) && theirs !== format) return undefined;
  if (type === "reasoning.encrypted" && isText(data)) return { type: "encrypted", data, ...readPlace(place) };
  if (type !== "reasoning.text" || typeof text !== "string") return undefined;
  return { type: "text", text, ...(isText(signature) ? { signature } : {}), ...readPlace(place) };
}

/** The same thoughts under the other name in use, `thinking_blocks`: the blocks of the Messages API as they are. */
function fromBlock(block: unknown): Thought | undefined {
  if (!isRecord(block)) return undefined;
  const { type, thinking, signature, data } = block;
  if (type === "redacted_thinking" && isText(data)) return { type: "encrypted", data };
  if (type !== "thinking" || typeof thinking !== "string") return undefined;
  return { type: "text", text: thinking, ...(isText(signature) ? { signature } : {}) };
}

/** The thoughts of one format that an assistant message brings back. Thoughts of other servers are left out: nobody else can check them. */
export function readThoughts(message: Json, format: string): readonly Thought[] {
  const { reasoning_details: details, thinking_blocks: blocks } = message;
  const read = Array.isArray(details)
    ? details.map((detail) => fromDetail(detail, format))
    : Array.isArray(blocks)
      ? blocks.map(fromBlock)
      : [];
  return read.filter((thought) => thought !== undefined);
}
