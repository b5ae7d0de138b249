import type { TokenLogprob } from "../../../model/events.ts";
import { isObject, type Json } from "./json.ts";
import type { Place } from "./place.ts";

interface OpenPart {
  readonly type: "output_text" | "refusal";
  readonly pieces: string[];
  readonly logprobs: Json[];
  readonly annotations: Json[];
}

function logprobOf({ token, logprob, bytes, top_logprobs: top }: TokenLogprob): Json {
  const alternatives = (top ?? []).map((entry) => ({ token: entry.token, logprob: entry.logprob, bytes: entry.bytes ?? [] }));
  return { token, logprob, bytes: bytes ?? [], top_logprobs: alternatives };
}

/** A chat keeps a citation's fields a level deeper. */
function annotationOf(annotation: unknown): Json | undefined {
  if (!isObject(annotation)) return undefined;
  const { type, url_citation: citation } = annotation;
  return type === "url_citation" && isObject(citation) ? { type, ...citation } : annotation;
}

function partOf({ type, pieces, annotations, logprobs }: OpenPart): Json {
  const text = pieces.join("");
  return type === "refusal" ? { type, refusal: text } : { type, text, annotations: [...annotations], logprobs: [...logprobs] };
}

/** A message of the assistant while its text comes. */
export class MessageItem {
  readonly kind = "message";
  readonly #place: Place;
  readonly #parts: Json[] = [];
  #open: OpenPart | undefined;

  constructor(place: Place) {
    this.#place = place;
    place.emit("response.output_item.added", { item: this.#item("in_progress") });
  }

  text(text: string, logprobs: readonly TokenLogprob[]): void {
    const part = this.#part("output_text");
    const told = logprobs.map(logprobOf);
    part.pieces.push(text);
    part.logprobs.push(...told);
    this.#emit("response.output_text.delta", { delta: text, logprobs: told });
  }

  refusal(text: string): void {
    this.#part("refusal").pieces.push(text);
    this.#emit("response.refusal.delta", { delta: text });
  }

  annotate(annotations: readonly unknown[]): void {
    const part = this.#part("output_text");
    for (const given of annotations) {
      const annotation = annotationOf(given);
      if (!annotation) continue;
      this.#emit("response.output_text.annotation.added", { annotation_index: part.annotations.length, annotation });
      part.annotations.push(annotation);
    }
  }

  /** A delta that says nothing. */
  idle(): void {
    if (this.#open?.type === "output_text") this.#emit("response.output_text.delta", { delta: "", logprobs: [] });
  }

  close(status: "completed" | "incomplete"): Json {
    this.#closePart();
    const item = this.#item(status);
    this.#place.emit("response.output_item.done", { item });
    return item;
  }

  #part(type: OpenPart["type"]): OpenPart {
    if (this.#open?.type === type) return this.#open;
    this.#closePart();
    const part: OpenPart = { type, pieces: [], logprobs: [], annotations: [] };
    this.#open = part;
    this.#emit("response.content_part.added", { part: partOf(part) });
    return part;
  }

  #closePart(): void {
    const open = this.#open;
    if (!open) return;
    const part = partOf(open);
    if (open.type === "refusal") this.#emit("response.refusal.done", { refusal: part["refusal"] });
    else this.#emit("response.output_text.done", { text: part["text"], logprobs: part["logprobs"] });
    this.#emit("response.content_part.done", { part });
    this.#parts.push(part);
    this.#open = undefined;
  }

  #emit(type: string, fields: Json): void {
    const { id, emit } = this.#place;
    emit(type, { item_id: id, content_index: this.#parts.length, ...fields });
  }

  #item(status: string): Json {
    return { type: "message", id: this.#place.id, status, role: "assistant", content: [...this.#parts] };
  }
}
