import type { Call } from "../model/call.ts";
import { newFold } from "../model/collect.ts";
import type { Completion } from "../model/completion.ts";
import type { GatewayError } from "../model/errors.ts";
import type { ModelEvent } from "../model/events.ts";
import {
  HISTORY_VERSION,
  legKey,
  requestKey,
  toAnswer,
  type LegRecord,
  type RecordedError,
  type RecordedSpan,
  type RequestRecord,
} from "../model/history.ts";
import type { Model } from "../model/model.ts";
import type { ChatRequest } from "../model/request.ts";
import type { Span } from "../model/trace.ts";
import type { Capabilities } from "../providers/define.ts";
import { textRemover } from "./record-decision.ts";
import { isDraws, openDraws, type Draws } from "./record-draws.ts";
import { rounded, watched, type Seen } from "./record-legs.ts";

/** How a request ended, as the door knows it. */
export interface Ended {
  readonly status: number;
  readonly stream: boolean;
  readonly error?: GatewayError;
}

/** Writes what happened, for `learn` and for `replay`. */
export interface Recorder {
  /** Looks at the legs of a leaf; stands inside what bills them. */
  leaf(leaf: Model, capabilities: Capabilities): Model;
  /** Looks at the answer of a model that a client asked for. */
  root(model: Model): Model;
  /** Draws for a request, with this seed or a new one. */
  draws(request: ChatRequest, seed?: number): Draws;
  /** Writes a request that was answered, and its legs. */
  end(call: Call, ended: Ended): void;
}

export interface RecorderOptions {
  readonly append: (record: object) => void;
  /** Keep texts. */
  readonly content: boolean;
  /** Uniform in [0, 1). */
  readonly random: () => number;
}

interface Leg {
  readonly span: Span;
  readonly seen: Seen;
  readonly path: readonly string[];
  readonly node: string | undefined;
}

/** The retries that a provider puts round its leaf: nobody wrote that node. */
function isUnwritten(span: Span): boolean {
  return span.kind === "retry" && span.children.some(({ upstream }) => upstream !== undefined && upstream === span.node);
}

function* legsOf(span: Span, above: Pick<Leg, "path" | "node">, seenOf: (span: Span) => Seen | undefined): Generator<Leg> {
  const path = [...above.path, span.label];
  const seen = seenOf(span);
  if (seen) yield { ...above, span, seen, path };
  const unwritten = isUnwritten(span);
  const node = unwritten || span.upstream !== undefined ? above.node : (span.node ?? above.node);
  for (const child of span.children) {
    // An attempt is known by the name of its seat.
    for (const leg of legsOf(child, { path, node }, seenOf)) yield unwritten ? { ...leg, path } : leg;
  }
}

function toError({ code, message, details, wire }: GatewayError, content: boolean): RecordedError {
  const { upstreamStatus, retryAfterMs } = details;
  return {
    code,
    ...(upstreamStatus === undefined ? {} : { upstreamStatus }),
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    ...(content ? { message, ...(details.wire ? { wire } : {}) } : {}),
  };
}

/** What a leaf offered besides chat, by the shape of its results. */
function does({ completion }: Seen): LegRecord["does"] {
  const results = completion?.choices.length === 0 ? completion.extra?.["results"] : undefined;
  if (!Array.isArray(results)) return undefined;
  return typeof results[0] === "number" ? "rerank" : "embed";
}

function contentOf({ request, capabilities, completion, chunks }: Seen): Partial<LegRecord> {
  return {
    capabilities: { ...capabilities },
    asked: request.body,
    ...(completion ? { answer: toAnswer(completion) } : chunks.length > 0 ? { chunks } : {}),
  };
}

function timesOf(span: Span, startMs: number): Pick<LegRecord, "startMs" | "firstMs" | "ms"> {
  return {
    startMs: rounded(span.startMs - startMs),
    ...(span.firstMs === undefined ? {} : { firstMs: rounded(span.firstMs - span.startMs) }),
    ms: rounded((span.endMs ?? span.startMs) - span.startMs),
  };
}

interface About {
  readonly call: Call;
  /** When the request began, since 1970. */
  readonly at: number;
  readonly content: boolean;
}

function legRecord({ span, seen, path, node }: Leg, order: number, { call, at, content }: About): LegRecord {
  const { usage, estimated, usd } = span;
  const { seed } = seen.request.body;
  const offer = does(seen);
  const finishReason = seen.finishReason ?? seen.completion?.choices[0]?.finishReason;
  return {
    v: HISTORY_VERSION,
    type: "leg",
    requestId: call.id,
    at,
    upstream: span.upstream ?? "",
    ...(offer ? { does: offer } : {}),
    key: legKey(seen.request.body),
    ...(typeof seed === "number" ? { seed } : {}),
    ...(node === undefined ? {} : { node }),
    path,
    label: path.at(-1) ?? span.label,
    order,
    delivery: seen.delivery,
    status: span.status === "running" ? "lost" : span.status,
    ...(seen.cut ? { cut: true } : {}),
    ...(usage ? { usage } : {}),
    ...(estimated === true ? { estimated } : {}),
    ...(usd === undefined ? {} : { usd }),
    ...timesOf(span, call.trace.root.startMs),
    seq: { ...seen.seq },
    ...(finishReason === undefined ? {} : { finishReason }),
    ...(seen.error ? { error: toError(seen.error, content) } : {}),
    ...(content ? contentOf(seen) : {}),
  };
}

