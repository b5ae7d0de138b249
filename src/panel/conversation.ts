import type { Message } from "../model/request.ts";

function isTextPart(part: unknown): part is { readonly text: string } {
  return typeof part === "object" && part !== null && "text" in part && typeof part.text === "string";
}

/** The text of the last user message; empty when there is none. */
export function lastUserText(messages: readonly Message[]): string {
  const content = messages.findLast(({ role }) => role === "user")?.content;
  if (typeof content === "string") return content;
  return Array.isArray(content)
    ? content
        .filter(isTextPart)
        .map(({ text }) => text)
        .join("\n")
    : "";
}
