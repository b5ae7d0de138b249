import { enter, type Call } from "../model/call.ts";
import { allFailed, throwIfAborted, type GatewayError } from "../model/errors.ts";
import type { ModelEvent } from "../model/events.ts";
import { open } from "../model/open.ts";
import type { ChatRequest } from "../model/request.ts";
import type { Peer } from "./balance-peer.ts";
import type { By, Pool } from "./balance-pick.ts";

interface Failure {
  readonly member: string;
  readonly error: GatewayError;
}

/** A pool as it was built. */
export interface Balance {
  readonly name: string;
  readonly by: By;
  readonly pool: Pool;
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

/** Gives the request to one member and, when that fails in a way that another could heal, to as many more as are allowed. */
export async function* serve(balance: Balance, request: ChatRequest, call: Call): AsyncGenerator<ModelEvent> {
  const { name, pool, tries } = balance;
  const failures: Failure[] = [];
  const tried = new Set<Peer>();
  while (tried.size < tries) {
    throwIfAborted(call.signal);
    const peer = pool.next(request, call, tried);
    if (!peer) break;
    tried.add(peer);
    const { model } = peer;
    const startMs = call.clock.now();
    peer.inFlight += 1;
    const opening = await open(model, request, enter(call, { label: model.name }));
    const now = call.clock.now();
    if (opening.ok) {
      peer.answered(now - startMs, call.delivery, now);
      record(call, balance, failures, model.name);
      yield* served(opening.events, peer, call);
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
