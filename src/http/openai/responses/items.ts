import type { Message } from "../../../model/request.ts";
import { unseal } from "./carry.ts";
import { invalid, isObject, quoted, unsupported, type Json } from "./json.ts";
import { contentOf, partsOf } from "./parts.ts";

/** An item and where the client finds it, for errors. */
export interface Placed {
  readonly item: Json;
  readonly at: string;
}

/** One assistant turn while its items come. */
interface Turn {
  readonly parts: Json[];
  readonly calls: { readonly id: string; readonly at: number; readonly call: Json }[];
  reasoning: string;
  fields: Json;
  callFields: Readonly<Record<string, Json>>;
}

const outputs = new Set<unknown>(["function_call_output", "custom_tool_call_output"]);

/** What kind of item this is; two may leave their type out. */
export function typeOf(item: Json): unknown {
  if (item["type"] !== undefined && item["type"] !== null) return item["type"];
  if (item["role"] !== undefined) return "message";
  return typeof item["id"] === "string" ? "item_reference" : undefined;
}

function textOf(parts: unknown, at: string): string {
  if (parts === undefined || parts === null) return "";
  return partsOf(parts, at)
    .map((part) => (typeof part["text"] === "string" ? part["text"] : ""))
    .join("\n\n");
}

/**
 * Makes chat messages of items. Reasoning, text and calls of one turn become one assistant message, and the outputs of its calls follow it at
 * once, as a chat demands, wherever they stand among the items.
 */
class Conversation {
  readonly messages: Message[] = [];
  readonly #items: readonly Placed[];
  readonly #warn: (warning: string) => void;
  /** Outputs by the call that they answer; an id may come again in a later turn. */
  readonly #waiting = new Map<string, number[]>();
  readonly #answered = new Set<number>();
  #turn: Turn | undefined;

  constructor(items: readonly Placed[], warn: (warning: string) => void) {
    this.#items = items;
    this.#warn = warn;
    for (const [index, { item, at }] of items.entries()) {
      if (!outputs.has(item["type"])) continue;
      const id = idOf(item, at);
      this.#waiting.set(id, [...(this.#waiting.get(id) ?? []), index]);
    }
  }

  read(): void {
    for (const [index, placed] of this.#items.entries()) this.#item(placed, index);
    this.#close();
  }

  #item({ item, at }: Placed, index: number): void {
    const type = typeOf(item);
    switch (type) {
      case "message":
        this.#message(item, at);
        return;
      case "reasoning":
        this.#reasoning(item, at);
        return;
      case "function_call":
      case "custom_tool_call":
        this.#call(item, at, index);
        return;
      case "function_call_output":
      case "custom_tool_call_output":
        this.#close();
        if (!this.#answered.has(index)) invalid(`${at}.call_id`, `no tool call before it has the id ${quoted(item["call_id"])}`);
        return;
      default:
        if (typeof type === "string") unsupported(`${at}.type`, `items of type ${quoted(type)} can not be sent to a chat`);
        else invalid(`${at}.type`, "expected an item with a type or a role");
    }
  }

  #message(item: Json, at: string): void {
    const { role } = item;
    const parts = partsOf(item["content"], `${at}.content`);
    if (role === "assistant") {
      const media = parts.findIndex(({ type }) => type !== "text" && type !== "refusal");
      if (media >= 0) invalid(`${at}.content[${media}].type`, "a message of the assistant has output_text and refusal parts");
      // Text after calls belongs to their turn; text after text is another message.
      if (this.#turn && this.#turn.parts.length > 0 && this.#turn.calls.length === 0) this.#close();
      this.#open().parts.push(...parts);
      return;
    }
    if (role !== "user" && role !== "system" && role !== "developer")
      invalid(`${at}.role`, "expected one of user, assistant, system, developer");
    if (parts.length === 0) invalid(`${at}.content`, "expected at least one part");
    const media = role === "user" ? -1 : parts.findIndex(({ type }) => type !== "text");
    if (media >= 0) invalid(`${at}.content[${media}].type`, `a ${role} message has text only`);
    this.#close();
    this.messages.push({ role, content: contentOf(parts) });
  }

  #reasoning(item: Json, at: string): void {
    const blob = item["encrypted_content"];
    const carried = typeof blob === "string" ? unseal(blob) : undefined;
    const told = textOf(item["content"], `${at}.content`) || textOf(item["summary"], `${at}.summary`);
    if (typeof blob === "string" && carried === undefined) this.#warn("encrypted reasoning of another server left out");
    const reasoning = carried?.reasoning ?? told;
    // Reasoning begins a turn. What only carries fields is told after the items that they belong to.
    if (reasoning !== "" && this.#turn && this.#turn.parts.length + this.#turn.calls.length > 0) this.#close();
    const turn = this.#open();
    turn.reasoning += reasoning;
    turn.fields = { ...turn.fields, ...carried?.message };
    turn.callFields = { ...turn.callFields, ...carried?.calls };
  }

  #call(item: Json, at: string, index: number): void {
    const id = idOf(item, at);
    const { name } = item;
    if (typeof name !== "string" || name === "") invalid(`${at}.name`, "it is required");
    const isCustom = item["type"] === "custom_tool_call";
    const key = isCustom ? "input" : "arguments";
    const text = item[key];
    if (typeof text !== "string") invalid(`${at}.${key}`, "expected a string");
    const call = isCustom ? { type: "custom", custom: { name, input: text } } : { type: "function", function: { name, arguments: text } };
    this.#open().calls.push({ id, at: index, call });
  }

