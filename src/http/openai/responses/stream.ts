import type { WireError } from "../../../model/errors.ts";
import type { Delta } from "../../../model/events.ts";
import type { End } from "./end.ts";
import { EventWriter } from "./events.ts";
import type { Json } from "./json.ts";
import { Output } from "./output.ts";
import type { Wants } from "./request.ts";
import { responseOf, type State } from "./response.ts";

/** The frames of one streamed response, in order. */
export class ResponseFrames {
  readonly output: Output;
  readonly #known: Pick<State, "identity" | "echo">;
  readonly #events = new EventWriter();
  #begun = false;

  constructor(known: Pick<State, "identity" | "echo">, wants: Wants) {
    this.#known = known;
    this.output = new Output(known.identity.id.slice("resp_".length), wants, (type, fields) => this.#events.write(type, fields));
  }

  /** The response before anything is known; nothing the second time. */
  begin(): string {
    if (this.#begun) return "";
    this.#begun = true;
    const response = responseOf({ ...this.#known, output: [] });
    this.#events.write("response.created", { response });
    this.#events.write("response.in_progress", { response });
    return this.#events.take();
  }

  deltas(deltas: readonly Delta[]): string {
    const head = this.begin();
    this.output.addAll(deltas);
    return head + this.#events.take();
  }

  /** An event that changes nothing; empty where there is none. */
  idle(): string {
    const head = this.begin();
    if (head !== "") return head;
    if (this.output.isEmpty) this.#events.write("response.in_progress", { response: responseOf({ ...this.#known, output: [] }) });
    else this.output.idle();
    return this.#events.take();
  }

  /** Ends the last item. */
  close(): { readonly end: End; readonly frames: string } {
    const head = this.begin();
    const end = this.output.finish();
    return { end, frames: head + this.#events.take() };
  }

  /** The last event of a response that is whole. */
  last(response: Json, end: End): string {
    this.#events.write(`response.${end.status}`, { response });
    return this.#events.take();
  }

  /**
   * The last event of a response that failed. `error` stands in it twice: beside the response too, because official clients throw only for
   * that one.
   */
  fail(error: WireError): string {
    const head = this.begin();
    const response = responseOf({ ...this.#known, output: this.output.items, error });
    const { message, type, param, code } = error;
    this.#events.take();
    this.#events.write("response.failed", { response, error: { message, type, param, code } });
    return head + this.#events.take();
  }
}
