import type { Json } from "./json.ts";
import type { Place } from "./place.ts";

export interface CallStart {
  readonly index: number;
  readonly callId: string;
  readonly name: string;
  readonly custom: boolean;
}

/** A call of a function or a custom tool while its arguments come. */
export class CallItem {
  readonly kind = "call";
  readonly index: number;
  readonly callId: string;
  readonly #place: Place;
  readonly #start: CallStart;
  readonly #pieces: string[] = [];

  constructor(place: Place, start: CallStart) {
    this.#place = place;
    this.#start = start;
    this.index = start.index;
    this.callId = start.callId;
    place.emit("response.output_item.added", { item: this.#item("", "in_progress") });
  }

  add(text: string): void {
    if (text === "") return;
    this.#pieces.push(text);
    this.#delta(text);
  }

  idle(): void {
    this.#delta("");
  }

  close(status: "completed" | "incomplete"): Json {
    // Clients parse the arguments: a call without any has an empty object.
    if (!this.#start.custom && this.#pieces.length === 0 && status === "completed") this.add("{}");
    const text = this.#pieces.join("");
    const { emit, id: item_id } = this.#place;
    if (this.#start.custom) emit("response.custom_tool_call_input.done", { item_id, input: text });
    else emit("response.function_call_arguments.done", { item_id, name: this.#start.name, arguments: text });
    const item = this.#item(text, status);
    emit("response.output_item.done", { item });
    return item;
  }

  #delta(delta: string): void {
    const type = this.#start.custom ? "response.custom_tool_call_input.delta" : "response.function_call_arguments.delta";
    this.#place.emit(type, { item_id: this.#place.id, delta });
  }

  #item(text: string, status: string): Json {
    const { callId: call_id, name, custom } = this.#start;
    const { id } = this.#place;
    return custom
      ? { type: "custom_tool_call", id, call_id, name, input: text }
      : { type: "function_call", id, status, call_id, name, arguments: text };
  }
}
