import type { Message } from "../../model/request.ts";

type Part = Readonly<Record<string, unknown>>;

function partsOf({ role, content }: Message): readonly Part[] {
  return role === "tool" && Array.isArray(content) ? (content as readonly Part[]) : [];
}

const isText = ({ type }: Part) => type === "text";

/** A result with what stands elsewhere now: a tool message has to say something. */
function textOnly(message: Message): Message {
  const texts = partsOf(message).filter(isText);
  return { ...message, content: texts.length > 0 ? texts : "The result is in the message of the user below." };
}

/** The images and files of some results, as a user may send them, each with the call that it answers. */
function shown(results: readonly Message[]): Message {
  const content = results.flatMap((message) => {
    const parts = partsOf(message).filter((part) => !isText(part));
    return parts.length === 0 ? [] : [{ type: "text", text: `From the result of ${String(message["tool_call_id"])}:` }, ...parts];
  });
  return { role: "user", content };
}

/**
 * Messages whose tool results are text only: their images stand in a message of the user behind the results of the same turn. The official API
 * takes images from users alone, and agents send screenshots as results. Undefined where there are none.
 */
export function withoutToolImages(messages: readonly Message[]): readonly Message[] | undefined {
  const isSeen = (message: Message) => partsOf(message).some((part) => !isText(part));
  if (!messages.some(isSeen)) return undefined;
  const out: Message[] = [];
  let seen: Message[] = [];
  for (const [place, message] of messages.entries()) {
    out.push(isSeen(message) ? textOnly(message) : message);
    if (isSeen(message)) seen.push(message);
    const isLast = messages[place + 1]?.role !== "tool";
    if (!isLast || seen.length === 0) continue;
    out.push(shown(seen));
    seen = [];
  }
  return out;
}
