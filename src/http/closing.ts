import type { Call } from "../model/call.ts";
import type { GatewayError } from "../model/errors.ts";
import type { Lease } from "../store/store.ts";
import type { Door, Entered } from "./door.ts";
import { answeringLeaf, cleanUsd } from "./extension.ts";
import { recordOf } from "./record.ts";

/** How a request ended. */
export interface Outcome {
  readonly status: number;
  readonly stream: boolean;
  readonly error?: GatewayError;
  /** What was said, where the log may have it. */
  readonly content?: { readonly messages: unknown; readonly answer: string };
}

/** What is left to do when a request has been answered: one log line, the lease, the record. A promise only where the store has to be waited for. */
export function closeRequest(
  door: Door,
  ended: { entered: Entered; call: Call | undefined; lease: Lease | undefined },
  outcome: Outcome,
): Promise<unknown> | undefined {
  const { entered, call, lease } = ended;
  const { store, clock } = door;
  const now = clock.wall();
  const endMs = call?.trace.root.endMs ?? clock.now();
  const usage = call?.ledger.usage();
  const known = call?.ledger.knownUsd();
  const usd = known === undefined ? undefined : cleanUsd(known);
  if (call) call.trace.root.endMs = endMs;
  const firstMs = call?.trace.root.children[0]?.firstMs;
  const { error, stream } = outcome;
  // Of a stream that failed after its head: what it would have been.
  const status = error ? error.status : outcome.status;
  door.log.request({
    requestId: entered.requestId,
    key: entered.asker.name,
    model: call?.identity.model,
    status,
    stream,
    ms: Math.round(endMs - entered.startMs),
    firstMs: firstMs === undefined ? undefined : Math.round(firstMs - entered.startMs),
    leaf: call && answeringLeaf(call.trace.root),
    legs: call?.ledger.legs.length,
    promptTokens: usage?.promptTokens,
    completionTokens: usage?.completionTokens,
    usd,
    error: error?.code,
    why: error?.message,
    degraded: call && call.trace.degraded.length > 0 ? call.trace.degraded : undefined,
    messages: outcome.content?.messages,
    answer: outcome.content?.answer,
  });
  if (!call) return undefined;
  door.recorder?.end(call, outcome);
  const tokens = (usage?.promptTokens ?? 0) + (usage?.completionTokens ?? 0);
  const settling = lease && store.settle(lease, { usd: usd ?? 0, tokens, now });
  const put = (): void | Promise<void> => {
    const body = recordOf(call, error ? { status, stream, error: error.wire } : { status, stream });
    return store.putRequest({ id: entered.requestId, key: entered.asker.name, at: now, body });
  };
  return settling ? settling.then(put) : (put() ?? undefined);
}
