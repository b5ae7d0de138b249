import { enter, type Call } from "../model/call.ts";
import { complete } from "../model/complete.ts";
import { textOf } from "../model/completion.ts";
import { GatewayError, throwIfAborted } from "../model/errors.ts";
import type { ModelEvent } from "../model/events.ts";
import { firstContent, open } from "../model/open.ts";
import type { ChatRequest } from "../model/request.ts";
import type { Assembled, Weighed } from "./assemble.ts";
import { flush, wholeDelivery } from "./flush.ts";
import { medoid } from "./voting/medoid.ts";
import type { Patience } from "./patience.ts";
import { repairOnce, schemaUnsatisfied, type RepairPrompt } from "./repair.ts";
import type { Validator } from "./schema.ts";
import { withSeed, withSettings, type Role } from "./seats.ts";
import { emptiness, isRefusal } from "./usable.ts";

/** What the last step of a panel needs, when a writer makes the answer out of candidates. */
export interface Writing {
  readonly writer: Role;
  readonly repairPrompt: RepairPrompt;
  /** Usable and, under a schema, valid. Where there is none, a writer that fails fails the panel. */
  readonly candidates: readonly Weighed[];
  readonly validator: Validator | undefined;
  readonly patience: Patience;
  readonly call: Call;
  /** Who answers in place of the writer where the panel has already chosen: by votes, by grades. Else the medoid. */
  readonly stead?: Stead | undefined;
}

/** A candidate and what it is: `first by peer ranking`. */
export interface Stead {
  readonly candidate: Weighed;
  readonly what: string;
}

function medoidOf(candidates: readonly Weighed[]): Stead | undefined {
  const candidate = candidates[medoid(candidates.map(({ text }) => text))];
  return candidate && { candidate, what: "medoid candidate" };
}

/** The candidate that the panel chose, or is most like the others, in place of a writer: a recorded degradation. Without one the writer's `error`. */
export function* medoidInstead(
  { call, candidates, stead }: Pick<Writing, "call" | "candidates" | "stead">,
  why: string,
  error = new GatewayError("internal", "There is no candidate to fall back on."),
): Generator<ModelEvent> {
  throwIfAborted(call.signal);
  const taken = stead ?? medoidOf(candidates);
  if (taken === undefined) throw error;
  const { candidate, what } = taken;
  call.trace.degraded.push(`writer: ${why}, the ${what} was taken`);
  call.span.decision = { ...call.span.decision, replaced: why, winner: candidate.label };
  yield* flush(candidate.completion, call);
}

/** Without one valid answer there is nothing to write from: an invalid one is repaired by the writer, or the request fails. */
export async function repairInstead(
  { writer, call, validator, patience, repairPrompt: prompt }: Writing,
  { name, invalid }: Pick<Assembled, "invalid"> & { readonly name: string },
  request: ChatRequest,
): Promise<Events> {
  if (validator === undefined || invalid === undefined) throw new GatewayError("internal", `${name} has no answers to merge.`);
  const repaired = await repairOnce({ writer, prompt, validator, signal: patience.signal }, invalid, request, call);
  call.span.decision = { ...call.span.decision, repaired: repaired !== undefined };
  if (repaired === undefined) throw schemaUnsatisfied(name, invalid);
  return flush(repaired, call);
}

/** Events to give out: iterate them, or a socket stays open. */
export type Events = Iterable<ModelEvent> | AsyncIterable<ModelEvent>;

/** What the writer's leg used is not what the request used: its finish ends here. */
async function* ownFinish(events: AsyncIterable<ModelEvent>): AsyncGenerator<ModelEvent> {
  for await (const event of events) {
    if (event.type === "finish") yield { type: "finish" };
    else yield event;
  }
}

function saysNothing({ writer: { model } }: Writing): GatewayError {
  return new GatewayError("unusable_answer", `${model.name}: it is empty.`, { upstream: model.name });
}

/** The writer's tokens as they come. Its first content commits. */
async function streamed(writing: Writing, asked: ChatRequest): Promise<Events> {
  const { writer, call, patience } = writing;
  let begun = false;
  const opening = await open(writer.model, asked, enter(call, { label: "writer", signal: patience.signal }), (event) => {
    begun = firstContent(event);
    return begun;
  });
  if (!opening.ok) return medoidInstead(writing, opening.error.code, opening.error);
  if (begun) {
    patience.release();
    return ownFinish(opening.events);
  }
  await opening.discard();
  return medoidInstead(writing, "empty", saysNothing(writing));
}

/** Holds the writer's answer until it is whole and, where a schema was asked for, valid or repaired. */
async function held(writing: Writing, asked: ChatRequest, written: ChatRequest): Promise<Events> {
  const { writer, call, validator, patience, repairPrompt: prompt } = writing;
  const inner = enter(call, { label: "writer", delivery: wholeDelivery(call), signal: patience.signal });
  const result = await complete(writer.model, asked, inner);
  if (!result.ok) return medoidInstead(writing, result.error.code, result.error);
  const { completion } = result;
  if (emptiness(completion, "usable") !== undefined) return medoidInstead(writing, "empty", saysNothing(writing));
  const text = textOf(completion);
  const reason = isRefusal(completion) ? undefined : validator?.(text);
  if (validator === undefined || reason === undefined) return flush(completion, call);
  const repaired = await repairOnce({ writer, prompt, validator, signal: patience.signal }, { text, reason }, written, call);
  call.span.decision = { ...call.span.decision, repaired: repaired !== undefined };
  if (repaired !== undefined) return flush(repaired, call);
  return medoidInstead(writing, "schema_unsatisfied", schemaUnsatisfied(writer.model.name, { text, reason }));
}

/**
 * The writer's answer to `request`, which holds the conversation and the candidates; its settings and seed are added here. It streams, unless
 * a schema has to be checked first (one repair, then the best valid candidate). A writer that fails, says nothing or is too late before its
 * first content is replaced by the medoid candidate.
 */
export function write(writing: Writing, request: ChatRequest): Promise<Events> {
  const { writer, call, validator } = writing;
  const asked = withSeed(withSettings(request, writer.settings), "writer");
  return call.delivery === "stream" && validator === undefined ? streamed(writing, asked) : held(writing, asked, request);
}
