import type { Delta } from "../../model/events.ts";
import { placeOf, thoughtOf } from "./thoughts.ts";

type Extra = Delta & { readonly type: "extra" };

const isThoughts = (delta: Delta): delta is Extra => delta.type === "extra" && Array.isArray(delta.fields["reasoning_details"]);

const contents = new Set<Delta["type"]>(["text", "reasoning", "tool-call"]);

/** The delta without its thoughts. */
function beside(delta: Extra): Extra {
  const { reasoning_details: _, ...fields } = delta.fields;
  return { ...delta, fields };
}

/** True for an answer that came at once: a chat tells what is signed behind all else then, and in one piece. */
function isWhole(deltas: readonly Delta[]): boolean {
  const thoughts = deltas.findIndex(isThoughts);
  return thoughts >= 0 && deltas.some(({ type }) => type === "end") && !deltas.slice(thoughts + 1).some(({ type }) => contents.has(type));
}

/** Deltas of one batch in the order of this API's blocks. A stream is in that order as it comes. */
export function inOrder(deltas: readonly Delta[]): readonly Delta[] {
  return isWhole(deltas) ? wholeInOrder(deltas) : deltas;
}

/** A thought with the words that can be read of it. */
interface Told {
  readonly detail: unknown;
  readonly text: string;
}

/** The thoughts of an answer, and how many words of its reasoning are not theirs: where these are mixed nobody knows which are whose. */
function toldOf(thoughts: readonly Extra[], reasoning: string): { readonly told: readonly Told[]; readonly alone: string } {
  const details = thoughts.flatMap(({ fields }) => fields["reasoning_details"] as readonly unknown[]);
  const texts = details.map((detail) => {
    const thought = thoughtOf(detail);
    return thought?.type === "signed" ? thought.text : "";
  });
  const isAll = texts.join("") === reasoning;
  return { told: details.map((detail, index) => ({ detail, text: isAll ? (texts[index] ?? "") : "" })), alone: isAll ? "" : reasoning };
}

/** The text and the calls of an answer, told up to a place. */
class Words {
  readonly #text: string;
  readonly #calls: readonly (Delta & { readonly type: "tool-call" })[];
  #said = 0;
  #called = 0;

  constructor(deltas: readonly Delta[]) {
    this.#text = deltas.flatMap((delta) => (delta.type === "text" ? [delta.text] : [])).join("");
    this.#calls = deltas.filter((delta) => delta.type === "tool-call");
  }

  until(text: number, calls: number): readonly Delta[] {
    const more = this.#text.slice(this.#said, text);
    this.#said += more.length;
    const from = this.#called;
    while (this.#called < this.#calls.length && (this.#calls[this.#called]?.index ?? calls) < calls) this.#called += 1;
    return [...(more === "" ? [] : [{ type: "text", choice: 0, text: more } as const]), ...this.#calls.slice(from, this.#called)];
  }
}

/**
 * Deltas of a whole answer in that order: each thought at its place, its words and then its signature. A thought whose place nobody tells
 * comes first, since the model had it before it spoke.
 */
export function wholeInOrder(deltas: readonly Delta[]): readonly Delta[] {
  const thoughts = deltas.filter(isThoughts);
  if (thoughts.length === 0) return deltas;
  const reasoning = deltas.flatMap((delta) => (delta.type === "reasoning" ? [delta.text] : [])).join("");
  const { told, alone } = toldOf(thoughts, reasoning);
  const words = new Words(deltas);
  const say = (text: string): readonly Delta[] => (text === "" ? [] : [{ type: "reasoning", choice: 0, text }]);
  return [
    ...say(alone),
    ...told.flatMap(({ detail, text }): readonly Delta[] => {
      const place = placeOf(detail);
      return [...words.until(place.text, place.calls), ...say(text), { type: "extra", choice: 0, fields: { reasoning_details: [detail] } }];
    }),
    ...words.until(Infinity, Infinity),
    ...deltas.filter(({ type }) => !contents.has(type)).map((delta) => (isThoughts(delta) ? beside(delta) : delta)),
  ];
}
