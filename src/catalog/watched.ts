import type { Call } from "../model/call.ts";
import { GatewayError, toGatewayError } from "../model/errors.ts";
import type { FinishEvent, ModelEvent } from "../model/events.ts";
import { ended } from "../model/hand-over.ts";
import type { Model } from "../model/model.ts";
import type { ChatRequest } from "../model/request.ts";

/** Who looks at a stream that passes. */
export interface Watcher {
  /** Before the model is asked. What it throws is the end of it. */
  begin(): void;
  /** Each event before it goes on. */
  seen(event: ModelEvent): void;
  /** The one `finish`, before it goes on. */
  finished(event: FinishEvent): void;
  /** The stream ended without a `finish`: by an error, or because nobody wanted more. Called once. */
  cut(error: GatewayError | undefined): void;
}

type Result = IteratorResult<ModelEvent, undefined>;

/** Written by hand and not as a generator: it stands twice on the path of every event, and a generator costs three turns of the queue for each. */
class Watched implements AsyncIterableIterator<ModelEvent, undefined> {
  readonly #watcher: Watcher;
  readonly #model: Model;
  readonly #request: ChatRequest;
  readonly #call: Call;
  #inner: AsyncIterator<ModelEvent> | undefined;
  #finished = false;
  #over = false;

  constructor(watcher: Watcher, model: Model, request: ChatRequest, call: Call) {
    this.#watcher = watcher;
    this.#model = model;
    this.#request = request;
    this.#call = call;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<Result> {
    if (this.#over) return Promise.resolve(ended);
    try {
      this.#inner ??= this.#begin();
    } catch (thrown) {
      return Promise.reject(this.#failure(thrown));
    }
    return this.#inner.next().then(this.#passed, this.#failed);
  }

  #begin(): AsyncIterator<ModelEvent> {
    this.#watcher.begin();
    return this.#model.stream(this.#request, this.#call)[Symbol.asyncIterator]();
  }

  async return(): Promise<Result> {
    if (this.#over) return ended;
    this.#over = true;
    let error: GatewayError | undefined;
    try {
      await this.#inner?.return?.();
    } catch (thrown) {
      error = toGatewayError(thrown, this.#call.signal);
      throw error;
    } finally {
      if (this.#inner) this.#cut(error);
    }
    return ended;
  }

  readonly #passed = (result: IteratorResult<ModelEvent>): Result | Promise<Result> => {
    // Somebody left while it was awaited.
    if (this.#over) return ended;
    if (result.done) {
      if (this.#finished) {
        this.#over = true;
        return ended;
      }
      throw this.#failure(new GatewayError("upstream_protocol", `${this.#model.name} ended without finishing its answer.`));
    }
    try {
      const event = result.value;
      if (event.type === "finish") {
        this.#finished = true;
        this.#watcher.finished(event);
      } else this.#watcher.seen(event);
      return result;
    } catch (thrown) {
      return this.#close(thrown);
    }
  };

  readonly #failed = (thrown: unknown): never => {
    throw this.#failure(thrown);
  };

  /** A watcher that fails ends the stream below it too. */
  async #close(thrown: unknown): Promise<never> {
    const error = this.#failure(thrown);
    await this.#inner?.return?.();
    throw error;
  }

  #failure(thrown: unknown): GatewayError {
    const error = toGatewayError(thrown, this.#call.signal);
    this.#over = true;
    this.#cut(error);
    return error;
  }

  /** Once, also where somebody leaves while an event is awaited. */
  #cut(error: GatewayError | undefined): void {
    if (this.#finished) return;
    this.#finished = true;
    this.#watcher.cut(error);
  }
}

/** The stream of `model` that `watcher` sees pass. Only a GatewayError leaves it, and a stream without a `finish` is an error. */
export function watch(watcher: Watcher, model: Model, request: ChatRequest, call: Call): AsyncIterable<ModelEvent> {
  return new Watched(watcher, model, request, call);
}

/** The same where a model gives its whole answer at once: `ask` asks it. */
export function watchWhole(watcher: Watcher, ask: NonNullable<Model["whole"]>, request: ChatRequest, call: Call): Promise<FinishEvent> {
  const failed = (thrown: unknown): never => {
    const error = toGatewayError(thrown, call.signal);
    watcher.cut(error);
    throw error;
  };
  const finished = (event: FinishEvent): FinishEvent => {
    try {
      watcher.finished(event);
    } catch (thrown) {
      throw toGatewayError(thrown, call.signal);
    }
    return event;
  };
  return begun(watcher, ask, request, call).then(finished, failed);
}

function begun(watcher: Watcher, ask: NonNullable<Model["whole"]>, request: ChatRequest, call: Call): Promise<FinishEvent> {
  try {
    watcher.begin();
    return ask(request, call);
  } catch (thrown) {
    return Promise.reject(thrown);
  }
}
