import type { Call } from "./call.ts";
import { collect } from "./collect.ts";
import type { Completion } from "./completion.ts";
import { toGatewayError, type GatewayError } from "./errors.ts";
import type { FinishEvent, ModelEvent } from "./events.ts";
import type { Model } from "./model.ts";
import type { ChatRequest } from "./request.ts";

export type Completed =
  | { readonly ok: true; readonly completion: Completion; readonly finish: FinishEvent }
  | { readonly ok: false; readonly error: GatewayError };

/** Runs `model` to its end and tells the whole answer or the error as a value. `call.delivery` should not be `stream`. */
export async function complete(model: Model, request: ChatRequest, call: Call): Promise<Completed> {
  let finish: FinishEvent = { type: "finish" };
  const watch = async function* (): AsyncGenerator<ModelEvent> {
    for await (const event of model.stream(request, call)) {
      if (event.type === "finish") finish = event;
      yield event;
    }
  };
  try {
    const completion = await collect(watch());
    return { ok: true, completion, finish };
  } catch (thrown) {
    return { ok: false, error: toGatewayError(thrown, call.signal) };
  }
}
