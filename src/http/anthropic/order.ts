import type { Delta } from "../../model/events.ts";
import { thoughtOf } from "./thoughts.ts";

type Extra = Delta & { readonly type: "extra" };

const isThoughts = (delta: Delta): delta is Extra => delta.type === "extra" && Array.isArray(delta.fields["reasoning_details"]);

/** The delta without its thoughts. */
function beside(delta: Extra): Extra {
  const { reasoning_details: _, ...fields } = delta.fields;
  return { ...delta, fields };
}

/**
 * Deltas of one batch in the order of this API's blocks: what is signed directly behind its text. A chat tells it behind all else where the
 * answer comes at once, and then the thoughts' texts are one.
 */
export function inOrder(deltas: readonly Delta[]): readonly Delta[] {
  const last = deltas.findLastIndex(({ type }) => type === "reasoning");
  const thoughts = deltas.filter(isThoughts);
  if (thoughts.length === 0 || last < 0) return deltas;
  const told = deltas.slice(0, last + 1);
  const reasoning = told.flatMap((delta) => (delta.type === "reasoning" ? [delta.text] : [])).join("");
  const before = told.filter(({ type }) => type !== "reasoning" && type !== "extra");
  const rest = deltas.slice(last + 1).filter((delta) => !isThoughts(delta));
  return [
    ...before,
    ...split(reasoning, thoughts),
    ...told.filter((delta) => delta.type === "extra" && !isThoughts(delta)),
    ...rest,
    ...thoughts.map(beside),
  ];
}

/** Deltas of a whole answer in that order. Thoughts that nobody can read come first too: the model had them before it spoke. */
export function wholeInOrder(deltas: readonly Delta[]): readonly Delta[] {
  if (deltas.some(({ type }) => type === "reasoning")) return inOrder(deltas);
  const thoughts = deltas.filter(isThoughts);
  return [
    ...thoughts.map((delta): Extra => ({ ...delta, fields: { reasoning_details: delta.fields["reasoning_details"] } })),
    ...deltas.map((delta) => (isThoughts(delta) ? beside(delta) : delta)),
  ];
}

/** The reasoning, in the pieces that are signed where these are all of it. */
function split(reasoning: string, thoughts: readonly Extra[]): readonly Delta[] {
  const details = thoughts.flatMap(({ fields }) => fields["reasoning_details"] as readonly unknown[]);
  const extra = (detail: unknown): Delta => ({ type: "extra", choice: 0, fields: { reasoning_details: [detail] } });
  const texts = details.map((detail) => {
    const thought = thoughtOf(detail);
    return thought?.type === "signed" ? thought.text : "";
  });
  const say = (text: string): readonly Delta[] => (text === "" ? [] : [{ type: "reasoning", choice: 0, text }]);
  if (texts.join("") !== reasoning) return [...say(reasoning), ...details.map(extra)];
  return details.flatMap((detail, index) => [...say(texts[index] ?? ""), extra(detail)]);
}
