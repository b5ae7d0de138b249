import type { Delta, TokenLogprob } from "../../model/events.ts";
import { finishReason, isDraft, saysFinished, type Draft } from "./message.ts";

function logprobsOf(value: unknown, choice: number): Delta[] {
  if (!isDraft(value)) return [];
  const list = (name: string) => (Array.isArray(value[name]) ? (value[name] as TokenLogprob[]) : []);
  const content = list("content");
  const refusal = list("refusal");
  return content.length + refusal.length === 0 ? [] : [{ type: "logprobs", choice, content, refusal }];
}

function toolDelta(fragment: Draft, choice: number): Delta {
  const { index, id, type, function: fn, custom, ...extra } = fragment;
  const body = isDraft(custom) ? custom : isDraft(fn) ? fn : {};
  const text = body["arguments"] ?? body["input"];
  return {
    type: "tool-call",
    choice,
    index: index as number,
    text: typeof text === "string" ? text : "",
    ...(typeof id === "string" ? { id } : {}),
    ...(typeof body["name"] === "string" ? { name: body["name"] } : {}),
    ...(type === "custom" || isDraft(custom) ? { custom: true } : {}),
    ...(Object.keys(extra).length > 0 ? { extra } : {}),
  };
}

function choiceDeltas(choice: Draft): Delta[] {
  const { index, delta, logprobs, finish_reason: reason, ...extra } = choice;
  const at = index as number;
  const { role: _, content, reasoning_content: reasoning, refusal, tool_calls: calls, ...fields } = isDraft(delta) ? delta : {};
  const out: Delta[] = [];
  if (typeof reasoning === "string" && reasoning !== "") out.push({ type: "reasoning", choice: at, text: reasoning });
  if (typeof content === "string" && content !== "") out.push({ type: "text", choice: at, text: content });
  if (typeof refusal === "string" && refusal !== "") out.push({ type: "refusal", choice: at, text: refusal });
  if (Array.isArray(calls)) out.push(...calls.filter(isDraft).map((fragment) => toolDelta(fragment, at)));
  if (Object.keys(fields).length > 0) out.push({ type: "extra", choice: at, fields });
  out.push(...logprobsOf(logprobs, at));
  if (saysFinished(reason)) {
    out.push({ type: "end", choice: at, reason: finishReason(reason), ...(Object.keys(extra).length > 0 ? { extra } : {}) });
  }
  return out;
}

/** The deltas of one canonical chunk. */
export function deltasOf(chunk: Draft): Delta[] {
  const { choices } = chunk;
  return Array.isArray(choices) ? choices.filter(isDraft).flatMap(choiceDeltas) : [];
}
