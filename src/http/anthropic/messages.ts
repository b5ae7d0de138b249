import type { Message } from "../../model/request.ts";
import { unseal, type Carried } from "../openai/responses/carry.ts";
import { invalid, isObject, quoted, unsupported, type Json } from "../openai/responses/json.ts";
import { isGiven } from "./fields.ts";
import { contentOf, hintOf, partsOf, textAt, textContentOf } from "./parts.ts";
import { elementsOf, memberOf } from "./raw.ts";
import { detailsOf, type Place, type Thought } from "./thoughts.ts";

/** A block of a turn, where the client finds it, and its own text: what a call was given is taken from there, digit by digit. */
interface Placed {
  readonly block: unknown;
  readonly at: string;
  readonly raw: () => string | undefined;
}

/** Messages of one role without another between them are one turn. */
interface Turn {
  readonly role: "user" | "assistant" | "system";
  readonly at: string;
  readonly blocks: Placed[];
}

const roles = new Set<unknown>(["user", "assistant", "system"]);

/** The texts of the messages' blocks, looked for only where one is needed. `text` is latin1. */
function rawBlocks(text: string): (message: number, block: number) => string | undefined {
  let messages: readonly string[] | undefined;
  const blocks = new Map<number, readonly string[]>();
  return (message, block) => {
    messages ??= elementsOf(text);
    let found = blocks.get(message);
    if (!found) {
      found = elementsOf(memberOf(messages[message] ?? "", "content") ?? "");
      blocks.set(message, found);
    }
    return found[block];
  };
}

function turnsOf(messages: unknown, text: string): readonly Turn[] {
  if (!isGiven(messages)) invalid("messages", "it is required");
  if (!Array.isArray(messages)) invalid("messages", "expected an array");
  if (messages.length === 0) invalid("messages", "expected at least one message");
  const raw = rawBlocks(text);
  const turns: Turn[] = [];
  for (const [index, message] of messages.entries()) {
    const at = `messages[${index}]`;
    if (!isObject(message)) invalid(at, "expected an object");
    const { role, content } = message;
    if (!roles.has(role)) invalid(`${at}.role`, "expected one of user, assistant, system");
    const last = turns.at(-1);
    const turn: Turn = last && last.role === role ? last : { role: role as Turn["role"], at, blocks: [] };
    if (turn !== last) turns.push(turn);
    if (typeof content === "string")
      turn.blocks.push({ block: { type: "text", text: content }, at: `${at}.content`, raw: () => undefined });
    else if (Array.isArray(content)) {
      for (const [place, block] of content.entries())
        turn.blocks.push({ block, at: `${at}.content[${place}]`, raw: () => raw(index, place) });
    } else invalid(`${at}.content`, "expected a string or an array of blocks");
  }
  return turns;
}

function idAt(value: unknown, at: string): string {
  return typeof value === "string" && value !== "" ? value : invalid(at, "it is required");
}

function callOf(block: Json, { at, raw }: Placed): Json {
  const { name, input, toolset_name: toolset } = block;
  if (isGiven(toolset)) unsupported(`${at}.toolset_name`, "there are no toolsets here");
  if (!isObject(input)) invalid(`${at}.input`, "expected an object");
  const text = memberOf(raw() ?? "", "input");
  return {
    id: idAt(block["id"], `${at}.id`),
    type: "function",
    function: {
      name: idAt(name, `${at}.name`),
      arguments: text === undefined ? JSON.stringify(input) : Buffer.from(text, "latin1").toString("utf8"),
    },
    ...hintOf(block, at),
  };
}

/** A text of the assistant's with the sources that it stands on. */
function citedParts(block: Json, at: string): readonly Json[] {
  const { citations } = block;
  if (isGiven(citations) && !Array.isArray(citations)) invalid(`${at}.citations`, "expected an array");
  const isCited = Array.isArray(citations) && citations.length > 0;
  return partsOf(block, at).map((part) => (isCited ? { ...part, citations: citations as unknown } : part));
}

/** What an assistant's turn says, while its blocks are read. */
class Said {
  readonly parts: Json[] = [];
  readonly calls: Json[] = [];
  readonly thoughts: (Thought & { readonly place: Place })[] = [];
  readonly carried: Carried[] = [];
  reasoning = "";
  /** Of the text. */
  #length = 0;

  add(placed: Placed): void {
    const { block, at } = placed;
    const type = isObject(block) ? block["type"] : undefined;
    if (isObject(block) && type === "tool_use") this.calls.push(callOf(block, placed));
    else if (isObject(block) && type === "thinking") this.#thinking(block, at);
    else if (isObject(block) && type === "redacted_thinking") this.#redacted(textAt(block["data"], `${at}.data`));
    else if (isObject(block) && type === "text") this.#say(citedParts(block, at));
    else if (typeof type === "string") unsupported(`${at}.type`, `blocks of type ${quoted(type)} can not be sent as the assistant's here`);
    else invalid(`${at}.type`, "expected a string");
  }

