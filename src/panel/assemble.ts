import type { Call } from "../model/call.ts";
import type { Completion } from "../model/completion.ts";
import { allFailed, GatewayError } from "../model/errors.ts";
import { gather, type Candidate, type Gathered } from "../model/gather.ts";
import { tellLeftOut } from "./capable.ts";
import type { Validator } from "./schema.ts";
import { seatsOf, type Asking, type Seating } from "./seats.ts";
import { noteCut } from "./cut-answers.ts";
import { emptiness, isCut, isRefusal, saidBy } from "./usable.ts";

/** When a panel has enough answers. */
export interface Quorum {
  readonly min: number;
  readonly graceMs?: number | undefined;
  readonly deadlineMs?: number | undefined;
  readonly hedge?: number | "p90" | undefined;
}

/** A panel's members and rules, fixed at boot. */
export interface Assembly {
  readonly name: string;
  readonly seating: Seating;
  readonly quorum: Quorum;
  readonly onShort: "degrade" | "fail";
  readonly refusals: "unusable" | "usable";
}

/** A usable answer of a member, with what it counts. */
export interface Weighed extends Candidate {
  readonly weight: number;
  readonly text: string;
}

/** What a strategy needs of the answers beyond that they are there. */
export interface Needs {
  readonly validator?: Validator | undefined;
  /** Why a text, which is no refusal, does not count. Must not throw. */
  readonly unusable?: (text: string) => string | undefined;
  /** Says why an answer does not count, instead of all rules for texts: for turns whose answers may be calls. Must not throw. */
  readonly unfit?: (completion: Completion) => string | undefined;
  /** Says why an answer that is fit counts only where there is no better one. Must not throw. */
  readonly fault?: (completion: Completion) => string | undefined;
  /** Called for each whole answer as it comes; once the quorum is met a reason ends the gathering. Must not throw. */
  readonly stop?: (candidate: Weighed) => string | undefined;
}

/** A text that is no valid answer under the request's schema, and why. */
export interface Invalid {
  readonly text: string;
  readonly reason: string;
}

export interface Assembled {
  /** In the order of the seats. Empty only when `invalid` or `faulty` is there. */
  readonly candidates: readonly Weighed[];
  /** Answers with a fault, in the order of the seats. */
  readonly faulty?: readonly Weighed[];
  /** The first text that failed the request's schema. */
  readonly invalid?: Invalid;
  /** Why it ended before all had answered. */
  readonly early?: string;
}

/** Weighs the candidates: a reserve votes with its own weight. */
function weigher({ seating }: Assembly): (candidate: Candidate) => Weighed {
  const weights = new Map([...seating.places, ...seating.reserves].map(({ label, weight }) => [label, weight]));
  return (candidate) => ({ ...candidate, weight: weights.get(candidate.label) ?? 1, text: saidBy(candidate.completion) });
}

/** Answers that stopped at a limit count only when no whole one is there. */
function preferWhole(candidates: readonly Weighed[]): readonly Weighed[] {
  const whole = candidates.filter(({ completion }) => !isCut(completion));
  return whole.length > 0 ? whole : candidates;
}

/** The answers that did not count for a fault alone. */
function faultyOf({ losses }: Gathered, { unfit, fault }: Needs, weigh: (candidate: Candidate) => Weighed): readonly Weighed[] {
  if (!fault) return [];
  const faulty = losses.flatMap(({ seat, label, completion }) =>
    completion && unfit?.(completion) === undefined ? [weigh({ seat, label, completion, ms: 0 })] : [],
  );
  return faulty.sort((a, b) => a.seat - b.seat);
}

/** What came back of the seats, whether or not it is enough. */
export interface Polled extends Assembled {
  readonly losses: Gathered["losses"];
}

