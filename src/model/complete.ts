import type { Call } from "./call.ts";
import { Collector } from "./collect.ts";
import type { Completion } from "./completion.ts";
import { GatewayError, toGatewayError } from "./errors.ts";
import type { FinishEvent } from "./events.ts";
import type { Model } from "./model.ts";
import type { ChatRequest } from "./request.ts";

/** Its `finish` carries the completion, whether the model told it whole or in pieces. */
export type Completed =
  | { readonly ok: true; readonly completion: Completion; readonly finish: FinishEvent }
  | { readonly ok: false; readonly error: GatewayError };

function failed(thrown: unknown, call: Call): Completed {
  return { ok: false, error: toGatewayError(thrown, call.signal) };
}

function withCompletion(finish: FinishEvent, model: Model): Completed {
  const { completion } = finish;
  if (completion) return { ok: true, completion, finish };
  return { ok: false, error: new GatewayError("upstream_protocol", `${model.name} ended without an answer.`) };
}

async function collected(model: Model, request: ChatRequest, call: Call): Promise<Completed> {
  try {
    const collector = new Collector();
    for await (const event of model.stream(request, call)) collector.add(event);
    const { finish } = collector;
    if (!finish) throw new GatewayError("upstream_protocol", `${model.name} ended without finishing its answer.`);
    const completion = collector.completion();
    return { ok: true, completion, finish: finish.completion ? finish : { ...finish, completion } };
  } catch (thrown) {
    return failed(thrown, call);
  }
}

/**
 * Runs `model` to its end and gives what `take` makes of the whole answer, or of the error, which is told as a value. `call.delivery` should not be
 * `stream`. One promise less than `complete` and a `then`: for the path of every request.
 */
export function completing<R>(
  model: Model,
  request: ChatRequest,
  call: Call,
  take: (completed: Completed) => R | PromiseLike<R>,
): Promise<R> {
  if (!model.whole || call.delivery === "stream") return collected(model, request, call).then(take);
  return model.whole(request, call).then(
    (finish) => take(withCompletion(finish, model)),
    (thrown: unknown) => take(failed(thrown, call)),
  );
}

/** Runs `model` to its end and tells the whole answer or the error as a value. `call.delivery` should not be `stream`. */
export function complete(model: Model, request: ChatRequest, call: Call): Promise<Completed> {
  return completing(model, request, call, (completed) => completed);
}
