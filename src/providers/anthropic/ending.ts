import type { Delta, FinishReason } from "../../model/events.ts";
import { isRecord, isText, type Json } from "../translate/json.ts";
import { writeThoughts, type Thought } from "../translate/reasoning.ts";

/** Whose thoughts they are, in `reasoning_details`. The word that other gateways use. */
export const FORMAT = "anthropic-claude-v1";

const reasons: Readonly<Record<string, FinishReason>> = {
  end_turn: "stop",
  stop_sequence: "stop",
  pause_turn: "stop",
  max_tokens: "length",
  model_context_window_exceeded: "length",
  tool_use: "tool_calls",
  refusal: "content_filter",
};

/** A stop reason as one of OpenAI's. A word that is not known is a stop; with calls in the answer a stop is for their results. */
export function finishReason(stop: unknown, hasCalls: boolean): FinishReason {
  const reason = (isText(stop) && Object.hasOwn(reasons, stop) ? reasons[stop] : undefined) ?? "stop";
  return reason === "stop" && hasCalls ? "tool_calls" : reason;
}

/** The thoughts that the API takes back: what nobody signed could have been written by anybody. */
export function signedOf(thoughts: readonly Thought[]): readonly Thought[] {
  return thoughts.filter((thought) => thought.type === "encrypted" || thought.signature !== undefined);
}

/** Told at the end of an answer: the ids of its calls, and the signed thoughts that led to them. */
export type Keep = (ids: readonly string[], thoughts: readonly Thought[]) => void;

export interface ReaderContext {
  readonly upstream: string;
  /** The id of this answer. Ids of calls that come without one are made of it, so that no two answers share one. */
  readonly answer: string;
  readonly keep: Keep;
}

/** A source that the text stands on, with the place in the text that does. */
export interface Cited {
  readonly citation: Json;
  readonly from: number;
  readonly to: number;
}

/** Fields of the message beside its text: sources with an address as OpenAI tells them, others in the API's own words, and thoughts to give back. */
export function messageFields(cited: readonly Cited[], thoughts: readonly Thought[]): Json {
  const annotations: Json[] = [];
  const citations: Json[] = [];
  for (const { citation, from, to } of cited) {
    const { url, title } = citation;
    if (!isText(url)) citations.push(citation);
    else
      annotations.push({
        type: "url_citation",
        url_citation: { start_index: from, end_index: to, url, title: isText(title) ? title : "" },
      });
  }
  const kept = signedOf(thoughts);
  return {
    ...(annotations.length > 0 ? { annotations } : {}),
    ...(citations.length > 0 ? { citations } : {}),
    ...(kept.length > 0 ? { reasoning_details: writeThoughts(kept, FORMAT) } : {}),
  };
}

/** Why the model would not answer, where it says so. */
export function refusalText(stop: unknown, details: unknown): string {
  const explanation = stop === "refusal" && isRecord(details) ? details["explanation"] : undefined;
  return isText(explanation) ? explanation : "";
}

/** Fields of the choice: which of the texts given as `stop` it met, under the name that other servers use, and what kind of refusal it is. */
export function choiceExtra(sequence: unknown, stop: unknown, details: unknown): Json | undefined {
  const category = stop === "refusal" && isRecord(details) ? details["category"] : undefined;
  const extra = { ...(isText(sequence) ? { stop_reason: sequence } : {}), ...(isText(category) ? { stop_details: { category } } : {}) };
  return Object.keys(extra).length > 0 ? extra : undefined;
}

/** The last deltas of an answer. */
export function endDeltas(said: {
  readonly stop: unknown;
  readonly sequence: unknown;
  readonly details: unknown;
  readonly hasCalls: boolean;
  readonly fields: Json;
}): readonly Delta[] {
  const { stop, sequence, details, hasCalls, fields } = said;
  const refusal = refusalText(stop, details);
  const extra = choiceExtra(sequence, stop, details);
  return [
    ...(refusal === "" ? [] : [{ type: "refusal", choice: 0, text: refusal } as const]),
    ...(Object.keys(fields).length > 0 ? [{ type: "extra", choice: 0, fields } as const] : []),
    { type: "end", choice: 0, reason: finishReason(stop, hasCalls), ...(extra ? { extra } : {}) },
  ];
}
