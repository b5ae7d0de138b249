import { createHash } from "node:crypto";
import type { Choice, Completion } from "./completion.ts";
import type { Delivery } from "./call.ts";
import type { WireError } from "./errors.ts";
import { newFold } from "./collect.ts";
import type { Delta } from "./events.ts";
import type { Usage } from "./usage.ts";

/** The file format of recorded history: one JSON object a line, see docs/history.md. A reader refuses versions that it does not know. */
export const HISTORY_VERSION = 1;

/** One read of a stream: milliseconds since the leg began, and what it brought. */
export type RecordedChunk = readonly [ms: number, deltas: readonly Delta[]];

/** What an upstream said, as the parts of a completion that are not about this one call. */
export interface RecordedAnswer {
  readonly model?: string;
  readonly choices: readonly Choice[];
  readonly extra?: Readonly<Record<string, unknown>>;
}

export interface RecordedError {
  readonly code: string;
  /** The HTTP status of the upstream. */
  readonly upstreamStatus?: number;
  readonly retryAfterMs?: number;
  /** With content. */
  readonly message?: string;
  readonly wire?: WireError;
}

/** One upstream call. */
export interface LegRecord {
  readonly v: typeof HISTORY_VERSION;
  readonly type: "leg";
  readonly requestId: string;
  /** Milliseconds since 1970 when the request began. */
  readonly at: number;
  /** `provider/model`. */
  readonly upstream: string;
  /** What the leaf does; absent for chat. */
  readonly does?: "embed" | "rerank";
  /** Hash of what was asked: see `legKey`. */
  readonly key: string;
  readonly seed?: number;
  /** Path of the strategy that asked, in the config; absent for a model that was asked for by its name. */
  readonly node?: string;
  /** The labels from the model that was asked for down to this leg. */
  readonly path: readonly string[];
  /** What its strategy calls it: a member, `writer`, `step 2`. */
  readonly label: string;
  /** Its place among the legs of the request in the order in which they began, from 0. */
  readonly order: number;
  readonly delivery: Delivery;
  readonly status: "ok" | "failed" | "lost";
  /** Ended from above: by its strategy, a deadline or the client. */
  readonly cut?: boolean;
  readonly usage?: Usage;
  readonly estimated?: boolean;
  /** US dollars; absent when the price is unknown. */
  readonly usd?: number;
  /** Since the request began. */
  readonly startMs: number;
  /** Since the leg began, to its first token, or to its end for a whole answer. */
  readonly firstMs?: number;
  readonly ms: number;
  /** Order of what happened within the request, finer than any clock. */
  readonly seq: { readonly start: number; readonly first?: number; readonly end?: number };
  readonly finishReason?: string;
  readonly error?: RecordedError;
  /** With content, what its leaf declared. */
  readonly capabilities?: Readonly<Record<string, unknown>>;
  /** With content: the body as the strategy sent it, under the name of the model that the client asked for. */
  readonly asked?: Readonly<Record<string, unknown>>;
  /** With content, of an answer that came whole. */
  readonly answer?: RecordedAnswer;
  /** With content, of an answer that was streamed: each read. */
  readonly chunks?: readonly RecordedChunk[];
}

/** A node's part in a request. */
export interface RecordedSpan {
  readonly label: string;
  readonly node?: string;
  readonly kind?: string;
  readonly upstream?: string;
  readonly status: string;
  readonly startMs: number;
  readonly firstMs?: number;
  readonly ms?: number;
  readonly error?: string;
  readonly decision?: Readonly<Record<string, unknown>>;
  readonly children?: readonly RecordedSpan[];
}

/** One client request. It stands behind its legs. */
export interface RequestRecord {
  readonly v: typeof HISTORY_VERSION;
  readonly type: "request";
  readonly requestId: string;
  readonly at: number;
  /** Name of the key that asked. */
  readonly principal: string;
  readonly model: string;
  /** Kind of the root. */
  readonly strategy: string;
  /** Hash of what the client asked: see `requestKey`. */
  readonly key?: string;
  /** Seed of everything that was drawn for it: orders, marks, seeds of samples. */
  readonly draws?: number;
  readonly status: number;
  readonly stream: boolean;
  readonly error?: string;
  readonly ms: number;
  readonly firstMs?: number;
  readonly legs: number;
  readonly usage?: Usage;
  readonly usd: number;
  /** Share of the legs whose price and usage are known. */
  readonly coverage: number;
  readonly degraded: readonly string[];
  readonly warnings: readonly string[];
  /** What each node did and decided; without content, texts in decisions are numbered instead. */
  readonly trace?: RecordedSpan;
  /** With content. */
  readonly asked?: Readonly<Record<string, unknown>>;
  readonly answer?: RecordedAnswer;
}

