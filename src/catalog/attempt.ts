import type { Call } from "../model/call.ts";
import { GatewayError } from "../model/errors.ts";
import type { Model } from "../model/model.ts";

/** The slot was empty before this model was asked: nothing went out, so it is no leg, and its span ends here. */
function noAttempt(upstream: string, { span, clock }: Call): GatewayError {
  const message = `No attempt is left for ${upstream}: the others of this request have used them up.`;
  const error = new GatewayError("attempts_exhausted", message, { upstream, attempts: 0 });
  span.status = "failed";
  span.error = { code: error.code, message };
  span.endMs = clock.now();
  return error;
}

/** A leaf that takes an attempt of its slot for each call, so that a request makes so many calls whatever stands round the leaf. */
export function attempted(leaf: Model): Model {
  const { name } = leaf;
  return {
    name,
    // Not a generator: this stands on the path of every event.
    stream: (request, call) => ({
      [Symbol.asyncIterator]() {
        if (!call.slot.take()) throw noAttempt(name, call);
        return leaf.stream(request, call)[Symbol.asyncIterator]();
      },
    }),
  };
}
