import type { FinishReason } from "../../model/events.ts";
import { isObject, type Json } from "../openai/responses/json.ts";

/** Why an answer ended, as the API says it. */
export interface Ending {
  readonly stop_reason: string;
  readonly stop_sequence: string | null;
  readonly stop_details: Json | null;
}

const reasons: Readonly<Record<FinishReason, string>> = {
  stop: "end_turn",
  length: "max_tokens",
  tool_calls: "tool_use",
  function_call: "tool_use",
  content_filter: "refusal",
};

export interface Ended {
  readonly reason: FinishReason;
  readonly refusal: string;
  readonly hasCalls: boolean;
  /** Which of the texts given as `stop_sequences` a leaf says that it met. */
  readonly met: unknown;
  /** What a leaf tells of a refusal. */
  readonly details: unknown;
  readonly stops: readonly string[];
}

/** A refusal ends an answer whatever else the leaf says; what was written of it has its place beside the reason. */
export function endingOf({ reason, refusal, hasCalls, met, details: told, stops }: Ended): Ending {
  if (refusal !== "" || reason === "content_filter") {
    const category = isObject(told) && typeof told["category"] === "string" ? told["category"] : null;
    const details = { type: "refusal", category, explanation: refusal === "" ? null : refusal };
    return { stop_reason: "refusal", stop_sequence: null, stop_details: details };
  }
  if (reason === "stop" && hasCalls) return { stop_reason: "tool_use", stop_sequence: null, stop_details: null };
  if (reason === "stop" && typeof met === "string" && stops.includes(met))
    return { stop_reason: "stop_sequence", stop_sequence: met, stop_details: null };
  return { stop_reason: reasons[reason], stop_sequence: null, stop_details: null };
}
