import type { Choice, ToolCall } from "./completion.ts";
import type { Delta } from "./events.ts";

function toolDelta(call: ToolCall, choice: number, index: number): Delta {
  const { id, type, function: fn, custom, ...extra } = call;
  const carried = Object.keys(extra).length > 0 ? { extra } : {};
  if (type === "custom") {
    return { type: "tool-call", choice, index, id, name: custom?.name ?? "", custom: true, text: custom?.input ?? "", ...carried };
  }
  return { type: "tool-call", choice, index, id, name: fn?.name ?? "", text: fn?.arguments ?? "", ...carried };
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
