import type { Call } from "./call.ts";
import type { GatewayError } from "./errors.ts";
import type { FinishEvent, ModelEvent } from "./events.ts";
import type { ChatRequest } from "./request.ts";

/**
 * Something that answers a chat request. Providers, strategies, retry and fallback are all Models, so they nest.
 *
 * Laws; the contract suite checks them for every kind:
 *  1. Lazy. Nothing happens before the first `next()`.
 *  2. Order. `start`? then batches, then exactly one `finish`, last; each choice ends exactly once. An end without that is an error.
 *  3. Commit. The first batch with content commits (a bare role does not). With a delivery other than `stream` nothing commits before `finish`.
 *  4. Cancel. When `call.signal` aborts, the stream throws soon. When the consumer stops early, `finally` releases everything. Both.
 *  5. Errors. Only GatewayError leaves a Model.
 *  6. Pure input. `request` and `call` are never mutated; a changed copy goes inwards.
 *  7. No read-ahead beyond one read, unless the strategy is about whole answers.
 */
export interface Model {
  /** Path in the config, such as `smart/steps[0]` or `openai/gpt-5`. For logs, traces and errors. */
  readonly name: string;
  stream(request: ChatRequest, call: Call): AsyncIterable<ModelEvent>;
  /**
   * The `finish` with its completion, for a call whose delivery is not `stream`: what `stream` gives when it is collected, with the same trace,
   * bill and errors. It begins when it is called, never throws, and only `call.signal` cancels it. For what stands on the way of every request and gives one event anyway: that
   * event costs a turn of the queue for each layer, and a stream five. Ask through `complete`, which knows who has it.
   */
  whole?(request: ChatRequest, call: Call): Promise<FinishEvent>;
  /**
   * Why it can not take this request, where that is known before anybody is asked: a part that it does not read, tools, a prompt that is too
   * long. Undefined means that it may; without the method nothing is known. A strategy chooses among children who may.
   */
  unable?(request: ChatRequest): GatewayError | undefined;
}