  #thinking(block: Json, at: string): void {
    const { signature } = block;
    const text = textAt(block["thinking"], `${at}.thinking`);
    this.reasoning += text;
    if (isGiven(signature) && textAt(signature, `${at}.signature`) !== "")
      this.thoughts.push({ type: "signed", text, signature: signature as string, place: this.#place });
  }

  #redacted(data: string): void {
    const carried = unseal(data);
    if (carried) this.carried.push(carried);
    else this.thoughts.push({ type: "redacted", data, place: this.#place });
  }

  get #place(): Place {
    return { text: this.#length, calls: this.calls.length };
  }

  #say(parts: readonly Json[]): void {
    this.parts.push(...parts);
    for (const { text } of parts) if (typeof text === "string") this.#length += text.length;
  }

  /** The chat message; undefined when the turn says nothing. */
  get message(): Message | undefined {
    const { parts, thoughts, reasoning } = this;
    if (parts.length + this.calls.length === 0) return undefined;
    const carried = Object.assign({}, ...this.carried.map(({ message }) => message)) as Json;
    const theirs = carried["reasoning_details"];
    const details = [...detailsOf(thoughts), ...(Array.isArray(theirs) ? (theirs as readonly unknown[]) : [])];
    const more = new Map(this.carried.flatMap(({ calls }) => Object.entries(calls ?? {})));
    const calls = this.calls.map((call) => ({ ...more.get(String(call["id"])), ...call }));
    return {
      ...carried,
      role: "assistant",
      content: parts.length === 0 ? null : contentOf(parts),
      ...(reasoning === "" ? {} : { reasoning_content: reasoning }),
      ...(details.length === 0 ? {} : { reasoning_details: details }),
      ...(calls.length === 0 ? {} : { tool_calls: calls }),
    };
  }
}

function resultOf(block: Json, at: string): Message {
  const { content, is_error: failed } = block;
  if (isGiven(failed) && typeof failed !== "boolean") invalid(`${at}.is_error`, "expected a boolean");
  if (isGiven(content) && typeof content !== "string" && !Array.isArray(content))
    invalid(`${at}.content`, "expected a string or an array of blocks");
  const blocks: readonly unknown[] = Array.isArray(content) ? content : [];
  const said = typeof content === "string" ? content : contentOf(blocks.flatMap((part, index) => partsOf(part, `${at}.content[${index}]`)));
  return {
    role: "tool",
    tool_call_id: block["tool_use_id"],
    content: said,
    ...(failed === true ? { is_error: true } : {}),
    ...hintOf(block, at),
  };
}

/** Makes chat messages of turns: the results of calls follow them at once, as both APIs demand, and the user's own words come after. */
class Conversation {
  readonly messages: Message[] = [];
  /** Calls that wait for their results. */
  #open = new Set<string>();
  #openAt = "";

  add(turn: Turn): void {
    if (turn.role === "system") this.#system(turn);
    else if (turn.role === "user") this.#user(turn);
    else this.#assistant(turn);
  }

  end(): void {
    if (this.#open.size > 0) invalid(this.#openAt, `its tool_use blocks have no tool_result: ${[...this.#open].map(quoted).join(", ")}`);
  }

  #system({ at, blocks }: Turn): void {
    this.end();
    const content = textContentOf(
      blocks.map(({ block }) => block),
      `${at}.content`,
    );
    if (content !== "") this.messages.push({ role: "system", content });
  }

  #user({ blocks, at }: Turn): void {
    const results: Message[] = [];
    const parts: Json[] = [];
    for (const { block, at } of blocks) {
      if (!isObject(block) || block["type"] !== "tool_result") {
        parts.push(...partsOf(block, at));
        continue;
      }
      const id = idAt(block["tool_use_id"], `${at}.tool_use_id`);
      if (!this.#open.delete(id)) invalid(`${at}.tool_use_id`, `no tool_use block before it has the id ${quoted(id)}`);
      results.push(resultOf(block, at));
    }
    this.end();
    if (results.length + parts.length === 0) invalid(`${at}.content`, "expected at least one block");
    this.messages.push(...results);
    if (parts.length > 0) this.messages.push({ role: "user", content: contentOf(parts) });
  }

  #assistant({ at, blocks }: Turn): void {
    this.end();
    const said = new Said();
    for (const placed of blocks) said.add(placed);
    this.#open = new Set(said.calls.map(({ id }) => String(id)));
    this.#openAt = at;
    if (this.#open.size < said.calls.length) invalid(at, "two of its tool_use blocks have the same id");
    if (said.message) this.messages.push(said.message);
  }
}

/** The chat that some messages are. `text` is their JSON, latin1. Throws an error that names the block. */
export function messagesOf(messages: unknown, text: string): readonly Message[] {
  const conversation = new Conversation();
  for (const turn of turnsOf(messages, text)) conversation.add(turn);
  conversation.end();
  return conversation.messages;
}