  #open(): Turn {
    return (this.#turn ??= { parts: [], calls: [], reasoning: "", fields: {}, callFields: {} });
  }

  #close(): void {
    const turn = this.#turn;
    this.#turn = undefined;
    // Reasoning of which nothing came says nothing to a chat.
    if (!turn || turn.parts.length + turn.calls.length === 0) return;
    const calls = turn.calls.map(({ id, call }) => ({ ...(Object.hasOwn(turn.callFields, id) ? turn.callFields[id] : {}), id, ...call }));
    this.messages.push({
      ...turn.fields,
      role: "assistant",
      content: turn.parts.length === 0 ? null : contentOf(turn.parts),
      ...(turn.reasoning === "" ? {} : { reasoning_content: turn.reasoning }),
      ...(calls.length === 0 ? {} : { tool_calls: calls }),
    });
    for (const { id, at } of turn.calls) this.#answer(id, at);
  }

  #answer(id: string, call: number): void {
    const index = this.#waiting.get(id)?.find((index) => index > call && !this.#answered.has(index));
    const found = index === undefined ? undefined : this.#items[index];
    if (index === undefined || !found) return invalid("input", `no output found for the tool call ${quoted(id)}`);
    this.#answered.add(index);
    const at = `${found.at}.output`;
    const parts = partsOf(found.item["output"], at);
    if (parts.some(({ type }) => type === "refusal")) invalid(at, "an output has no refusal");
    this.messages.push({ role: "tool", tool_call_id: id, content: contentOf(parts) });
  }
}

function idOf(item: Json, at: string): string {
  const id = item["call_id"];
  return typeof id === "string" && id !== "" ? id : invalid(`${at}.call_id`, "it is required");
}

/** The items of a request's `input`; a string is a message of the user. */
export function itemsOf(input: unknown): readonly Json[] {
  if (input === undefined || input === null) return [];
  if (typeof input === "string") return [{ type: "message", role: "user", content: input }];
  return (input as readonly unknown[]).map((item, index) => (isObject(item) ? item : invalid(`input[${index}]`, "expected an object")));
}

/** The chat that some items are. Throws an error that names the item. */
export function messagesOf(items: readonly Placed[], warn: (warning: string) => void): readonly Message[] {
  const conversation = new Conversation(items, warn);
  conversation.read();
  return conversation.messages;
}
