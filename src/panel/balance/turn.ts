import { enter, type Call } from "../../model/call.ts";
import { allFailed, throwIfAborted, type GatewayError } from "../../model/errors.ts";
import type { ModelEvent } from "../../model/events.ts";
import { open } from "../../model/open.ts";
import type { ChatRequest } from "../../model/request.ts";
import type { Peer } from "./peer.ts";
import { capable } from "../capable.ts";
import type { By, Pool } from "./pick.ts";
import type { ToolOwners } from "../tools/owners.ts";

interface Failure {
  readonly member: string;
  readonly error: GatewayError;
}

/** A pool as it was built. */
export interface Balance {
  readonly name: string;
  readonly by: By;
  readonly peers: readonly Peer[];
  readonly pool: Pool;
  readonly owners: ToolOwners;
  /** How many members one request may be given to. */
  readonly tries: number;
}

/** Frees the place at its end. A stream that breaks while somebody waits for it is its member's fault; one that is left is not. */
async function* served(events: AsyncIterable<ModelEvent>, peer: Peer, call: Call): AsyncGenerator<ModelEvent> {
  let asked = true;
  let finished = false;
  try {
    for await (const event of events) {
      finished = event.type === "finish";
      asked = false;
      yield event;
      asked = true;
    }
  } finally {
    peer.inFlight -= 1;
    if (asked && !finished && !call.signal.aborted) peer.rest(call.clock.now());
  }
}

function record(call: Call, { by }: Balance, failures: readonly Failure[], answered?: string): void {
  const failed = failures.map(({ member, error }) => ({ member, code: error.code, message: error.message }));
  call.span.decision = { by, ...(answered === undefined ? {} : { answered }), ...(failed.length > 0 ? { failed } : {}) };
}

/** What the failures mean together; out of attempts says nothing about the members. */
function failureOf(name: string, failures: readonly Failure[]): GatewayError {
  const errors = failures.map(({ error }) => error);
  const last = errors.at(-1);
  if (last && !last.elsewhere && (last.code !== "attempts_exhausted" || errors.length === 1)) return last;
  return allFailed(name, last?.code === "attempts_exhausted" ? errors.slice(0, -1) : errors);
}

/** Who made the calls that this turn brings results of, unless it rests or can not take it. */
function ownerOf(
  { peers }: Balance,
  owner: number | undefined,
  { call, out }: { readonly call: Call; readonly out: ReadonlySet<Peer> },
): Peer | undefined {
  const peer = owner === undefined ? undefined : peers[owner];
  return peer && !out.has(peer) && !peer.isResting(call.clock.now()) ? peer : undefined;
}

/** Who can not take this request. */
function incapable(peers: readonly Peer[], request: ChatRequest, call: Call): ReadonlySet<Peer> {
  const able = capable(peers, ({ model }) => ({ model, request }), call);
  return new Set(able === peers ? [] : peers.filter((peer) => !able.includes(peer)));
}

/** Gives the request to one member and, when that fails in a way that another could heal, to as many more as are allowed. */
export async function* serve(balance: Balance, request: ChatRequest, call: Call): AsyncGenerator<ModelEvent> {
  const { name, owners, peers, pool, tries } = balance;
  const turn = owners.read(request);
  const failures: Failure[] = [];
  const out = new Set(incapable(peers, turn.request, call));
  const most = out.size + tries;
  let first = true;
  while (out.size < most) {
    throwIfAborted(call.signal);
    const own = first ? ownerOf(balance, turn.owner, { call, out }) : undefined;
    const peer = own ?? pool.next(request, call, out);
    if (!peer) break;
    first = false;
    out.add(peer);
    const { model } = peer;
    const startMs = call.clock.now();
    peer.inFlight += 1;
    const opening = await open(model, turn.request, enter(call, { label: model.name }));
    const now = call.clock.now();
    if (opening.ok) {
      peer.answered(now - startMs, call.delivery, now);
      record(call, balance, failures, model.name);
      yield* turn.tell(peers.indexOf(peer), served(opening.events, peer, call));
      return;
    }
    peer.inFlight -= 1;
    const { error } = opening;
    if (!call.signal.aborted) peer.failed(error, now);
    failures.push({ member: model.name, error });
    if (!error.elsewhere) break;
  }
  throwIfAborted(call.signal);
  record(call, balance, failures);
  throw failureOf(name, failures);
}
