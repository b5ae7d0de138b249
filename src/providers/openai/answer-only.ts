import type { ChatBody, Message } from "../../model/request.ts";
import { without } from "./foreign.ts";

function isSaid(value: unknown): boolean {
  return value !== undefined && value !== null && !(Array.isArray(value) && value.length === 0);
}

/** What the conversation would lose: only their empty forms are left out, and the server says itself that it does not know the others. */
const meant = new Set(["audio", "function_call"]);

function hasWords({ content }: Message): boolean {
  return isSaid(content) && content !== "";
}

/** What the assistant said in words: a refusal too, where the server has no field for one. */
function spoken(message: Message, names: readonly string[]): Message {
  const { refusal } = message;
  return names.includes("refusal") && isSaid(refusal) && !hasWords(message) ? { ...message, content: refusal } : message;
}

/**
 * Messages without the fields that only answers have. Clients send an answer back as it came, and it may have come from a server that
 * thinks aloud, or through another one than the one that is asked now. Undefined where there is nothing to leave out.
 */
export function withoutAnswerOnly(
  names: readonly string[],
  { messages }: ChatBody,
): { readonly messages: readonly Message[]; readonly dropped: readonly string[] } | undefined {
  const written = messages.map((message) => {
    if (message.role !== "assistant") return message;
    const out = names.filter((name) => !meant.has(name) || !isSaid(message[name]));
    return without(spoken(message, names), out, ["tool_calls"]) as Message;
  });
  if (written.every((message, index) => message === messages[index])) return undefined;
  const assistants = messages.filter(({ role }) => role === "assistant");
  const isLost = (name: string) =>
    !meant.has(name) && assistants.some((message) => isSaid(message[name]) && (name !== "refusal" || hasWords(message)));
  return { messages: written, dropped: names.filter(isLost).map((name) => `messages[].${name}`) };
}
