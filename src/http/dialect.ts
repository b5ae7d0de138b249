import type { ServerResponse } from "node:http";
import type { Call } from "../model/call.ts";
import type { GatewayError } from "../model/errors.ts";
import type { ChatRequest } from "../model/request.ts";
import type { Asked } from "./asked.ts";
import type { Outcome } from "./closing.ts";
import type { Entered } from "./door.ts";

/** A request as its dialect read it: the chat that it is inside. A dialect keeps here what its answer has to know of the question. */
export interface Reading {
  readonly request: ChatRequest;
  /** Prompts that share the body, where `n` counts the answers to all of them; 1 when absent. */
  readonly prompts?: number;
}

/**
 * An inward dialect: a codec between a wire and the one internal form, which is a chat. `ChatRoute` does the rest, the same for each: key,
 * limits, narrowing (`chorale` of the chat's body, `x-chorale-*`), the call, deadline, hang-up, drain, log line, record.
 *
 * - `read` makes a chat of a body. It throws a GatewayError whose `param` is a name of its own wire, and gives a promise only where it has to
 *   look something up. What a chat can not say is refused by name.
 * - `whole` asks the model (`complete`) and sends the answer with `sendWhole`; `stream` is `tellStream` with a `Teller` of its own.
 * - `fail` answers with an error when nothing has gone out; after the head a `Teller` tells it.
 *
 * A dialect has no state: what belongs to one request is in its `Reading`, which comes back as `asked.reading`.
 */
export interface Dialect<R extends Reading = Reading> {
  /** What the id of an answer begins with. */
  readonly idPrefix: string;
  read(body: Buffer, entered: Entered): R | Promise<R>;
  whole(asked: Asked<R>, call: Call, reply: ServerResponse): Promise<Outcome>;
  stream(asked: Asked<R>, call: Call, reply: ServerResponse): Promise<Outcome>;
  fail(reply: ServerResponse, error: GatewayError, headers: readonly string[]): void;
}
