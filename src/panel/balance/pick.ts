import type { Call } from "../../model/call.ts";
import type { ChatRequest } from "../../model/request.ts";
import type { Peer } from "./peer.ts";
import { distance, sessionOf } from "./session.ts";

/** Who gets a request. `peers` is not empty. */
type Pick = (peers: readonly Peer[], request: ChatRequest, call: Call) => Peer | undefined;

/** What a member costs the pool; the smallest is chosen. */
type Score = (peer: Peer, now: number) => number;

/** The smallest score; equals take turns. */
function least(peers: readonly Peer[], scoreOf: (peer: Peer) => number): Peer | undefined {
  let best: Peer | undefined;
  let smallest = Infinity;
  for (const peer of peers) {
    const score = scoreOf(peer);
    if (best !== undefined && (score > smallest || (score === smallest && peer.turn >= best.turn))) continue;
    best = peer;
    smallest = score;
  }
  return best;
}

/**
 * Smooth weighted round robin, as nginx does it: shares are exact over every round and nobody is asked twice in a row who need not be. A
 * weighted draw would need hundreds of requests to come near its shares.
 */
function byWeight(peers: readonly Peer[]): Peer | undefined {
  let sum = 0;
  for (const peer of peers) {
    peer.owed += peer.weight;
    sum += peer.weight;
  }
  const chosen = least(peers, ({ owed }) => -owed);
  if (chosen) chosen.owed -= sum;
  return chosen;
}

/** All members are known here, so the exact minimum costs no more than two random choices. */
const load: Score = ({ inFlight, weight }) => (inFlight + 1) / weight;

/** Behind everybody who is known. */
const UNKNOWN = 1e12;

/** Time to the first content under its load. Who is not known yet is tried first, with one request at a time while others can serve. */
function slowness(call: Call, now: number): (peer: Peer) => number {
  return (peer) => {
    const ms = peer.pace(call.delivery).read(now);
    if (ms === undefined) return peer.inFlight === 0 ? -1 : UNKNOWN + peer.inFlight;
    return ms * (peer.inFlight + 1);
  };
}

/** Tokens are not counted before a call; four bytes are about one, and an answer without a bound is taken to have this many. */
const BYTES_PER_TOKEN = 4;
const USUAL_ANSWER = 1024;

function price({ source, body }: ChatRequest): (peer: Peer) => number {
  const prompt = Math.ceil(source.buffer.length / BYTES_PER_TOKEN);
  const completion = body.max_completion_tokens ?? body.max_tokens ?? USUAL_ANSWER;
  return ({ usd }) => usd({ prompt, completion }) ?? Infinity;
}

const picks = {
  weight: byWeight,
  leastBusy: (peers, _, call) => least(peers, (peer) => load(peer, call.clock.now())),
  latency: (peers, _, call) => least(peers, slowness(call, call.clock.now())),
  cost: (peers, request) => least(peers, price(request)),
  session: (peers, request, call) => {
    const session = sessionOf(request, call);
    return least(peers, (peer) => distance(session, peer));
  },
} satisfies Record<string, Pick>;

export type By = keyof typeof picks;

export const ways: readonly By[] = ["weight", "leastBusy", "latency", "cost", "session"];

/** Chooses among equals, request by request. */
export class Pool {
  readonly #peers: readonly Peer[];
  readonly #pick: Pick;
  #turn = 0;

  constructor(peers: readonly Peer[], by: By) {
    this.#peers = peers;
    this.#pick = picks[by];
  }

  /** Who is asked next; undefined when all are out: tried, or not able to take it. Those that rest are passed over, but a pool is never empty. */
  next(request: ChatRequest, call: Call, out: ReadonlySet<Peer>): Peer | undefined {
    const now = call.clock.now();
    const left = out.size === 0 ? this.#peers : this.#peers.filter((peer) => !out.has(peer));
    const awake = left.filter((peer) => !peer.isResting(now));
    const chosen = this.#pick(awake.length > 0 ? awake : left, request, call);
    if (chosen) chosen.turn = this.#turn += 1;
    return chosen;
  }
}
