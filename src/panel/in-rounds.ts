import type { Call } from "../model/call.ts";
import { throwIfAborted } from "../model/errors.ts";
import type { ModelEvent } from "../model/events.ts";
import type { ChatRequest } from "../model/request.ts";
import { assemble, type Assembly } from "./assemble.ts";
import { closeWith } from "./closing.ts";
import { openPatience } from "./patience.ts";
import type { RepairPrompt } from "./repair.ts";
import { seated, type Course, type Seated } from "./rounds.ts";
import { validatorOf } from "./schema.ts";
import type { Role } from "./seats.ts";
import { lettersOf, show } from "./showing.ts";
import { withTurn } from "./turn.ts";
import { repairInstead, type Events, type Writing } from "./writer.ts";

/** A further round, before it is asked. */
export interface Next extends Course {
  readonly request: ChatRequest;
  /** 2, 3 ... */
  readonly number: number;
}

/** A panel that answers in rounds, and a writer who closes. Fixed at boot. */
export interface InRounds {
  readonly assembly: Assembly;
  /** How often the members answer. */
  readonly rounds: number;
  /** The answers of a further round, made of the last ones; undefined when there is none to be had, and the last ones stand. */
  next(answers: readonly Seated[], next: Next): Promise<readonly Seated[] | undefined>;
  readonly writer: Role;
  /** Labels of the places where the writer's own model sits. */
  readonly writerSeats: ReadonlySet<string>;
  /** What the writer is asked. */
  closing(shown: { readonly nonce: string; readonly candidates: string }): string;
  readonly maxCandidateTokens: number;
  readonly repairPrompt: RepairPrompt;
}

/** The writer, or who stands in for it, over the answers of the last round that counted. */
function close(panel: InRounds, answers: readonly Seated[], writing: Writing, { request, number }: Next): Promise<Events> {
  const { call } = writing;
  const own = new Set(answers.filter(({ place }) => panel.writerSeats.has(place.label)).map(({ label }) => label));
  call.span.decision = { ...call.span.decision, rounds: number };
  return closeWith({
    writing,
    isOwn: ({ label }) => own.has(label),
    ask() {
      const shown = show(answers, { maxTokens: panel.maxCandidateTokens }, request, call);
      call.span.decision = { ...call.span.decision, candidates: lettersOf(shown) };
      return withTurn(request, panel.closing({ nonce: shown.nonce, candidates: shown.candidates }));
    },
  });
}

/**
 * Asks the members, then again as often as the rounds say, each time with nothing but the answers of the round before, and lets the writer
 * close. A round that does not count ends the rounds; a deadline that passes gives the medoid of the last one that counted.
 */
export async function* answerInRounds(panel: InRounds, request: ChatRequest, call: Call): AsyncGenerator<ModelEvent> {
  const { assembly, rounds, writer, repairPrompt } = panel;
  using patience = openPatience(call, assembly.quorum.deadlineMs);
  const validator = validatorOf(request);
  const course = { assembly, call, patience, validator };
  const assembled = await assemble(assembly, request, call, { validator });
  if (assembled.early !== undefined) call.span.decision = { early: assembled.early };
  let answers = seated(assembly.seating, assembled.candidates);
  let number = 1;
  while (number < rounds && answers.length > 0) {
    const next = await panel.next(answers, { ...course, request, number: number + 1 });
    throwIfAborted(call.signal);
    if (next === undefined) break;
    answers = next;
    number += 1;
  }
  const writing: Writing = { writer, repairPrompt, candidates: answers, validator, patience, call };
  if (answers.length === 0) yield* await repairInstead(writing, { ...assembled, name: assembly.name }, request);
  else yield* await close(panel, answers, writing, { ...course, request, number });
}