export type HistoryRecord = LegRecord | RequestRecord;

/** How a request travels and who is asked, not what. */
const transport = new Set(["stream", "stream_options", "chorale"]);
/** A seed picks among recordings of one request; it does not make another request of it. */
const legTransport = new Set([...transport, "model", "seed"]);

function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value) ?? "null";
  const members = Object.entries(value).filter(([, inner]) => inner !== undefined);
  members.sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${members.map(([key, inner]) => `${JSON.stringify(key)}:${canonical(inner)}`).join(",")}}`;
}

const nonceMark = /mark ([0-9a-z]{16})(?![0-9a-z])/g;

/** The marks that fence candidates are drawn anew for each request: they say nothing. */
function withoutNonces(text: string): string {
  const nonces = new Set([...text.matchAll(nonceMark)].map(([, nonce = ""]) => nonce));
  let clean = text;
  for (const [index, nonce] of [...nonces].entries()) clean = clean.replaceAll(nonce, `nonce-${index}`);
  return clean;
}

function hashOf(body: Readonly<Record<string, unknown>>, without: ReadonlySet<string>): string {
  const said = Object.fromEntries(Object.entries(body).filter(([key, value]) => !without.has(key) && value !== null));
  return createHash("sha256")
    .update(withoutNonces(canonical(said)))
    .digest("hex")
    .slice(0, 32);
}

/**
 * What a leg asks, as a hash: 32 hex digits of SHA-256 over the body with sorted keys. Left out are the model, the seed, how the answer travels,
 * null fields and the nonces of prompts, so that a request has the same key whole, streamed, and in every sample.
 */
export function legKey(body: Readonly<Record<string, unknown>>): string {
  return hashOf(body, legTransport);
}

/** What a client asks, in the same way; model and seed are parts of it. */
export function requestKey(body: Readonly<Record<string, unknown>>): string {
  return hashOf(body, transport);
}

/** The choices of a leg; undefined when it was recorded without content, or did not end. */
export function choicesOf({ answer, chunks, status }: LegRecord): readonly Choice[] | undefined {
  if (answer) return answer.choices;
  if (chunks === undefined || status !== "ok") return undefined;
  const fold = newFold();
  for (const [, deltas] of chunks) for (const delta of deltas) fold.add(delta);
  return fold.choices();
}

/** What is kept of a completion. */
export function toAnswer({ model, choices, extra }: Completion): RecordedAnswer {
  return {
    ...(model === undefined || model === "" ? {} : { model }),
    choices,
    ...(extra && Object.keys(extra).length > 0 ? { extra } : {}),
  };
}

function parsedLine(line: string): HistoryRecord | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === "object" && value !== null && "v" in value ? (value as HistoryRecord) : undefined;
  } catch {
    // A process that was killed may leave a line that was cut; its neighbours are whole.
    return undefined;
  }
}

/** What a record is known by. A program that wrote legs may have left out their order: such a leg is known by its line. */
function placeOf(record: HistoryRecord, line: number): string {
  if (record.type !== "leg") return `${record.requestId} itself`;
  return "order" in record ? `${record.requestId} ${record.order}` : `line ${line}`;
}

/** Reads lines of history. Lines that are no records, or stand twice, are skipped and counted; an unknown version is an error. */
export function parseHistory(text: string): {
  readonly legs: readonly LegRecord[];
  readonly requests: readonly RequestRecord[];
  readonly skipped: number;
} {
  const legs: LegRecord[] = [];
  const requests: RequestRecord[] = [];
  const known = new Set<string>();
  let skipped = 0;
  for (const [number, line] of text.split("\n").entries()) {
    if (line.trim() === "") continue;
    const record = parsedLine(line);
    if (record && record.v !== HISTORY_VERSION) throw new Error(`history of version ${String(record.v)}; this gateway reads version 1`);
    const place = record && placeOf(record, number);
    if (place === undefined || known.has(place)) {
      skipped += 1;
      continue;
    }
    known.add(place);
    if (record?.type === "leg") legs.push(record);
    else if (record?.type === "request") requests.push(record);
    else skipped += 1;
  }
  return { legs, requests, skipped };
}
