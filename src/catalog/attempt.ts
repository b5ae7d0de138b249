import type { Call } from "../model/call.ts";
import { GatewayError } from "../model/errors.ts";
import type { ModelEvent } from "../model/events.ts";
import type { Model } from "../model/model.ts";
import type { ChatRequest } from "../model/request.ts";
import type { Incapable } from "./incapable.ts";

/** Nothing went out, so it is no leg, and its span ends here. */
function unasked(error: GatewayError, { span, clock }: Call): GatewayError {
  span.status = "failed";
  span.error = { code: error.code, message: error.message };
  span.endMs = clock.now();
  return error;
}

/** The slot was empty before this model was asked. */
function noAttempt(upstream: string): GatewayError {
  const message = `No attempt is left for ${upstream}: the others of this request have used them up.`;
  return new GatewayError("attempts_exhausted", message, { upstream, attempts: 0 });
}

/** Takes the attempt. Throws for what the leaf can not take, and when the slot is empty. */
function take(leaf: Model, limits: Incapable, request: ChatRequest, call: Call): void {
  if (request.source.buffer.length > limits.quietBytes) {
    const why = limits.why(request);
    if (why) throw unasked(why, call);
  }
  if (!call.slot.take()) throw unasked(noAttempt(leaf.name), call);
}

/** Not a generator: it would stand on the path of every event. A class: V8 makes a literal with a symbol in it in C++, each time. */
class Attempt implements AsyncIterable<ModelEvent> {
  readonly #leaf: Model;
  readonly #limits: Incapable;
  readonly #request: ChatRequest;
  readonly #call: Call;

  constructor(leaf: Model, limits: Incapable, request: ChatRequest, call: Call) {
    this.#leaf = leaf;
    this.#limits = limits;
    this.#request = request;
    this.#call = call;
  }

  [Symbol.asyncIterator](): AsyncIterator<ModelEvent> {
    take(this.#leaf, this.#limits, this.#request, this.#call);
    return this.#leaf.stream(this.#request, this.#call)[Symbol.asyncIterator]();
  }
}

/**
 * A leaf that takes an attempt of its slot for each call, so that a request makes so many calls whatever stands round the leaf. What it is known
 * not to take it refuses by name, before anything is spent.
 */
export function attempted(leaf: Model, limits: Incapable): Model {
  const { name } = leaf;
  const whole = leaf.whole?.bind(leaf);
  return {
    name,
    stream: (request, call) => new Attempt(leaf, limits, request, call),
    ...(whole && {
      whole: (request, call) => {
        try {
          take(leaf, limits, request, call);
        } catch (thrown) {
          return Promise.reject(thrown);
        }
        return whole(request, call);
      },
    }),
    unable: (request) => limits.why(request),
  };
}
