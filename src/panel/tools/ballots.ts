/** The votes of a turn with tools, and the hierarchical majority over them. Pure. */
import type { Completion } from "../../model/completion.ts";
import type { AnswerRule } from "../answers/answers.ts";
import type { Weighed } from "../assemble.ts";
import { ballotOf } from "../voting/ballots.ts";
import { elect } from "../voting/election.ts";
import type { Seating } from "../seats.ts";
import {
  boundsOf,
  isDecided,
  nothingOut,
  seatWatch,
  stopping,
  type Bounds,
  type Outstanding,
  type Stopping,
} from "../voting/outstanding.ts";
import { createTally, type Tally } from "../voting/tally.ts";
import { namesKey, shownUses, usesKey, usesOf, type Toolbox } from "./calls.ts";
import type { Validator } from "../schema.ts";

/** An answer as it is counted: that it calls or says something, which tools, and with what. */
export interface ToolBallot {
  readonly candidate: Weighed;
  readonly kind: "calls" | "text";
  readonly names: string;
  /** Equal for equal calls, or equal answers; undefined for prose, which no other text equals. */
  readonly key: string | undefined;
  /** Why its arguments are wrong. */
  readonly fault: string | undefined;
}

export function toolBallotOf(candidate: Weighed, rule: AnswerRule, toolbox: Toolbox): ToolBallot {
  const uses = usesOf(candidate.completion);
  if (uses.length === 0) return { candidate, kind: "text", names: "", key: ballotOf(candidate, rule)?.key, fault: undefined };
  return { candidate, kind: "calls", names: namesKey(uses), key: usesKey(uses), fault: toolbox.fault(uses) };
}

/** The steps of the majority: whether to call, which tools, with what arguments. */
const STEPS: readonly ((ballot: ToolBallot) => string | undefined)[] = [({ kind }) => kind, ({ names }) => names, ({ key }) => key];

function tallyBy(ballots: readonly ToolBallot[], step: (ballot: ToolBallot) => string | undefined): Tally {
  const tally = createTally();
  for (const ballot of ballots) {
    const key = step(ballot);
    if (key !== undefined) tally.add(key, ballot.candidate.weight, ballot.candidate.seat);
  }
  return tally;
}

/** What won, with how it came to that. */
export interface ToolOutcome {
  readonly completion: Completion;
  readonly winner: string;
  /** Share of the weight behind it; where votes were not waited for, what it is at least. */
  readonly agreement: number;
  /** What it may have come to; only where votes were not waited for. */
  readonly atMost?: number;
  /** Weights by what was told apart, step by step. */
  readonly votes: Readonly<Record<string, Readonly<Record<string, number>>>>;
}

export interface ToolElection {
  readonly rule: AnswerRule;
  readonly validator: Validator | undefined;
  /** Votes that were not waited for. */
  readonly out?: Outstanding;
}

function weigh(ballots: readonly ToolBallot[]): number {
  return ballots.reduce((sum, { candidate }) => sum + candidate.weight, 0);
}

function shares(ballots: readonly ToolBallot[], all: readonly ToolBallot[]): number {
  const total = all.reduce((sum, { candidate }) => sum + Math.abs(candidate.weight), 0);
  return total > 0 ? Math.min(1, Math.max(0, weigh(ballots) / total)) : ballots.length / all.length;
}

/** The share of those who do the same, or where it may end. */
function agreementOf(
  same: readonly ToolBallot[],
  all: readonly ToolBallot[],
  { out = nothingOut }: ToolElection,
): Pick<ToolOutcome, "agreement" | "atMost"> {
  if (out.weight === 0) return { agreement: shares(same, all) };
  const { least, most } = boundsWith(same, all, out);
  return { agreement: least, atMost: most };
}

function standings(tally: Tally): Readonly<Record<string, number>> {
  return Object.fromEntries(tally.standings().map(({ key, weight }) => [key, weight]));
}

