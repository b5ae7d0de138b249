import { GatewayError } from "../model/errors.ts";
import type { ChatRequest } from "../model/request.ts";
import type { Agreement } from "./voting/agreement.ts";
import { askAgain, type Course, type Seated } from "./rounds.ts";

/** The latest answer of each seat that has given one, in the order of the seats; `seat` counts as in the first round. */
export type Standing = readonly Seated[];

/** How the members of a panel talk. */
export interface Talking {
  /** How often each answers at most, the first time included. */
  readonly most: number;
  /** Whether they are done as soon as all say the same. */
  readonly stops: boolean;
  agreement(standing: Standing): Agreement;
  /** What each is asked in the round of this number, having read `standing`; undefined for one who has nobody to read. */
  toAsk(standing: Standing, number: number): (answer: Seated) => ChatRequest | undefined;
  /** What an answer of a later round counts; undefined when it says nothing. */
  read(answer: Seated): Seated | undefined;
  /** Calls that a budget must have left for the end. */
  readonly after: number;
}

/** What became of one round. */
export interface RoundNote {
  readonly round: number;
  readonly answered: number;
  readonly agreement: number;
  /** Whose answer is an older one: lost in this round, or with nobody to read. */
  readonly kept?: readonly string[];
}

/** How a talk went. Of no round anything is lost: who fails in one keeps its last answer. */
export interface Talked {
  readonly standing: Standing;
  readonly rounds: readonly RoundNote[];
  readonly ended: "agreement" | "rounds" | "alone" | "deadline" | "short";
}

/** Takes over what a round brought. `heard` counts its seats by their places among `asked`. */
function takeOver(standing: Standing, asked: Standing, heard: readonly Seated[]): Standing {
  const latest = new Map(standing.map((answer) => [answer.seat, answer]));
  for (const answer of heard) {
    const before = asked[answer.seat];
    if (before !== undefined) latest.set(before.seat, { ...answer, seat: before.seat });
  }
  return [...latest.values()];
}

async function nextRound(course: Course, standing: Standing, talking: Talking, number: number): Promise<Standing | undefined> {
  const ask = talking.toAsk(standing, number);
  const requests = new Map<string, ChatRequest>();
  for (const answer of standing) {
    const request = ask(answer);
    if (request !== undefined) requests.set(answer.place.label, request);
  }
  const asked = standing.filter(({ place }) => requests.has(place.label));
  if (asked.length === 0) return undefined;
  const heard = await askAgain(course, {
    number,
    seating: { places: asked.map(({ place }) => place), reserves: [] },
    ask(place) {
      const request = requests.get(place.label);
      if (request === undefined) throw new GatewayError("internal", `${place.label} was not to be asked.`);
      return request;
    },
    after: talking.after,
  });
  if (heard === undefined) return undefined;
  const read = heard.map((answer) => talking.read(answer)).filter((answer) => answer !== undefined);
  return takeOver(standing, asked, read);
}

function noteOf(round: number, standing: Standing, before: Standing, agreement: number): RoundNote {
  const kept = standing.filter((answer) => before.includes(answer)).map(({ label }) => label);
  return { round, answered: standing.length - kept.length, agreement, ...(kept.length > 0 ? { kept } : {}) };
}

/** Why there is no further round; undefined when there is one. */
function endOf(standing: Standing, unanimous: boolean, number: number, { most, stops }: Talking): Talked["ended"] | undefined {
  if (standing.length < 2) return "alone";
  if (stops && unanimous) return "agreement";
  return number === most ? "rounds" : undefined;
}

/**
 * Lets the members read each other and answer again, round after round, each round with nothing but the answers of the one before. A round
 * that does not count (budget, quorum, deadline: recorded as a degradation) ends the talk, and what stands is what there is.
 */
export async function talkOn(course: Course, first: Standing, talking: Talking): Promise<Talked> {
  const { call, patience } = course;
  const rounds: RoundNote[] = [];
  let before: Standing = [];
  let standing = first;
  for (let number = 1; ; number += 1) {
    const { share, unanimous } = talking.agreement(standing);
    rounds.push(noteOf(number, standing, before, share));
    const ended = endOf(standing, unanimous, number, talking);
    if (ended !== undefined) return { standing, rounds, ended };
    if (patience.signal.aborted) {
      call.trace.degraded.push(`round ${number + 1}: deadline`);
      return { standing, rounds, ended: "deadline" };
    }
    const next = await nextRound(course, standing, talking, number + 1);
    if (next === undefined) return { standing, rounds, ended: "short" };
    before = standing;
    standing = next;
  }
}
