import type { Call } from "../model/call.ts";
import { change, type ChatRequest } from "../model/request.ts";
import { poll, shortage, type Assembly, type Polled, type Weighed } from "./assemble.ts";
import type { Patience } from "./patience.ts";
import { hasRoom } from "./room.ts";
import type { Validator } from "./schema.ts";
import type { Place, Seating } from "./seats.ts";
import { lettersOf, type Shown } from "./showing.ts";
import { withoutTools } from "./tools/tools.ts";

/** A usable answer with the place that gave it, so that it can be asked again. */
export interface Seated extends Weighed {
  readonly place: Place;
}

function placed(places: ReadonlyMap<string, Place>, candidates: readonly Weighed[]): readonly Seated[] {
  return candidates.flatMap((candidate) => {
    const place = places.get(candidate.label);
    return place === undefined ? [] : [{ ...candidate, place }];
  });
}

/** The candidates of a first round with their places. */
export function seated({ places, reserves }: Seating, candidates: readonly Weighed[]): readonly Seated[] {
  return placed(new Map([...places, ...reserves].map((place) => [place.label, place])), candidates);
}

/** A further round of a panel. */
export interface Round {
  /** 2, 3 ...: it stands in the labels of the seats, so that the trace tells a member's answers apart. */
  readonly number: number;
  /** Who is asked, under the labels of the first round. */
  readonly seating: Seating;
  /** What a place is asked, before its own settings and seed. */
  ask(place: Place): ChatRequest;
  /** Calls that a budget must have left for what comes after: the writer's, a judge's. */
  readonly after: number;
}

/** What all rounds of one request have in common. */
export interface Course {
  readonly assembly: Assembly;
  readonly call: Call;
  readonly patience: Patience;
  readonly validator: Validator | undefined;
}

/** The seating under the labels of a round, and the place behind each. */
function labelled(
  { places, reserves }: Seating,
  number: number,
): { readonly seating: Seating; readonly behind: ReadonlyMap<string, Place> } {
  const behind = new Map<string, Place>();
  const rename = (place: Place): Place => {
    const label = `${place.label}, round ${number}`;
    behind.set(label, place);
    return { ...place, label };
  };
  return { seating: { places: places.map(rename), reserves: reserves.map(rename) }, behind };
}

/** Notes why a round does not count; where a shortage is an error, it is thrown. */
function drop({ assembly, call, patience }: Course, { number }: Round, polled: Polled): void {
  const what = `round ${number}: ${polled.candidates.length} of ${assembly.quorum.min} usable answers`;
  const denied = polled.losses.length > 0 && polled.losses.every(({ error }) => error.code === "budget_denied");
  if (assembly.onShort === "fail" && !denied && !patience.signal.aborted) throw shortage(`${assembly.name}, ${what}`, polled);
  call.trace.degraded.push(denied ? `round ${number}: budget_denied` : what);
}

/**
 * Asks the seats once more and returns their answers; undefined when the round does not count, so that the answers of the round before stand:
 *
 * - the budget has no room for it and for what comes `after`: nobody is asked;
 * - it missed the quorum, or what of it the places that are asked can meet: an error under `onShort: fail`;
 * - the panel's deadline passed before that.
 *
 * It is recorded as a degradation. A member that is lost while the quorum is met is none.
 */
export async function askAgain(course: Course, round: Round): Promise<readonly Seated[] | undefined> {
  const { assembly, call, patience, validator } = course;
  const { number, seating } = round;
  if (patience.signal.aborted) return undefined;
  if (!hasRoom(call, seating.places.length + round.after)) {
    call.trace.degraded.push(`round ${number}: budget_denied`);
    return undefined;
  }
  const again = labelled(seating, number);
  const quorum = { ...assembly.quorum, min: Math.min(assembly.quorum.min, seating.places.length), deadlineMs: patience.leftMs() };
  const asked = { ...assembly, seating: again.seating, quorum };
  const polled = await poll(asked, (place) => round.ask(again.behind.get(place.label) ?? place), call, { validator });
  if (polled.candidates.length < quorum.min) {
    drop({ ...course, assembly: asked }, round, polled);
    return undefined;
  }
  return placed(again.behind, polled.candidates);
}

/** Notes which letter was whose for a reader, or for all who read in a round. */
export function noteShown({ span }: Call, reader: string, shown: Shown<Weighed>): void {
  const before = span.decision?.["shown"];
  span.decision = { ...span.decision, shown: { ...(typeof before === "object" ? before : {}), [reader]: lettersOf(shown) } };
}

/** The conversation, a member's own last answer as its turn, and what it is asked now. Without tools: our steps call none. */
export function withReply(request: ChatRequest, own: string, content: string): ChatRequest {
  const turns = [
    { role: "assistant", content: own },
    { role: "user", content },
  ];
  return change(withoutTools(request), { messages: [...request.body.messages, ...turns] });
}
