import { isRecord, type Json } from "../translate/json.ts";
import { placedAfter, readThoughts, type Place, type Thought } from "../translate/reasoning.ts";
import type { Turn } from "../translate/turns.ts";
import { FORMAT, signedOf } from "./ending.ts";

export type AssistantTurn = Turn & { readonly role: "assistant" };

/** The signed thoughts behind a call, as far as they are still known. */
export type Recall = (id: string) => readonly Thought[] | undefined;

const start: Place = { text: 0, calls: 0 };

function plus(a: Place, b: Place): Place {
  return { text: a.text + b.text, calls: a.calls + b.calls };
}

function moved(thought: Thought, base: Place): Thought {
  const { text, calls } = plus(base, thought.place ?? start);
  return { ...thought, ...placedAfter(text, calls) };
}

function lengthOf(content: unknown): number {
  if (typeof content === "string") return content.length;
  if (!Array.isArray(content)) return 0;
  return (content as readonly unknown[]).reduce<number>((sum, part) => {
    const { text, refusal } = isRecord(part) ? part : {};
    return sum + lengthOf(text ?? refusal);
  }, 0);
}

function sizeOf({ content, refusal, tool_calls: calls, function_call: legacy }: Json): Place {
  return { text: lengthOf(content) || lengthOf(refusal), calls: Array.isArray(calls) ? calls.length : isRecord(legacy) ? 1 : 0 };
}

/**
 * The thoughts that came with a turn's messages, with their places in the turn. Some clients send one answer back in several messages, with
 * its thoughts on any of them, so the first thoughts are placed from the turn's beginning.
 */
function sentWith({ from }: AssistantTurn): readonly Thought[] {
  const found: Thought[] = [];
  let before = start;
  for (const message of from) {
    const base = found.length === 0 ? start : before;
    for (const thought of signedOf(readThoughts(message, FORMAT))) found.push(moved(thought, base));
    before = plus(before, sizeOf(message));
  }
  return found;
}

function keyOf(thought: Thought): string {
  return thought.type === "encrypted" ? thought.data : `${thought.signature ?? ""} ${thought.text}`;
}

function isSame(some: readonly Thought[], others: readonly Thought[]): boolean {
  return some.length === others.length && some.every((thought, at) => others[at] !== undefined && keyOf(thought) === keyOf(others[at]));
}

/** The thoughts that the client sent back, else those that are remembered; these too for a client that sent them without their places. */
export function thoughtsOf(turn: AssistantTurn, recall: Recall): readonly Thought[] {
  const sent = sentWith(turn);
  const [call] = turn.calls;
  if (!call || sent.some(({ place }) => place)) return sent;
  const known = recall(call.id) ?? [];
  return sent.length === 0 || isSame(sent, known) ? known : sent;
}
