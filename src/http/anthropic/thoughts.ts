import { isObject, type Json } from "../openai/responses/json.ts";

/** Whose thoughts they are, in the `reasoning_details` of a chat message: a leaf takes back those of its own server only. */
const FORMAT = "anthropic-claude-v1";

/** A thought as the API has it: its text with a signature, or what only its own server can read. */
export type Thought =
  | { readonly type: "signed"; readonly text: string; readonly signature: string }
  | { readonly type: "redacted"; readonly data: string };

/** What stands before a thought: so many characters of the message's text, so many of its calls. */
export interface Place {
  readonly text: number;
  readonly calls: number;
}

/**
 * Thoughts of the client's, as a chat message carries them. It has one text and one list of calls, so a thought that came later says after what;
 * their server takes thoughts back only in their order.
 */
export function detailsOf(thoughts: readonly (Thought & { readonly place: Place })[]): readonly Json[] {
  return thoughts.map((thought, index) => {
    const { place } = thought;
    const placed = { format: FORMAT, index, ...(place.text + place.calls > 0 ? { place } : {}) };
    return thought.type === "signed"
      ? { type: "reasoning.text", text: thought.text, signature: thought.signature, ...placed }
      : { type: "reasoning.encrypted", data: thought.data, ...placed };
  });
}

/** The place of an entry of `reasoning_details`; the beginning where it tells none. */
export function placeOf(detail: unknown): Place {
  const place = isObject(detail) ? detail["place"] : undefined;
  const { text, calls } = isObject(place) ? place : {};
  return typeof text === "number" && typeof calls === "number" ? { text, calls } : { text: 0, calls: 0 };
}

/** The thought in an entry of `reasoning_details`; undefined for what the API has no block for. */
export function thoughtOf(detail: unknown): Thought | undefined {
  if (!isObject(detail) || detail["format"] !== FORMAT) return undefined;
  const { type, text, signature, data } = detail;
  if (type === "reasoning.encrypted" && typeof data === "string") return { type: "redacted", data };
  if (type !== "reasoning.text" || typeof signature !== "string" || signature === "") return undefined;
  return { type: "signed", text: typeof text === "string" ? text : "", signature };
}
