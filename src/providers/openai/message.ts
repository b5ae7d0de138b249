import type { FinishReason } from "../../model/events.ts";

/** A JSON object that is being made canonical. It was parsed for this and belongs to nobody else, so it is changed in place. */
export type Draft = Record<string, unknown>;

export function isDraft(value: unknown): value is Draft {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

const standard = new Set<unknown>(["stop", "length", "tool_calls", "content_filter", "function_call"]);
const meant: Readonly<Record<string, FinishReason>> = {
  max_tokens: "length",
  model_length: "length",
  tool_use: "tool_calls",
  tool_call: "tool_calls",
  safety: "content_filter",
  refusal: "content_filter",
};

/** A finish reason as one of the five. An unknown word of a server (`eos`, `end_turn`, `stop_sequence`) is a stop. */
export function finishReason(value: unknown): FinishReason {
  if (standard.has(value)) return value as FinishReason;
  return (typeof value === "string" && Object.hasOwn(meant, value) ? meant[value] : undefined) ?? "stop";
}

/** True when a choice says that it has ended. An empty string is not yet an end. */
export function saysFinished(value: unknown): boolean {
  return value !== null && value !== undefined && value !== "";
}

function partText(part: unknown): string {
  if (typeof part === "string") return part;
  if (!isDraft(part)) return "";
  return typeof part["text"] === "string" ? part["text"] : "";
}

function thinkingText(part: unknown): string {
  if (!isDraft(part) || part["type"] !== "thinking") return "";
  const { thinking } = part;
  return Array.isArray(thinking) ? thinking.map(partText).join("") : typeof thinking === "string" ? thinking : "";
}

/** Content as an array of parts becomes one string; its thinking parts become reasoning. */
function flattenContent(message: Draft): boolean {
  const { content } = message;
  if (!Array.isArray(content)) return false;
  const thinking = content.map(thinkingText).join("");
  message["content"] = content.map((part) => (isDraft(part) && part["type"] === "thinking" ? "" : partText(part))).join("");
  if (thinking !== "") message["reasoning_content"] = thinking;
  if (thinking !== "" && message["content"] === "") delete message["content"];
  return true;
}

/** `reasoning`, the name that several servers use, becomes `reasoning_content`. */
function nameReasoning(message: Draft): boolean {
  const { reasoning } = message;
  if (typeof reasoning !== "string") return false;
  if (typeof message["reasoning_content"] !== "string") message["reasoning_content"] = reasoning;
  delete message["reasoning"];
  return true;
}

const textFields = ["content", "reasoning_content", "refusal"] as const;

/** A number or an object where text belongs says nothing that a client could read, and makes it fail. */
function dropOtherThanText(message: Draft): boolean {
  let odd = false;
  for (const field of textFields) {
    const value = message[field];
    if (value === undefined || value === null || typeof value === "string") continue;
    delete message[field];
    odd = true;
  }
  return odd;
}

/** Makes the text side of a message or delta canonical; true when it had to change something. */
export function canonicalText(message: Draft): boolean {
  const flattened = flattenContent(message);
  const named = nameReasoning(message);
  return dropOtherThanText(message) || named || flattened;
}
