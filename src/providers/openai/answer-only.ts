import type { ChatBody, Message } from "../../model/request.ts";
import { cleaned } from "./foreign.ts";

function isSaid(value: unknown): boolean {
  return value !== undefined && value !== null && !(Array.isArray(value) && value.length === 0);
}

/** What the conversation would lose: only their empty forms are left out, and the server says itself that it does not know the others. */
const meant = new Set(["audio", "function_call"]);

/** What the assistant said in words: a refusal too, where the server has no field for one. */
function spoken(message: Message, names: readonly string[]): Message {
  const { refusal, content } = message;
  return names.includes("refusal") && isSaid(refusal) && !(isSaid(content) && content !== "") ? { ...message, content: refusal } : message;
}

/**
 * Messages without the fields that only answers have. Clients send an answer back as it came, and it may have come from a server that
 * thinks aloud, or through another one than the one that is asked now. Undefined where there is nothing to leave out.
 */
export function withoutAnswerOnly(
  names: readonly string[],
  { messages }: ChatBody,
): { readonly messages: readonly Message[]; readonly dropped: readonly string[] } | undefined {
  const said = messages.map((message) => (message.role === "assistant" ? spoken(message, names) : message));
  const written = said.map((message) => {
    if (message.role !== "assistant") return message;
    const out = names.filter((name) => !meant.has(name) || !isSaid(message[name]));
    const [clean = message] = cleaned([message], out, ["tool_calls"]) ?? [];
    return clean as Message;
  });
  if (written.every((message, index) => message === messages[index])) return undefined;
  const assistants = messages.filter(({ role }) => role === "assistant");
  const isTold = (message: Message) => !isSaid(message.content) || message.content === "";
  const isLost = (name: string) =>
    !meant.has(name) && assistants.some((message) => isSaid(message[name]) && !(name === "refusal" && isTold(message)));
  return { messages: written, dropped: names.filter(isLost).map((name) => `messages[].${name}`) };
}
