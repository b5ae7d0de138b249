import { isObject, type Json } from "../openai/responses/json.ts";

/** Whose thoughts they are, in the `reasoning_details` of a chat message: a leaf takes back those of its own server only. */
const FORMAT = "anthropic-claude-v1";

/** A thought as the API has it: its text with a signature, or what only its own server can read. */
export type Thought =
  | { readonly type: "signed"; readonly text: string; readonly signature: string }
  | { readonly type: "redacted"; readonly data: string };

/** Thoughts of the client's, as a chat message carries them. */
export function detailsOf(thoughts: readonly Thought[]): readonly Json[] {
  return thoughts.map((thought, index) =>
    thought.type === "signed"
      ? { type: "reasoning.text", text: thought.text, signature: thought.signature, format: FORMAT, index }
      : { type: "reasoning.encrypted", data: thought.data, format: FORMAT, index },
  );
}

/** The thought in an entry of `reasoning_details`; undefined for what the API has no block for. */
export function thoughtOf(detail: unknown): Thought | undefined {
  if (!isObject(detail) || detail["format"] !== FORMAT) return undefined;
  const { type, text, signature, data } = detail;
  if (type === "reasoning.encrypted" && typeof data === "string") return { type: "redacted", data };
  if (type !== "reasoning.text" || typeof signature !== "string" || signature === "") return undefined;
  return { type: "signed", text: typeof text === "string" ? text : "", signature };
}