/** Says how many seats the budget left empty. That none could be paid is told by what comes of it: an error, or a round that is dropped. */
function tellDenied({ candidates, losses }: Gathered, seats: number, { trace }: Call): void {
  const answered = new Set(candidates.map(({ seat }) => seat));
  const denied = new Set(losses.flatMap(({ seat, error }) => (error.code === "budget_denied" && !answered.has(seat) ? [seat] : [])));
  if (denied.size > 0 && denied.size < seats) trace.degraded.push(`members: budget_denied, ${denied.size} of ${seats}`);
}

/** The error of a panel that has too few answers. */
export function shortage(what: string, { losses }: Pick<Gathered, "losses">): GatewayError {
  const errors = losses.map(({ error }) => error);
  return errors.length > 0 ? allFailed(what, errors) : new GatewayError("unusable_answer", `${what}.`);
}

/** Fails, or notes the degradation, when the quorum was missed. */
function judgeShortage(assembly: Assembly, polled: Polled, call: Call): void {
  const { name, quorum, onShort } = assembly;
  const count = polled.candidates.length;
  if (count >= quorum.min) return;
  const what = `${count} of ${quorum.min} usable answers`;
  const hasWorse = polled.invalid !== undefined || (polled.faulty ?? []).length > 0;
  if (onShort === "fail" || (count === 0 && !hasWorse)) throw shortage(`${name} has ${what}`, polled);
  call.trace.degraded.push(`quorum: ${what}`);
}

/** Asks every seat and returns the answers that count, as `assemble` does, but leaves it to the caller what too few of them mean. */
export async function poll(assembly: Assembly, request: Asking, call: Call, needs: Needs): Promise<Polled> {
  const { quorum, refusals, seating } = assembly;
  const { stop, validator } = needs;
  const weigh = weigher(assembly);
  let whole = 0;
  let invalid: Invalid | undefined;
  const { seats, reserves } = seatsOf(seating, request, call);
  const gathered = await gather(seats, call, {
    min: quorum.min,
    reserves,
    ...(quorum.graceMs === undefined ? {} : { graceMs: quorum.graceMs }),
    ...(quorum.deadlineMs === undefined ? {} : { deadlineMs: quorum.deadlineMs }),
    ...(quorum.hedge === undefined ? {} : { hedge: quorum.hedge }),
    unusable(completion) {
      if (needs.unfit) return needs.unfit(completion) ?? needs.fault?.(completion);
      const empty = emptiness(completion, refusals);
      if (empty !== undefined || isRefusal(completion)) return empty;
      const text = saidBy(completion);
      const reason = validator?.(text);
      if (reason === undefined) return needs.unusable?.(text);
      invalid ??= { text, reason };
      return `it does not satisfy the schema (${reason})`;
    },
    ...(stop && {
      stop(candidate) {
        if (isCut(candidate.completion)) return undefined;
        whole += 1;
        const why = stop(weigh(candidate));
        return whole < quorum.min ? undefined : why;
      },
    }),
  });
  tellLeftOut(
    gathered.losses.map(({ error }) => error),
    call,
  );
  tellDenied(gathered, seats.length, call);
  noteCut(gathered.candidates, call.span);
  const faulty = faultyOf(gathered, needs, weigh);
  return {
    candidates: preferWhole(gathered.candidates.map(weigh)),
    losses: gathered.losses,
    ...(faulty.length > 0 && { faulty }),
    ...(invalid === undefined ? {} : { invalid }),
    ...(gathered.early === undefined ? {} : { early: gathered.early }),
  };
}

/**
 * Asks every seat that can take the request and returns the answers that count: finished, not empty, not a refusal, valid under the request's schema. A missed quorum
 * is a recorded degradation, or an error, as `onShort` says; without a single answer the request fails, unless there is an invalid one that
 * could be repaired.
 */
export async function assemble(assembly: Assembly, request: Asking, call: Call, needs: Needs): Promise<Assembled> {
  const polled = await poll(assembly, request, call, needs);
  judgeShortage(assembly, polled, call);
  return polled;
}
