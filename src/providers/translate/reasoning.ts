import { isRecord, isText, type Json } from "./json.ts";

/**
 * A thought as its server gave it, to be given back unchanged on the next turn. Between client and gateway it travels in the assistant
 * message's `reasoning_details`, which clients that keep it at all send back whole: `{type: "reasoning.text", text, signature, format, index}`
 * or `{type: "reasoning.encrypted", data, format, index}`.
 */
export type Thought =
  | { readonly type: "text"; readonly text: string; readonly signature?: string }
  /** Nobody but its server can read it. */
  | { readonly type: "encrypted"; readonly data: string };

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
        }
      : { type: "reasoning.encrypted", data: thought.data, format, index },
  );
}

function fromDetail(detail: unknown, format: string): Thought | undefined {
  if (!isRecord(detail)) return undefined;
  const { type, text, signature, data, format: theirs } = detail;
  if (isText(theirs) && theirs !== format) return undefined;
  if (type === "reasoning.encrypted" && isText(data)) return { type: "encrypted", data };
  if (type !== "reasoning.text" || typeof text !== "string") return undefined;
  return { type: "text", text, ...(isText(signature) ? { signature } : {}) };
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
