import type { ChatBody, Message } from "../../model/request.ts";

/**
 * What a route decides on: the conversation up to and with one message of the user, never what came after it. The turns of an agent's loop
 * follow one message of the user, so they all see the same and go the same way.
 */
export interface RouteView {
  readonly messages: readonly Message[];
  /** Text of the message that decides. */
  readonly text: string;
}

/** `turn` reads up to the last message of the user, `conversation` up to the first. */
export type Reach = "turn" | "conversation";

type Part = Readonly<Record<string, unknown>>;

function partsOf({ content }: Message): readonly Part[] {
  if (typeof content === "string") return [{ type: "text", text: content }];
  return Array.isArray(content) ? content.filter((part): part is Part => typeof part === "object" && part !== null) : [];
}

function textOf(message: Message): string {
  return partsOf(message)
    .flatMap(({ text }) => (typeof text === "string" ? [text] : []))
    .join("\n");
}

/** A request without a message of the user is seen whole, and has no text. */
export function viewOf({ messages }: ChatBody, reach: Reach): RouteView {
  const isUser = ({ role }: Message) => role === "user";
  const at = reach === "turn" ? messages.findLastIndex(isUser) : messages.findIndex(isUser);
  const message = messages[at];
  return message ? { messages: messages.slice(0, at + 1), text: textOf(message) } : { messages, text: "" };
}

/** Characters of one token, roughly: more in scripts with an alphabet, one where each sign is a word or a syllable. */
const LETTERS = 4;
const DENSE = /[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff]/g;
/** What messages cost beside their text, and what an image counts at the usual size. */
const MESSAGE = 4;
const IMAGE = 765;

function isImage({ type }: Part): boolean {
  return type === "image_url" || type === "input_image" || type === "image";
}

/** Tokens of some messages, estimated: nobody is asked. Tool calls count by their JSON, an image by its usual price. */
export function estimatedTokens(messages: readonly Message[]): number {
  let tokens = 0;
  for (const message of messages) {
    const calls = message["tool_calls"];
    const text = textOf(message) + (calls === undefined ? "" : JSON.stringify(calls));
    const dense = text.match(DENSE)?.length ?? 0;
    tokens += MESSAGE + dense + Math.ceil((text.length - dense) / LETTERS) + IMAGE * partsOf(message).filter(isImage).length;
  }
  return tokens;
}

export function hasImages(messages: readonly Message[]): boolean {
  return messages.some((message) => partsOf(message).some(isImage));
}