/** The texts of a turn that most would not call for: the most frequent answer, else the text most like the others. */
function electText(texts: readonly ToolBallot[], all: readonly ToolBallot[], election: ToolElection): ToolOutcome | undefined {
  const { out = nothingOut, rule, validator } = election;
  const outcome = elect(
    texts.map(({ candidate }) => candidate),
    { rule, json: "whole", validator },
  );
  if (outcome?.winner === undefined) return undefined;
  const { completion, winner, agreement, votes } = outcome;
  const told = { completion, winner, votes: { answers: votes } };
  if (out.weight === 0) return { ...told, agreement: agreement * shares(texts, all) };
  // It was stopped for one answer: those who say the same as the winner.
  const key = texts.find(({ candidate }) => candidate.label === winner)?.key;
  const same = texts.filter((ballot) => ballot.key === key);
  return { ...told, ...agreementOf(same, all, election) };
}

/**
 * Hierarchical majority: whether to call at all; among those who call, which tools (as a multiset); among those, which arguments, by value.
 * So two who call the same tool with different arguments still outvote one who calls nothing. Equals fall to the earlier seat. The answer of
 * the earliest member of the winning class is returned, untouched.
 */
export function electCalls(all: readonly ToolBallot[], election: ToolElection): ToolOutcome | undefined {
  const [kinds, names, keys] = STEPS;
  if (!kinds || !names || !keys) return undefined;
  const byKind = tallyBy(all, kinds);
  const kind = byKind.leader()?.key;
  const votes = { turn: standings(byKind) };
  const left = all.filter((ballot) => ballot.kind === kind);
  if (kind === "text") {
    const outcome = electText(left, all, election);
    return outcome && { ...outcome, votes: { ...votes, ...outcome.votes } };
  }
  const byNames = tallyBy(left, names);
  const called = left.filter((ballot) => ballot.names === byNames.leader()?.key);
  const byKey = tallyBy(called, keys);
  const leader = byKey.leader();
  const same = called.filter((ballot) => ballot.key === leader?.key);
  const first = same.find(({ candidate }) => candidate.seat === leader?.order)?.candidate;
  if (!first) return undefined;
  const shown = byKey.standings().map(({ order, weight }) => {
    const spokesman = called.find(({ candidate }) => candidate.seat === order);
    return [spokesman ? shownUses(usesOf(spokesman.candidate.completion)) : "", weight] as const;
  });
  return {
    completion: first.completion,
    winner: first.label,
    ...agreementOf(same, all, election),
    votes: { ...votes, names: standings(byNames), calls: Object.fromEntries(shown) },
  };
}

/** Those who do what the leader does, when votes of this weight change nothing at any step, however they are cast. */
function settledOn(ballots: readonly ToolBallot[], outstanding: number): readonly ToolBallot[] | undefined {
  let left = ballots;
  for (const step of STEPS) {
    if (left.some((ballot) => step(ballot) === undefined)) return undefined;
    const tally = tallyBy(left, step);
    if (!tally.unassailable(outstanding)) return undefined;
    const leader = tally.leader()?.key;
    left = left.filter((ballot) => step(ballot) === leader);
  }
  return left.length > 0 ? left : undefined;
}

/** Where the share of those who do the same may end. */
function boundsWith(same: readonly ToolBallot[], all: readonly ToolBallot[], out: Outstanding): Bounds {
  const total = all.reduce((sum, { candidate }) => sum + Math.abs(candidate.weight), 0);
  return boundsOf(weigh(same), total, out);
}

/** Says when the votes that are out need not be waited for. */
export function toolStop(seating: Seating, read: (candidate: Weighed) => ToolBallot, marks: readonly number[] = []): Stopping<Outstanding> {
  const watch = seatWatch(seating);
  const cast: ToolBallot[] = [];
  return stopping(nothingOut, (candidate) => {
    const out = watch(candidate.seat);
    cast.push(read(candidate));
    const same = settledOn(cast, out.weight);
    return { why: same && isDecided(boundsWith(same, cast, out), marks) ? "the leader can not be caught" : undefined, out };
  });
}
