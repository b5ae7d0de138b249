import type { Call, Delivery } from "../model/call.ts";
import { deltasOf } from "../model/choice-deltas.ts";
import type { Completion } from "../model/completion.ts";
import { batch, type FinishEvent, type ModelEvent } from "../model/events.ts";

/** How to ask for an answer that nobody sees before its end, and that is only cut when the request is. */
export function wholeDelivery({ delivery }: Call): Delivery {
  return delivery === "stream" ? "unary" : delivery;
}

/** What the votes behind an answer come to. */
type Agreed = Pick<FinishEvent, "agreement" | "agreementAtMost">;

/** The agreement of an outcome, as its answer tells it. */
export function agreed({ agreement, atMost }: { readonly agreement: number; readonly atMost?: number | undefined }): Agreed {
  return { agreement, ...(atMost === undefined ? {} : { agreementAtMost: atMost }) };
}

/**
 * Gives out a finished answer in one go: one batch to a stream, else the completion itself, with its bytes. Its usage is one leg's; the sum
 * stands in the ledger.
 */
export function* flush(completion: Completion, call: Call, told: Agreed = {}): Generator<ModelEvent> {
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
