import type { Weighed } from "./assemble.ts";
import { flush } from "./flush.ts";
import { medoidInstead, write, type Events, type Writing } from "./writer.ts";
import type { ChatRequest } from "../model/request.ts";

/** The end of a panel with a writer. */
export interface Closing {
  readonly writing: Writing;
  /** Whether this answer is by the writer's own model. */
  readonly isOwn: (answer: Weighed) => boolean;
  /** What the writer is asked. */
  readonly ask: () => ChatRequest;
}

/**
 * Lets the writer make the answer. A single candidate of the writer's own model is returned as it is: to read oneself adds nothing. When the
 * time is up before it begins, the panel's own choice, or the medoid, answers.
 */
export async function closeWith({ writing, isOwn, ask }: Closing): Promise<Events> {
  const { call, candidates, patience } = writing;
  if (patience.signal.aborted) return medoidInstead(writing, "deadline");
  const [only, ...others] = candidates;
  if (only !== undefined && others.length === 0 && isOwn(only)) {
    call.span.decision = { ...call.span.decision, winner: only.label };
    return flush(only.completion, call);
  }
  return write(writing, ask());
}
