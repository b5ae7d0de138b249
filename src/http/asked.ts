import type { Entry } from "../catalog/catalog.ts";
import type { Call } from "../model/call.ts";
import { openSpan } from "../model/trace.ts";
import type { ChatRequest } from "../model/request.ts";
import type { Reading } from "./dialect.ts";
import type { Entered } from "./door.ts";
import type { Narrowing } from "./openai/narrow.ts";

/** A request that was read, checked and found a model. */
export interface Asked<R extends Reading = Reading> {
  readonly entered: Entered;
  readonly entry: Entry;
  readonly request: ChatRequest;
  readonly narrowing: Narrowing;
  /** What the dialect read. */
  readonly reading: R;
}

/** The call of the model that was asked for. */
export function rootCall(call: Call, entry: Entry): Call {
  return { ...call, span: openSpan(call.trace.root, entry.name, call.clock.now()) };
}
