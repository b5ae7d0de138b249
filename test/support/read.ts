import type { GatewayError } from "../../src/model/errors.ts";
import type { ModelEvent } from "../../src/model/events.ts";

/** What came of a stream: its events, and the error that ended it. */
export interface Reading {
  readonly events: readonly ModelEvent[];
  readonly error: GatewayError | undefined;
}

/** Reads a stream to its end, whatever that is. */
export async function read(stream: AsyncIterable<ModelEvent>): Promise<Reading> {
  const events: ModelEvent[] = [];
  try {
    for await (const event of stream) events.push(event);
    return { events, error: undefined };
  } catch (thrown) {
    return { events, error: thrown as GatewayError };
  }
}
