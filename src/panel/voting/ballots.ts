import { extractAnswer, type AnswerRule } from "../answers/answers.ts";
import type { Weighed } from "../assemble.ts";
import type { Seating } from "../seats.ts";
import { isDecided, nothingOut, seatWatch, stopping, type Outstanding, type Stopping } from "./outstanding.ts";
import { createTally, type Tally } from "./tally.ts";
import { isRefusal } from "../usable.ts";

/** A candidate with the vote that it casts. */
export interface Ballot {
  readonly candidate: Weighed;
  /** Equal keys are equal answers. */
  readonly key: string;
  readonly shown: string;
}

/** What `auto` finds in a text this long (normalised) is the text itself: prose, which no other text equals. */
const PROSE = 200;

/** The vote of a candidate; undefined when none can be told from its text. */
export function ballotOf(candidate: Weighed, rule: AnswerRule): Ballot | undefined {
  if (isRefusal(candidate.completion)) return { candidate, key: "refusal", shown: "(refusal)" };
  const found = extractAnswer(candidate.text, rule);
  if (found === undefined || (rule.kind === "auto" && found.kind === "exact" && found.key.length > PROSE)) return undefined;
  return { candidate, key: found.key, shown: found.shown };
}

/** Counts ballots; those of earlier seats speak for their class. */
export function tallyOf(ballots: readonly Ballot[]): Tally {
  const tally = createTally();
  for (const { candidate, key } of ballots) tally.add(key, candidate.weight, candidate.seat);
  return tally;
}

/** The votes as a record tells them: the earliest wording of each class with its weight, best first. */
export function votesOf(ballots: readonly Ballot[], tally: Tally): Readonly<Record<string, number>> {
  const votes = new Map<string, number>();
  for (const { key, weight, order } of tally.standings()) {
    const shown = ballots.find(({ candidate }) => candidate.seat === order)?.shown ?? key;
    votes.set(votes.has(shown) ? `${shown} [${key}]` : shown, weight);
  }
  return Object.fromEntries(votes);
}

export interface StopRule {
  readonly by: "unassailable" | "beta";
  /** Shares that the agreement is compared with: what is waited for must not be able to change on which side of one it is. */
  readonly marks: readonly number[];
  /** Whether answers that differ in wording may turn out to be one: then only more than half of all can not be caught. */
  readonly merges?: boolean;
}

/** Says when more votes can not change the winner (`unassailable`), or hardly will (`beta`). */
export function stopRule({ by, marks, merges = false }: StopRule, rule: AnswerRule, seating: Seating): Stopping<Outstanding> {
  const tally = createTally();
  const watch = seatWatch(seating);
  let cast = 0;
  const why = (out: Outstanding): string | undefined => {
    const leader = tally.leader();
    if (leader === undefined) return undefined;
    const { least, most } = tally.bounds(out);
    // Others of those that are in may turn out to have said the same.
    if (!isDecided({ least, most: merges ? 1 : most }, marks)) return undefined;
    if (merges) return leader.weight > cast - leader.weight + out.weight ? "the leader can not be caught" : undefined;
    if (by === "beta") return tally.beta() ? "the leader is clear" : undefined;
    return tally.unassailable(out.weight) ? "the leader can not be caught" : undefined;
  };
  return stopping(nothingOut, (candidate) => {
    const out = watch(candidate.seat);
    const ballot = ballotOf(candidate, rule);
    if (ballot) {
      tally.add(ballot.key, candidate.weight, candidate.seat);
      cast += Math.abs(candidate.weight);
    }
    return { why: why(out), out };
  });
}
