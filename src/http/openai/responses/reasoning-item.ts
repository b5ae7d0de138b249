import { seal, type Carried } from "./carry.ts";
import type { Json } from "./json.ts";
import type { Place } from "./place.ts";

/** Words of the two ways to tell reasoning: as a summary, which clients show, or as the text that it is. */
const ways = {
  summary: {
    index: "summary_index",
    part: "summary_text",
    added: "response.reasoning_summary_part.added",
    delta: "response.reasoning_summary_text.delta",
    textDone: "response.reasoning_summary_text.done",
    done: "response.reasoning_summary_part.done",
  },
  content: {
    index: "content_index",
    part: "reasoning_text",
    added: "response.content_part.added",
    delta: "response.reasoning_text.delta",
    textDone: "response.reasoning_text.done",
    done: "response.content_part.done",
  },
} as const;

/** Reasoning while its text comes, with what is to be sent back. */
export class ReasoningItem {
  readonly kind = "reasoning";
  readonly #place: Place;
  readonly #way: keyof typeof ways;
  readonly #shows: boolean;
  readonly #pieces: string[] = [];

  constructor(place: Place, { summary, encrypted }: { readonly summary: boolean; readonly encrypted: boolean }) {
    this.#place = place;
    this.#way = summary ? "summary" : "content";
    this.#shows = encrypted;
    place.emit("response.output_item.added", { item: this.#item([], undefined) });
  }

  add(text: string): void {
    const { added, delta, part } = ways[this.#way];
    if (this.#pieces.length === 0) this.#emit(added, { part: { type: part, text: "" } });
    this.#pieces.push(text);
    this.#emit(delta, { delta: text });
  }

  idle(): void {
    if (this.#pieces.length > 0) this.#emit(ways[this.#way].delta, { delta: "" });
  }

  /** `carried` are fields of a leaf's that no other item has a place for. */
  close(_status: "completed" | "incomplete", carried: Carried = {}): Json {
    const text = this.#pieces.join("");
    const { textDone, done, part: type } = ways[this.#way];
    const parts = text === "" ? [] : [{ type, text }];
    for (const part of parts) {
      this.#emit(textDone, { text });
      this.#emit(done, { part });
    }
    const blob = this.#shows ? seal(text === "" ? carried : { ...carried, reasoning: text }) : undefined;
    const item = this.#item(parts, blob);
    this.#place.emit("response.output_item.done", { item });
    return item;
  }

  #emit(type: string, fields: Json): void {
    const { id, emit } = this.#place;
    emit(type, { item_id: id, [ways[this.#way].index]: 0, ...fields });
  }

  #item(parts: readonly Json[], blob: string | undefined): Json {
    return {
      type: "reasoning",
      id: this.#place.id,
      summary: this.#way === "summary" ? parts : [],
      ...(this.#way === "content" && parts.length > 0 ? { content: parts } : {}),
      ...(blob === undefined ? {} : { encrypted_content: blob }),
    };
  }
}
