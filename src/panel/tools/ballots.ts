/** The votes of a turn with tools, and the hierarchical majority over them. Pure. */
import type { Completion } from "../../model/completion.ts";
import type { AnswerRule } from "../answers/answers.ts";
import type { Weighed } from "../assemble.ts";
import { ballotOf } from "../voting/ballots.ts";
import { elect } from "../voting/election.ts";
import type { Seating } from "../seats.ts";
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
  /** Share of the weight behind it. */
  readonly agreement: number;
  /** Weights by what was told apart, step by step. */
  readonly votes: Readonly<Record<string, Readonly<Record<string, number>>>>;
}

export interface ToolElection {
  readonly rule: AnswerRule;
  readonly validator: Validator | undefined;
}

function weigh(ballots: readonly ToolBallot[]): number {
  return ballots.reduce((sum, { candidate }) => sum + candidate.weight, 0);
}

function shares(ballots: readonly ToolBallot[], all: readonly ToolBallot[]): number {
  const total = all.reduce((sum, { candidate }) => sum + Math.abs(candidate.weight), 0);
  return total > 0 ? Math.min(1, Math.max(0, weigh(ballots) / total)) : ballots.length / all.length;
}

function standings(tally: Tally): Readonly<Record<string, number>> {
  return Object.fromEntries(tally.standings().map(({ key, weight }) => [key, weight]));
}

/** The texts of a turn that most would not call for: the most frequent answer, else the text most like the others. */
function electText(texts: readonly ToolBallot[], all: readonly ToolBallot[], { rule, validator }: ToolElection): ToolOutcome | undefined {
  const outcome = elect(
    texts.map(({ candidate }) => candidate),
    { rule, json: "whole", validator },
  );
  if (outcome?.winner === undefined) return undefined;
  const { completion, winner, agreement, votes } = outcome;
  return { completion, winner, agreement: agreement * shares(texts, all), votes: { answers: votes } };
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
    agreement: shares(same, all),
    votes: { ...votes, names: standings(byNames), calls: Object.fromEntries(shown) },
  };
}

/** Whether votes of this weight, however they are cast, change nothing any more: at no step may the leader be caught. */
function isSettled(ballots: readonly ToolBallot[], outstanding: number): boolean {
  let left = ballots;
  for (const step of STEPS) {
    if (left.some((ballot) => step(ballot) === undefined)) return false;
    const tally = tallyBy(left, step);
    if (!tally.unassailable(outstanding)) return false;
    const leader = tally.leader()?.key;
    left = left.filter((ballot) => step(ballot) === leader);
  }
  return left.length > 0;
}

/** Says when the votes that are out need not be waited for. A seat that failed stays outstanding: it may be replaced. */
export function toolStop(
  { places, reserves }: Seating,
  read: (candidate: Weighed) => ToolBallot,
): (candidate: Weighed) => string | undefined {
  const spare = Math.max(0, ...reserves.map(({ weight }) => Math.abs(weight)));
  const open = new Map(places.map(({ weight }, seat) => [seat, Math.max(Math.abs(weight), spare)]));
  const cast: ToolBallot[] = [];
  return (candidate) => {
    open.delete(candidate.seat);
    cast.push(read(candidate));
    const outstanding = [...open.values()].reduce((sum, weight) => sum + weight, 0);
    return isSettled(cast, outstanding) ? "the leader can not be caught" : undefined;
  };
}
