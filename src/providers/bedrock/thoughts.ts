import type { ThoughtMemory } from "./answer.ts";
import { readThoughts, type Thought } from "../translate/reasoning.ts";
import type { Turn } from "../translate/turns.ts";

export interface ThoughtOptions {
  /** Whose thoughts the model takes back. */
  readonly thoughts: string;
  /** The thoughts behind calls whose client did not send them back. */
  readonly memory?: Pick<ThoughtMemory, "recall"> | undefined;
}

function keyOf(thought: Thought): string | undefined {
  return thought.type === "encrypted" ? thought.data : thought.signature;
}

function unplaced(thought: Thought): Thought {
  const { place: _, ...rest } = thought;
  return rest;
}

/**
 * The thoughts that go back with a turn: those that were sent, else those that are remembered. Where they stood is remembered too, for clients
 * that send a thought without its place. Only signed ones: nobody takes others.
 */
export function thoughtsOf(
  { from, calls }: Turn & { readonly role: "assistant" },
  { thoughts: format, memory }: ThoughtOptions,
): readonly Thought[] {
  const sent = from.flatMap((message) => readThoughts(message, format)).filter((thought) => keyOf(thought) !== undefined);
  const [first] = calls;
  const known = (first && memory?.recall(first.id)) ?? [];
  if (sent.length === 0) return known;
  // Places are those of one message, and here several are one turn.
  if (from.length > 1) return sent.map(unplaced);
  const places = new Map(known.map((thought) => [keyOf(thought), thought.place]));
  return sent.map((thought) => {
    const place = thought.place ?? places.get(keyOf(thought));
    return place ? { ...thought, place } : thought;
  });
}
