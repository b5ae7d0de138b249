/** Which of several models agrees most with itself: SLM-MUX, arXiv 2510.05077. */
import type { AnswerRule } from "../answers/answers.ts";
import type { Weighed } from "../assemble.ts";
import { ballotOf, tallyOf, type Ballot } from "./ballots.ts";
import { isDecided, stopping, type Stopping } from "./outstanding.ts";
import type { Tally } from "./tally.ts";

/** A member with the places that its samples have. */
export interface Sampled {
  /** What the record calls it; distinct. */
  readonly name: string;
  /** Breaks a tie: its accuracy in validation, or whatever else the config says. */
  readonly weight: number;
  /** Its seats, in order. */
  readonly seats: readonly number[];
}

/** How consistent a member is. */
export interface Consistency {
  readonly member: Sampled;
  /** Share of its usable answers that say the most frequent one; 0 without any. */
  readonly confidence: number;
  /** Answers that could be counted. */
  readonly usable: number;
  /** The earliest answer that says the most frequent one. */
  readonly ballot: Ballot | undefined;
}

/** One answer always agrees with itself: half of a member's samples or fewer say little of it. */
function enough({ seats }: Sampled): number {
  return Math.floor(seats.length / 2) + 1;
}

/**
 * The most frequent answer of some ballots; among equals that of the earliest sample. Samples count one each: weights are for ties between
 * members.
 */
function tallyEqually(ballots: readonly Ballot[]): Tally {
  return tallyOf(ballots.map((ballot) => ({ ...ballot, candidate: { ...ballot.candidate, weight: 1 } })));
}

function measure(member: Sampled, ballots: readonly Ballot[]): Consistency {
  const own = ballots.filter(({ candidate }) => member.seats.includes(candidate.seat));
  const leader = tallyEqually(own).leader();
  const confidence = leader === undefined ? 0 : leader.count / own.length;
  return { member, confidence, usable: own.length, ballot: own.find(({ candidate }) => candidate.seat === leader?.order) };
}

/** Whole numbers over small whole numbers: what differs at all differs by more than this. */
const SAME = 1e-9;

/**
 * The members by how consistent they are, the one whose answer it is first: by confidence, then weight, then order. Members without most of
 * their samples come behind all others: a single answer agrees with itself.
 */
export function byConsistency(candidates: readonly Weighed[], rule: AnswerRule, members: readonly Sampled[]): readonly Consistency[] {
  const ballots = candidates.map((candidate) => ballotOf(candidate, rule)).filter((ballot) => ballot !== undefined);
  const short = ({ member, usable }: Consistency) => (usable < enough(member) ? 1 : 0);
  // The sort is stable, so that equals keep the order of the members.
  return members
    .map((member) => measure(member, ballots))
    .toSorted((a, b) => {
      if (short(a) !== short(b)) return short(a) - short(b);
      const more = b.confidence - a.confidence;
      return Math.abs(more) > SAME ? more : b.member.weight - a.member.weight;
    });
}

/** What is known of a member while some of its samples are out. */
interface Bounds {
  readonly member: Sampled;
  readonly index: number;
  /** Confidence when all that is out says something new. */
  readonly least: number;
  /** Confidence when all that is out agrees. */
  readonly most: number;
  /** Whether its most frequent answer can not change any more, and enough of its samples are in. */
  readonly settled: boolean;
}

function boundsOf(member: Sampled, index: number, ballots: readonly Ballot[], out: ReadonlySet<number>): Bounds {
  const own = ballots.filter(({ candidate }) => member.seats.includes(candidate.seat));
  const waiting = member.seats.filter((seat) => out.has(seat)).length;
  const tally = tallyEqually(own);
  const [first, second] = tally.standings();
  const lead = (first?.count ?? 0) - (second?.count ?? 0);
  const all = own.length + waiting;
  return {
    member,
    index,
    least: all === 0 ? 0 : (first?.count ?? 0) / all,
    most: all === 0 ? 0 : ((first?.count ?? 0) + waiting) / all,
    settled: own.length >= enough(member) && (waiting === 0 || lead > waiting),
  };
}

/** Whether `one` stays before `other` when the two end up equal. */
function precedes(one: Bounds, other: Bounds): boolean {
  return one.member.weight === other.member.weight ? one.index < other.index : one.member.weight > other.member.weight;
}

/** The share of a member's samples behind its most frequent answer, or where that may end with those that were not waited for. */
export function agreementWith(
  { member, confidence, usable }: Consistency,
  out: ReadonlySet<number>,
): { agreement: number; atMost?: number } {
  const waiting = member.seats.filter((seat) => out.has(seat)).length;
  if (waiting === 0) return { agreement: confidence };
  const most = Math.round(confidence * usable) + waiting;
  return { agreement: (most - waiting) / (usable + waiting), atMost: most / (usable + waiting) };
}

/**
 * Says when no sample that is out can change whose answer it is, nor which, nor on which side of the `marks` its share is: the first member's
 * answer is settled, and its confidence at worst beats that of each other at best. A sample that failed stays out, because nobody tells; it
 * could only have lowered what is possible.
 */
export function consistencyStop(
  rule: AnswerRule,
  members: readonly Sampled[],
  marks: readonly number[] = [],
): Stopping<ReadonlySet<number>> {
  const open = new Set(members.flatMap(({ seats }) => seats));
  const ballots: Ballot[] = [];
  return stopping<ReadonlySet<number>>(new Set(), (candidate) => {
    open.delete(candidate.seat);
    const ballot = ballotOf(candidate, rule);
    if (ballot) ballots.push(ballot);
    const bounds = members.map((member, index) => boundsOf(member, index, ballots, open));
    const beats = (one: Bounds, other: Bounds) => one.least > other.most + SAME || (one.least >= other.most - SAME && precedes(one, other));
    const winner = bounds.find((one) => one.settled && bounds.every((other) => other === one || beats(one, other)));
    const why = winner && isDecided(winner, marks) ? "no sample can change the answer" : undefined;
    return { why, out: new Set(open) };
  });
}