function recordedSpan(span: Span, startMs: number, toDecision: (decision: NonNullable<Span["decision"]>) => object): RecordedSpan {
  const { label, node, kind, upstream, status, error, decision, children } = span;
  return {
    label,
    ...(node === undefined || node === upstream ? {} : { node }),
    ...(kind === undefined ? {} : { kind }),
    ...(upstream === undefined ? {} : { upstream }),
    status,
    ...timesOf(span, startMs),
    ...(error ? { error: error.code } : {}),
    ...(decision ? { decision: { ...toDecision(decision) } } : {}),
    ...(children.length > 0 ? { children: children.map((child) => recordedSpan(child, startMs, toDecision)) } : {}),
  };
}

class HistoryRecorder implements Recorder {
  readonly #options: RecorderOptions;
  readonly #seen = new WeakMap<Span, Seen>();
  /** What clients were told, by the span of the model that they asked for. */
  readonly #told = new WeakMap<Span, () => Completion>();
  readonly #asked = new WeakMap<() => number, ChatRequest>();

  constructor(options: RecorderOptions) {
    this.#options = options;
  }

  leaf(leaf: Model, capabilities: Capabilities): Model {
    const { content } = this.#options;
    return watched(leaf, capabilities, { content, keep: (span, seen) => void this.#seen.set(span, seen) });
  }

  root(model: Model): Model {
    if (!this.#options.content) return model;
    const told = this.#told;
    return {
      name: model.name,
      unable: (request) => model.unable?.(request),
      async *stream(request, call): AsyncGenerator<ModelEvent> {
        const isRoot = call.trace.root.children[0] === call.span;
        if (!isRoot) {
          yield* model.stream(request, call);
          return;
        }
        const fold = newFold();
        for await (const event of model.stream(request, call)) {
          if (event.type === "batch") for (const delta of event.deltas) fold.add(delta);
          else if (event.type === "finish") {
            const { completion } = event;
            told.set(call.span, () => completion ?? { choices: fold.choices() });
          }
          yield event;
        }
      },
    };
  }

  draws(request: ChatRequest, seed?: number): Draws {
    const draws = openDraws(seed ?? Math.floor(this.#options.random() * 2 ** 31));
    this.#asked.set(draws, request);
    return draws;
  }

  end(call: Call, ended: Ended): void {
    try {
      this.#write(call, ended);
    } catch (thrown) {
      // The client has its answer, and its bill is still to be settled.
      call.log.warn({ requestId: call.id, cause: thrown instanceof Error ? thrown.stack : "unknown" }, "a request could not be recorded");
    }
  }

  #write(call: Call, ended: Ended): void {
    const { append, content } = this.#options;
    const { root } = call.trace;
    const at = Math.round(call.clock.wall() - (call.clock.now() - root.startMs));
    const legs = root.children.flatMap((top) => [...legsOf(top, { path: [], node: undefined }, (span) => this.#seen.get(span))]);
    legs.sort((a, b) => a.seen.seq.start - b.seen.seq.start);
    for (const [order, leg] of legs.entries()) append(legRecord(leg, order, { call, at, content }));
    append(this.#request(call, ended, { at, legs: legs.length }));
  }

  #request(call: Call, { status, stream, error }: Ended, { at, legs }: { at: number; legs: number }): RequestRecord {
    const { content } = this.#options;
    const { root, degraded, warnings } = call.trace;
    const [top] = root.children;
    const asked = this.#asked.get(call.random);
    const usage = call.ledger.usage();
    const { usd, coverage } = call.ledger.cost();
    const completion = top && !error ? this.#told.get(top)?.() : undefined;
    const toDecision = content ? (decision: NonNullable<Span["decision"]>) => decision : textRemover(root);
    return {
      v: HISTORY_VERSION,
      type: "request",
      requestId: call.id,
      at,
      principal: call.principal.name,
      model: call.identity.model,
      strategy: !top || top.upstream !== undefined || isUnwritten(top) ? "leaf" : (top.kind ?? "leaf"),
      ...(asked ? { key: requestKey(asked.body) } : {}),
      ...(isDraws(call.random) ? { draws: call.random.seed } : {}),
      status: error && stream ? error.status : status,
      stream,
      ...(error ? { error: error.code } : {}),
      ms: rounded((root.endMs ?? call.clock.now()) - root.startMs),
      ...(top?.firstMs === undefined ? {} : { firstMs: rounded(top.firstMs - root.startMs) }),
      legs,
      ...(usage ? { usage } : {}),
      usd,
      coverage,
      degraded,
      warnings,
      ...(top ? { trace: recordedSpan(top, root.startMs, toDecision) } : {}),
      ...(content && asked ? { asked: asked.body } : {}),
      ...(completion ? { answer: toAnswer(completion) } : {}),
    };
  }
}

export function openRecorder(options: RecorderOptions): Recorder {
  return new HistoryRecorder(options);
}
