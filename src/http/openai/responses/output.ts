import { GatewayError } from "../../../model/errors.ts";
import type { Delta, TokenLogprob } from "../../../model/events.ts";
import { CallItem } from "./call-item.ts";
import { seal, type Carried } from "./carry.ts";
import { endOf, type End } from "./end.ts";
import type { Json } from "./json.ts";
import { MessageItem } from "./message-item.ts";
import { ReasoningItem } from "./reasoning-item.ts";
import type { Wants } from "./request.ts";

/** Tells one event; `fields` without its type and number. */
export type Emit = (type: string, fields: Json) => void;

/** Fields of a message that have a place of their own, or none in this API. */
const untold = new Set(["role", "content", "refusal", "reasoning_content", "reasoning", "tool_calls", "function_call", "audio", "images"]);

/** Deltas of some fields are lists that go on; of all others the last one counts. */
function joined(old: unknown, more: unknown): unknown {
  return Array.isArray(old) && Array.isArray(more) ? [...(old as unknown[]), ...(more as unknown[])] : more;
}

/**
 * Makes output items of a chat's deltas and tells the events of each in order. Only the first choice exists. A whole answer goes the same way
 * with an `emit` that tells nobody.
 */
export class Output {
  readonly items: Json[] = [];
  readonly #id: string;
  readonly #wants: Wants;
  readonly #emit: Emit;
  #open: MessageItem | ReasoningItem | CallItem | undefined;
  // Without a prototype: their keys are an upstream's.
  readonly #fields = Object.create(null) as Record<string, unknown>;
  readonly #callFields = Object.create(null) as Record<string, Json>;
  #end: End | undefined;
  #kept: Json | undefined;

  constructor(id: string, wants: Wants, emit: Emit) {
    this.#id = id;
    this.#wants = wants;
    this.#emit = emit;
  }

  addAll(deltas: readonly Delta[]): void {
    for (const [at, delta] of deltas.entries()) {
      if (delta.choice !== 0) continue;
      const next = deltas[at + 1];
      if (delta.type === "text") this.#text(delta.text, next?.type === "logprobs" && next.choice === 0 ? next.content : []);
      else if (delta.type !== "logprobs") this.#add(delta);
      else if (deltas[at - 1]?.type !== "text") this.#late(delta.content);
    }
  }

  /** True while no item has begun. */
  get isEmpty(): boolean {
    return this.items.length === 0 && this.#open === undefined;
  }

  /** Tells a delta that says nothing, where there is something to add nothing to. */
  idle(): void {
    this.#open?.idle();
  }

  /** Ends the last item. Call it once the model has finished. */
  finish(): End {
    const end = this.#end ?? { status: "completed" };
    // A client that waits for text shall find some, be it empty.
    const open = this.#open?.kind;
    const isSilent = (open === undefined || open === "reasoning") && !this.items.some(isSaid);
    if (isSilent && end.status === "completed") this.#message().text("", []);
    this.#close(end.status);
    this.#carry();
    return end;
  }

  #add(delta: Exclude<Delta, { type: "text" | "logprobs" }>): void {
    switch (delta.type) {
      case "reasoning":
        if (delta.text !== "") this.#reasoning().add(delta.text);
        return;
      case "refusal":
        this.#message().refusal(delta.text);
        return;
      case "tool-call":
        this.#call(delta);
        return;
      case "extra":
        this.#extra(delta.fields);
        return;
      default:
        this.#end = endOf(delta.reason);
    }
  }

  #text(text: string, logprobs: readonly TokenLogprob[]): void {
    if (text !== "") this.#message().text(text, this.#wants.logprobs ? logprobs : []);
  }

  /** Log-probabilities that did not come with their text. */
  #late(logprobs: readonly TokenLogprob[]): void {
    if (this.#wants.logprobs && this.#open?.kind === "message") this.#open.text("", logprobs);
  }

  #extra(fields: Json): void {
    for (const [key, value] of Object.entries(fields)) {
      if (key === "annotations" && Array.isArray(value)) {
        if (value.length > 0) this.#message().annotate(value);
      } else if (!untold.has(key) && value !== null) this.#fields[key] = joined(this.#fields[key], value);
    }
  }

  #call({ index, id, name, custom, text, extra }: Delta & { readonly type: "tool-call" }): void {
    let item = this.#open;
    if (item?.kind !== "call" || item.index !== index) {
      if (id === undefined) throw new GatewayError("upstream_protocol", `The answer goes on with tool call ${index}, which is over.`);
      this.#close("completed");
      const start = { index, callId: id, name: name ?? "", custom: custom === true };
      item = new CallItem(this.#place(custom ? "ctc" : "fc"), start);
      this.#open = item;
    }
    item.add(text);
    if (extra) this.#callFields[item.callId] = { ...this.#callFields[item.callId], ...extra };
  }

  #message(): MessageItem {
    if (this.#open?.kind === "message") return this.#open;
    this.#close("completed");
    const item = new MessageItem(this.#place("msg"));
    this.#open = item;
    return item;
  }

  #reasoning(): ReasoningItem {
    if (this.#open?.kind === "reasoning") return this.#open;
    this.#close("completed");
    const item = new ReasoningItem(this.#place("rs"), this.#wants);
    this.#open = item;
    return item;
  }

  #place(prefix: string) {
    const output_index = this.items.length;
    const emit: Emit = (type, fields) => this.#emit(type, { output_index, ...fields });
    return { id: `${prefix}_${this.#id}${output_index.toString(16).padStart(2, "0")}`, emit };
  }

  #close(status: End["status"]): void {
    const open = this.#open;
    this.#open = undefined;
    if (open) this.items.push(open.close(status));
  }

  /** Fields that came with the answer go into a reasoning item of their own, last: they are whole only now. */
  #carry(): void {
    const calls = this.#callFields;
    const carried: Carried = {
      ...(Object.keys(this.#fields).length > 0 ? { message: this.#fields } : {}),
      ...(Object.keys(calls).length > 0 ? { calls } : {}),
    };
    if (Object.keys(carried).length === 0) return;
    if (this.#wants.encrypted) this.items.push(new ReasoningItem(this.#place("rs"), this.#wants).close("completed", carried));
    else this.#kept = { type: "reasoning", summary: [], encrypted_content: seal(carried) };
  }

  /** The items with what the client did not ask to see and the next turn needs; undefined where that is nothing. */
  get kept(): readonly Json[] | undefined {
    return this.#kept && [...this.items, this.#kept];
  }
}

function isSaid(item: Json): boolean {
  return item["type"] !== "reasoning";
}
