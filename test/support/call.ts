import { newLedger } from "../../src/model/ledger.ts";
import { unbounded } from "../../src/model/budget.ts";
import type { Call } from "../../src/model/call.ts";
import { chatRequest, readSource, type ChatBody, type ChatRequest } from "../../src/model/request.ts";
import { newRetryBudget, newSlot } from "../../src/model/slot.ts";
import { newTrace } from "../../src/model/trace.ts";
import { manualClock } from "./clock.ts";

/** A call as the door makes it, over a clock that stands still; shallowly frozen, so that a change to it throws. */
export function newCall(given: Partial<Call> = {}): Call {
  const clock = given.clock ?? manualClock();
  const trace = given.trace ?? newTrace(clock.now(), false);
  return Object.freeze({
    id: "call-1",
    identity: Object.freeze({ id: "chatcmpl-1", model: "smart", created: 1_700_000_000 }),
    principal: Object.freeze({ name: "team-a" }),
    signal: new AbortController().signal,
    delivery: "stream",
    clock,
    random: () => 0.5,
    log: { warn: () => {} },
    slot: newSlot(newRetryBudget()),
    budget: unbounded,
    ledger: newLedger(),
    trace,
    span: trace.root,
    timeouts: Object.freeze({}),
    hops: 0,
    ...given,
  });
}

function deepFreeze<T>(value: T): T {
  if (typeof value !== "object" || value === null) return value;
  for (const part of Object.values(value)) deepFreeze(part);
  return Object.freeze(value);
}

/** A request as the door makes it, frozen to its depth. */
export function newRequest(fields: Partial<ChatBody> = {}): ChatRequest {
  const given: ChatBody = {
    model: "smart",
    messages: [{ role: "user", content: "What is 2+2?" }],
    ...fields,
  };
  const { body, source } = readSource(Buffer.from(JSON.stringify(given)));
  return Object.freeze({
    ...chatRequest(deepFreeze(body) as ChatBody, source),
    edits: Object.freeze({}),
  });
}
