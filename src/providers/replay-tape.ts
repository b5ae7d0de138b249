import { existsSync, readFileSync, statSync } from "node:fs";
import { legKey, parseHistory, requestKey, type LegRecord, type RequestRecord } from "../model/history.ts";
import type { ChatBody } from "../model/request.ts";
import { RecordedOrder } from "./replay-order.ts";

/** What one client request plays. */
interface Playing {
  /** The recorded request that it repeats. */
  request?: string;
  /** Set when it is that very request, asked again: then things happen in the order in which they did. */
  order?: RecordedOrder;
  readonly used: Set<LegRecord>;
}

/** A leg to play, with the order that it has to keep. */
export interface Take {
  readonly leg: LegRecord;
  readonly order: RecordedOrder | undefined;
}

/** Requests whose playing is remembered. Bounded: a request that has ended does not come back. */
const PLAYING = 4096;

/** `path`, and the full files beside it, oldest first. */
export function filesOf(path: string): readonly string[] {
  const older: string[] = [];
  for (let n = 1; existsSync(`${path}.${n}`); n += 1) older.unshift(`${path}.${n}`);
  return [...older, ...(existsSync(path) ? [path] : [])];
}

function pushTo<T>(map: Map<string, T[]>, key: string, item: T): void {
  const list = map.get(key);
  if (list) list.push(item);
  else map.set(key, [item]);
}

function hasContent({ asked, answer, chunks, status }: Partial<LegRecord>): boolean {
  return asked !== undefined && ((status ?? "ok") !== "ok" || answer !== undefined || chunks !== undefined);
}

/** A leg with what a program that wrote it may have left out: it has to say who was asked what, and what the answer was. */
function completed(leg: LegRecord): LegRecord {
  const usual = { status: "ok", startMs: 0, ms: 0, seq: { start: 0 } } as const;
  return { ...usual, ...(Object.hasOwn(leg, "key") ? {} : { key: legKey(leg.asked ?? {}) }), ...leg };
}

/** A history that was recorded with content, and who has been given what of it. */
export class Tape {
  readonly #legs = new Map<string, LegRecord[]>();
  readonly #requests = new Map<string, RequestRecord[]>();
  readonly #byRequest = new Map<string, LegRecord[]>();
  readonly #uses = new Map<LegRecord | RequestRecord, number>();
  readonly #playing = new Map<string, Playing>();
  readonly #served = new Set<string>();
  /** `provider/model` of everything that was recorded, with what its leaf declared. */
  readonly models = new Map<string, LegRecord["capabilities"] & object>();
  /** The most texts in one call, of those that embed or score. */
  readonly batches = new Map<string, number>();

  constructor(legs: readonly LegRecord[], requests: readonly RequestRecord[]) {
    for (const leg of legs.filter(hasContent).map(completed)) {
      pushTo(this.#legs, `${leg.upstream} ${leg.key}`, leg);
      pushTo(this.#byRequest, leg.requestId, leg);
      this.models.set(leg.upstream, leg.capabilities ?? {});
      const { texts } = leg.asked ?? {};
      const offer = `${leg.does ?? "chat"} ${leg.upstream}`;
      this.batches.set(offer, Math.max(this.batches.get(offer) ?? 1, Array.isArray(texts) ? texts.length : 1));
    }
    for (const request of requests) {
      if (request.key !== undefined && request.draws !== undefined) pushTo(this.#requests, request.key, request);
    }
  }

  /** This provider of the recording is played, so what it did is waited for. */
  serve(provider: string): void {
    this.#served.add(provider);
  }

  /** A client request comes: the seed of its draws when it was recorded. */
  recall(body: ChatBody, callId: string): number | undefined {
    const known = this.#playing.get(callId)?.request;
    const takes = this.#requests.get(requestKey(body)) ?? [];
    const again = takes.find(({ requestId }) => requestId === known);
    if (again) return again.draws;
    const [take] = takes.toSorted((a, b) => this.#usesOf(a) - this.#usesOf(b));
    if (!take) return undefined;
    this.#use(take);
    const legs = (this.#byRequest.get(take.requestId) ?? []).filter(({ upstream }) => this.#served.has(upstream.split("/", 1)[0] ?? ""));
    this.#remember(callId, { request: take.requestId, order: new RecordedOrder(legs), used: new Set() });
    return take.draws;
  }

  /**
   * The leg that answers a request of a client request: one that this client request has not had, of the recorded request that it repeats if there
   * is one, with the same seed if there is one, the least used, the earliest.
   */
  take(upstream: string, body: ChatBody, callId: string): Take | { readonly key: string; readonly recorded: number } {
    const key = legKey(body);
    const all = this.#legs.get(`${upstream} ${key}`) ?? [];
    const playing = this.#playing.get(callId) ?? this.#remember(callId, { used: new Set() });
    const rank = (leg: LegRecord) => [
      leg.requestId === playing.request ? 0 : 1,
      leg.seed === (body.seed ?? undefined) ? 0 : 1,
      this.#usesOf(leg),
    ];
    const free = all.filter((leg) => !playing.used.has(leg)).map((leg) => ({ leg, rank: rank(leg) }));
    const [best] = free.sort((a, b) => a.rank.map((part, index) => part - (b.rank[index] ?? 0)).find((part) => part !== 0) ?? 0);
    if (!best) return { key, recorded: all.length };
    const { leg } = best;
    playing.used.add(leg);
    playing.request ??= leg.requestId;
    this.#use(leg);
    return { leg, order: leg.requestId === playing.request ? playing.order : undefined };
  }

  #usesOf(record: LegRecord | RequestRecord): number {
    return this.#uses.get(record) ?? 0;
  }

  #use(record: LegRecord | RequestRecord): void {
    this.#uses.set(record, this.#usesOf(record) + 1);
  }

  #remember(callId: string, playing: Playing): Playing {
    this.#playing.set(callId, playing);
    if (this.#playing.size > PLAYING) this.#playing.delete(this.#playing.keys().next().value ?? "");
    return playing;
  }
}

/** What was read last; providers that play one file share it, and a file that has changed is read again. */
const tapes = new Map<string, { readonly stamp: string; readonly tape: WeakRef<Tape> }>();

/** Reads a recording. Throws what the operator can mend. */
export function loadTape(path: string): Tape {
  const files = filesOf(path);
  if (files.length === 0) throw new Error(`there is no recording ${path}`);
  const stamp = files.map((file) => `${statSync(file).mtimeMs} ${statSync(file).size}`).join();
  const known = tapes.get(path);
  const shared = known?.stamp === stamp ? known.tape.deref() : undefined;
  if (shared) return shared;
  const parts = files.map((file) => parseHistory(readFileSync(file, "utf8")));
  const tape = new Tape(
    parts.flatMap(({ legs }) => legs),
    parts.flatMap(({ requests }) => requests),
  );
  if (tape.models.size === 0) throw new Error(`the recording ${path} has no answers: record with \`content: true\``);
  tapes.set(path, { stamp, tape: new WeakRef(tape) });
  return tape;
}
