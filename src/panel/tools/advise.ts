import { enter, type Call } from "../../model/call.ts";
import { throwIfAborted } from "../../model/errors.ts";
import type { ModelEvent } from "../../model/events.ts";
import type { Model } from "../../model/model.ts";
import { change, type ChatRequest } from "../../model/request.ts";
import { poll, shortage, type Assembly, type Weighed } from "../assemble.ts";
import { hasRoom } from "../room.ts";
import { lettersOf, show } from "../showing.ts";
import { shownTools } from "./shown.ts";
import { asideRequest } from "../turn.ts";

/** A panel that advises, and who calls. */
export interface Advising {
  readonly assembly: Assembly;
  readonly owner: Model;
  readonly maxTokens: number;
  /** What the members are asked. */
  readonly question: (variables: { readonly tools: string }) => string;
  /** What the owner is told. */
  readonly advice: (variables: { readonly candidates: string; readonly nonce: string }) => string;
}

async function adviceOf({ assembly, question }: Advising, request: ChatRequest, call: Call): Promise<readonly Weighed[]> {
  const { name, onShort, quorum, seating } = assembly;
  const asked = asideRequest(request, question({ tools: shownTools(request) }), { label: "advise", settings: {} });
  if (!hasRoom(call, seating.places.length + 1)) {
    call.trace.degraded.push("advice: budget_denied");
    return [];
  }
  const polled = await poll(assembly, change(asked, { n: undefined }), call, {});
  const count = polled.candidates.length;
  if (count >= quorum.min) return polled.candidates;
  const what = `${count} of ${quorum.min} usable answers`;
  if (onShort === "fail") throw shortage(`${name} has ${what}`, polled);
  call.trace.degraded.push(`advice: ${what}`);
  return polled.candidates;
}

/** What the owner's leg used is not what the request used. */
async function* ownEnd(events: AsyncIterable<ModelEvent>): AsyncGenerator<ModelEvent> {
  for await (const event of events) {
    if (event.type === "finish") yield { type: "finish", ...(event.completion && { completion: event.completion }) };
    else yield event;
  }
}

/**
 * A turn with tools that the panel advises on, in prose and without tools, and the owner answers: it reads the advice behind the conversation
 * and calls, or does not. Its tokens stream. Without advice it answers alone, marked as degraded.
 */
export async function* adviseOwner(advising: Advising, request: ChatRequest, call: Call): AsyncGenerator<ModelEvent> {
  const { owner, advice, maxTokens } = advising;
  const candidates = await adviceOf(advising, request, call);
  throwIfAborted(call.signal);
  const inner = () => enter(call, { label: "owner" });
  if (candidates.length === 0) {
    call.span.decision = { tools: "advise", owner: owner.name };
    yield* ownEnd(owner.stream(request, inner()));
    return;
  }
  const shown = show(candidates, { maxTokens, what: "advice" }, request, call);
  call.span.decision = { tools: "advise", owner: owner.name, candidates: lettersOf(shown) };
  const turn = { role: "user", content: advice({ candidates: shown.candidates, nonce: shown.nonce }) };
  yield* ownEnd(owner.stream(change(request, { messages: [...request.body.messages, turn] }), inner()));
}
