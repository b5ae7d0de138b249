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

/** Runs `model` to its end and tells the whole answer or the error as a value. `call.delivery` should not be `stream`. */
export async function complete(model: Model, request: ChatRequest, call: Call): Promise<Completed> {
  try {
    if (model.whole && call.delivery !== "stream") {
      const finish = await model.whole(request, call);
      if (!finish.completion) throw new GatewayError("upstream_protocol", `${model.name} ended without an answer.`);
      return { ok: true, completion: finish.completion, finish };
    }
    const collector = new Collector();
    for await (const event of model.stream(request, call)) collector.add(event);
    const { finish } = collector;
    if (!finish) throw new GatewayError("upstream_protocol", `${model.name} ended without finishing its answer.`);
    const completion = collector.completion();
    return { ok: true, completion, finish: finish.completion ? finish : { ...finish, completion } };
  } catch (thrown) {
    return { ok: false, error: toGatewayError(thrown, call.signal) };
  }
}
