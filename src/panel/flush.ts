import type { Call, Delivery } from "../model/call.ts";
import type { Choice, Completion, ToolCall } from "../model/completion.ts";
import { batch, type Delta, type FinishEvent, type ModelEvent } from "../model/events.ts";

function toolDelta(call: ToolCall, choice: number, index: number): Delta {
  const { id, type, function: fn, custom, ...extra } = call;
  const carried = Object.keys(extra).length > 0 ? { extra } : {};
  if (type === "custom") {
    return { type: "tool-call", choice, index, id, name: custom?.name ?? "", custom: true, text: custom?.input ?? "", ...carried };
  }
  return { type: "tool-call", choice, index, id, name: fn?.name ?? "", text: fn?.arguments ?? "", ...carried };
}

/** How to ask for an answer that nobody sees before its end, and that is only cut when the request is. */
export function wholeDelivery({ delivery }: Call): Delivery {
  return delivery === "stream" ? "unary" : delivery;
}

/** A finished choice as deltas, under the index that the client shall see. */
export function deltasOf(from: Choice, choice: number): readonly Delta[] {
  const { role: _, content, refusal, reasoning_content: reasoning, tool_calls: calls, ...fields } = from.message;
  const deltas: Delta[] = [];
  if (reasoning) deltas.push({ type: "reasoning", choice, text: reasoning });
  if (content) deltas.push({ type: "text", choice, text: content });
  if (refusal) deltas.push({ type: "refusal", choice, text: refusal });
  for (const [index, call] of (calls ?? []).entries()) deltas.push(toolDelta(call, choice, index));
  if (Object.keys(fields).length > 0) deltas.push({ type: "extra", choice, fields });
  if (from.logprobs) deltas.push({ type: "logprobs", choice, content: from.logprobs.content ?? [], refusal: from.logprobs.refusal ?? [] });
  deltas.push({ type: "end", choice, reason: from.finishReason, ...(from.extra ? { extra: from.extra } : {}) });
  return deltas;
}

/**
 * Gives out a finished answer in one go: one batch to a stream, else the completion itself, with its bytes. Its usage is one leg's; the sum
 * stands in the ledger.
 */
export function* flush(completion: Completion, call: Call, told: Pick<FinishEvent, "agreement"> = {}): Generator<ModelEvent> {
  if (call.delivery !== "stream") {
    yield { type: "finish", completion, ...told };
    return;
  }
  yield batch(completion.choices.flatMap((choice, index) => deltasOf(choice, index)));
  yield { type: "finish", ...told };
}

/** A completion of the gateway's own words. */
export function ownCompletion(text: string): Completion {
  return { choices: [{ index: 0, message: { role: "assistant", content: text, refusal: null }, finishReason: "stop", logprobs: null }] };
}
