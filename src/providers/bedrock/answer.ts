import { newFold } from "../../model/collect.ts";
import type { Completion } from "../../model/completion.ts";
import { GatewayError } from "../../model/errors.ts";
import type { Delta, FinishReason } from "../../model/events.ts";
import { tokenCount as count, type Usage } from "../../model/usage.ts";
import type { Remembered } from "../translate/call-memory.ts";
import { isRecord, isText, parseExactly, writeJson, type Json } from "../translate/json.ts";
import { placedAfter, writeThoughts, type Thought } from "../translate/reasoning.ts";

const reasons: Readonly<Record<string, FinishReason>> = {
  end_turn: "stop",
  stop_sequence: "stop",
  max_tokens: "length",
  model_context_window_exceeded: "length",
  tool_use: "tool_calls",
  content_filtered: "content_filter",
  guardrail_intervened: "content_filter",
};

/** `usage` in our words: tokens of the cache are no part of the input there. */
export function readUsage(usage: unknown): Usage | undefined {
  if (!isRecord(usage)) return undefined;
  const input = count(usage["inputTokens"]);
  const output = count(usage["outputTokens"]);
  if (input === undefined && output === undefined) return undefined;
  const read = count(usage["cacheReadInputTokens"]);
  const written = count(usage["cacheWriteInputTokens"]);
  return {
    promptTokens: (input ?? 0) + (read ?? 0) + (written ?? 0),
    completionTokens: output ?? 0,
    ...(read === undefined ? {} : { cachedTokens: read }),
    ...(written === undefined ? {} : { cacheWriteTokens: written }),
  };
}

export interface Ended {
  readonly upstream: string;
  /** The answer calls tools. */
  readonly called: boolean;
  readonly thoughts: readonly Thought[];
  /** Whose thoughts they are. */
  readonly format: string;
}

/** The id of a call that came without one: no other answer has it, or a conversation would have it twice. */
export function mintedId(callId: string, index: number): string {
  return `call_${callId.slice(-24)}_${index}`;
}

/** Thoughts of answers, by the first call in each. */
export type ThoughtMemory = Remembered<readonly Thought[]>;

/** The end of an answer. Throws where the model failed to write one. */
export function toEnd(stopReason: unknown, { upstream, called, thoughts, format }: Ended): readonly Delta[] {
  const said = typeof stopReason === "string" && /^\w{1,60}$/.test(stopReason) ? stopReason : "unknown";
  if (said.startsWith("malformed_"))
    throw new GatewayError("upstream_error", `${upstream} could not finish its answer (${said}).`, { upstream });
  const reason = (Object.hasOwn(reasons, said) ? reasons[said] : undefined) ?? "stop";
  const details = { reasoning_details: writeThoughts(thoughts, format) };
  return [
    ...(thoughts.length > 0 ? [{ type: "extra" as const, choice: 0, fields: details }] : []),
    {
      type: "end",
      choice: 0,
      reason: reason === "stop" && called ? "tool_calls" : reason,
      ...(reason === "content_filter" ? { extra: { native_finish_reason: said } } : {}),
    },
  ];
}

function thoughtOf(block: Json): Thought | undefined {
  const { reasoningContent: reasoning } = block;
  if (!isRecord(reasoning)) return undefined;
  const { reasoningText: told, redactedContent: data } = reasoning;
  if (typeof data === "string") return { type: "encrypted", data };
  if (!isRecord(told) || typeof told["text"] !== "string") return undefined;
  const { text, signature } = told;
  return { type: "text", text, ...(typeof signature === "string" ? { signature } : {}) };
}

function blockDeltas(block: Json, callId: string, calls: number): readonly Delta[] {
  const { text, toolUse } = block;
  if (typeof text === "string") return text === "" ? [] : [{ type: "text", choice: 0, text }];
  const thought = thoughtOf(block);
  if (thought?.type === "text") return [{ type: "reasoning", choice: 0, text: thought.text }];
  if (!isRecord(toolUse)) return [];
  const { toolUseId, name, input } = toolUse;
  const id = isText(toolUseId) ? toolUseId : mintedId(callId, calls);
  return [
    { type: "tool-call", choice: 0, index: calls, id, name: isText(name) ? name : "", text: writeJson(isRecord(input) ? input : {}) },
  ];
}

function parsed(bytes: Buffer): unknown {
  const text = bytes.toString("utf8");
  try {
    return text.includes('"toolUse"') ? parseExactly(text) : JSON.parse(text);
  } catch {
    // The caller says what that means where it stands.
    return undefined;
  }
}

export interface AnswerContext {
  readonly upstream: string;
  /** Ids of calls that come without one are made of this. */
  readonly callId: string;
  /** Whose thoughts the answer brings. */
  readonly format: string;
  /** Keeps them for clients that do not send them back. */
  readonly memory?: Pick<ThoughtMemory, "keep">;
}

/** Reads the whole answer of `converse`. */
export function readWhole(bytes: Buffer, { upstream, callId, format, memory }: AnswerContext): Completion {
  const body = parsed(bytes);
  const output = isRecord(body) ? body["output"] : undefined;
  const message = isRecord(output) ? output["message"] : undefined;
  if (!isRecord(body) || !isRecord(message)) {
    throw new GatewayError("upstream_protocol", `${upstream} sent an answer without a message.`, { upstream });
  }
  const blocks = Array.isArray(message["content"]) ? message["content"].filter(isRecord) : [];
  const fold = newFold();
  const thoughts: Thought[] = [];
  let length = 0;
  let calls = 0;
  let first: string | undefined;
  for (const block of blocks) {
    const thought = thoughtOf(block);
    if (thought && (thought.type === "encrypted" || thought.signature !== undefined)) {
      thoughts.push({ ...thought, ...placedAfter(length, calls) });
    }
    for (const delta of blockDeltas(block, callId, calls)) {
      if (delta.type === "text") length += delta.text.length;
      if (delta.type === "tool-call") {
        calls += 1;
        first ??= delta.id;
      }
      fold.add(delta);
    }
  }
  if (thoughts.length > 0 && first !== undefined) memory?.keep(first, thoughts);
  for (const delta of toEnd(body["stopReason"], { upstream, called: calls > 0, thoughts, format })) fold.add(delta);
  const usage = readUsage(body["usage"]);
  return { choices: fold.choices(), ...(usage ? { usage } : {}) };
}
