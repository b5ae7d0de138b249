import type { Call } from "../../model/call.ts";
import { GatewayError } from "../../model/errors.ts";
import type { ModelEvent } from "../../model/events.ts";
import type { ChatRequest } from "../../model/request.ts";
import { flush, ownCompletion } from "../flush.ts";
import { asksJson } from "../json-format.ts";

/** An answer that says that there is none. */
export interface Abstention {
  /** The node's name. */
  readonly name: string;
  /** What the client reads. */
  readonly text: string;
  readonly by: string;
  readonly why: string;
}

/**
 * Gives the text in place of an answer, and marks the span: what the answer says of itself is read there. Where JSON was asked for prose
 * would break the schema, so that it is an error. Nobody stands behind it: a cascade that looks at agreement goes on to its next step.
 */
export function* abstain({ name, text, by, why }: Abstention, request: ChatRequest, call: Call): Generator<ModelEvent> {
  // No member wrote this text: whoever asks whose it is has to hear that.
  const { winner: _, ...decided } = call.span.decision ?? {};
  call.span.decision = { ...decided, answered: null, abstained: true, by, why };
  if (asksJson(request)) throw new GatewayError("unusable_answer", `${name} abstains: ${why}.`);
  yield* flush(ownCompletion(text), call, { agreement: 0 });
}
