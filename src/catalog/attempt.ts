import type { Call } from "../model/call.ts";
import { GatewayError } from "../model/errors.ts";
import type { ModelEvent } from "../model/events.ts";
import type { Model } from "../model/model.ts";
import type { ChatRequest } from "../model/request.ts";

/** The slot was empty before this model was asked: nothing went out, so it is no leg, and its span ends here. */
function noAttempt(upstream: string, { span, clock }: Call): GatewayError {
  const message = `No attempt is left for ${upstream}: the others of this request have used them up.`;
  const error = new GatewayError("attempts_exhausted", message, { upstream, attempts: 0 });
  span.status = "failed";
  span.error = { code: error.code, message };
  span.endMs = clock.now();
  return error;
}

/** Not a generator: it would stand on the path of every event. */
class Attempt implements AsyncIterable<ModelEvent> {
  readonly #leaf: Model;
  readonly #request: ChatRequest;
  readonly #call: Call;

  constructor(leaf: Model, request: ChatRequest, call: Call) {
    this.#leaf = leaf;
    this.#request = request;
    this.#call = call;
  }

  [Symbol.asyncIterator](): AsyncIterator<ModelEvent> {
    const call = this.#call;
    if (!call.slot.take()) throw noAttempt(this.#leaf.name, call);
    return this.#leaf.stream(this.#request, call)[Symbol.asyncIterator]();
  }
}

/** A leaf that takes an attempt of its slot for each call, so that a request makes so many calls whatever stands round the leaf. */
export function attempted(leaf: Model): Model {
  const { name } = leaf;
  return {
    name,
    stream: (request, call) => new Attempt(leaf, request, call),
  };
}
