import type { IncomingMessage, ServerResponse } from "node:http";
import { openBudget, unbounded } from "../model/budget.ts";
import type { Call } from "../model/call.ts";
import { complete } from "../model/complete.ts";
import { textOf } from "../model/completion.ts";
import { GatewayError, toGatewayError } from "../model/errors.ts";
import { Flag, type FinishEvent } from "../model/events.ts";
import { newLedger } from "../model/ledger.ts";
import { open } from "../model/open.ts";
import { chatRequest, readSource, type ChatRequest } from "../model/request.ts";
import { newSlot } from "../model/slot.ts";
import { newTrace } from "../model/trace.ts";
import type { Entry } from "../catalog/catalog.ts";
import type { Lease } from "../store/store.ts";
import { getEntered, type Door, type Entered } from "./door.ts";
import { errorBody, errorHeaders } from "./errors.ts";
import { answeringLeaf, extensionOf, recordOf } from "./extension.ts";
import { onHangUp } from "./hang-up.ts";
import { checkChatBody } from "./openai/check.ts";
import { ChunkWriter } from "./openai/chunks.ts";
import { completionPieces } from "./openai/completion.ts";
import { readNarrowing, type Narrowing } from "./openai/narrow.ts";
import { SseResponse } from "./openai/sse.ts";

const MAX_DEPTH = 200;
/** Worst-case answer length for a lease when the request does not bound it. */
const ASSUMED_TOKENS = 1024;
const LEASE_MS = 15 * 60_000;

/** A request that was read, checked and found a model. */
interface Asked {
  readonly entered: Entered;
  readonly entry: Entry;
  readonly request: ChatRequest;
  readonly narrowing: Narrowing;
}

function read(body: Buffer): { request: ChatRequest } {
  let parsed;
  try {
    parsed = readSource(body);
  } catch (thrown) {
    throw new GatewayError("invalid_request", "The request body is not valid JSON.", { cause: thrown });
  }
  const { scan } = parsed.source;
  if (scan.depth > MAX_DEPTH) throw new GatewayError("invalid_request", `The request body nests deeper than ${MAX_DEPTH} levels.`);
  const checked = checkChatBody(parsed.body);
  if (scan.keys !== scan.spans.size)
    throw new GatewayError("invalid_request", "The request body has the same key twice.", { param: duplicate(parsed.source.text, scan) });
  return { request: chatRequest(checked, parsed.source) };
}

/** Names a duplicate key for the error; the slow way, on the way out. */
function duplicate(text: string, { spans }: { readonly spans: ReadonlyMap<string, readonly [number, number, number]> }): string {
  for (const [key, [from]] of spans) if (text.slice(0, from).includes(JSON.stringify(key))) return key;
  return "body";
}

function find(entered: Entered, request: ChatRequest): Entry {
  const { served, asker } = entered;
  const { model } = request.body;
  const entry = served.catalog.get(model);
  if (!entry || !asker.mayUse(entry.name)) {
    const near = served.catalog.nearest(model, (name) => asker.mayUse(name));
    const hint =
      near.length > 0 ? ` Did you mean ${near.map((name) => `'${name}'`).join(" or ")}?` : " GET /v1/models lists what there is.";
    throw new GatewayError("model_not_found", `The model '${model.slice(0, 200)}' does not exist or your key may not use it.${hint}`, {
      param: "model",
    });
  }
  const factor = entry.multiplier * (entry.virtual ? (request.body.n ?? 1) : 1);
  if (factor > asker.maxMultiplier) {
    const message = `'${model}' may cost ${Math.ceil(factor)} times a single call for this request; your key allows ${asker.maxMultiplier}.`;
    throw new GatewayError("forbidden", message, { param: "model" });
  }
  return entry;
}

function worstUsd({ entry, request, narrowing }: Asked): number {
  const { body, source } = request;
  const tokens = body.max_completion_tokens ?? body.max_tokens ?? ASSUMED_TOKENS;
  const usd = entry.worstUsd(Math.ceil(source.buffer.length / 4), tokens) * (body.n ?? 1);
  return Math.min(usd, narrowing.budget?.usd ?? Infinity);
}

const limitMessages = {
  requestsPerMinute: "Rate limit reached: requests per minute.",
  tokensPerMinute: "Rate limit reached: tokens per minute.",
  concurrency: "Rate limit reached: requests at once.",
  budget: "The budget of this key is spent for now.",
} as const;

/** Serves `POST /v1/chat/completions`. */
export class ChatRoute {
  readonly #door: Door;

  constructor(door: Door) {
    this.#door = door;
  }

  /** Answers one request. Never rejects: whatever happens becomes an answer, a frame or a closed socket. */
  async handle(raw: IncomingMessage, reply: ServerResponse, body: Buffer): Promise<void> {
    const entered = getEntered(raw);
    const controller = new AbortController();
    const { inFlight } = this.#door;
    using _left = onHangUp(reply, controller);
    let call: Call | undefined;
    let lease: Lease | undefined;
    let outcome: Outcome = { status: 500, stream: false };
    try {
      inFlight.enter(controller);
      const { request } = read(body);
      const narrowing = readNarrowing(request.body["chorale"], raw.headers);
      const asked: Asked = { entered, entry: find(entered, request), request, narrowing };
      lease = await this.#admit(asked);
      call = this.#call(asked, controller.signal);
      using _deadline = this.#deadline(controller, narrowing);
      outcome = request.body.stream === true ? await this.#stream(asked, call, reply) : await this.#whole(asked, call, reply);
    } catch (thrown) {
      const error = toGatewayError(thrown, controller.signal);
      if (error.code === "internal") this.#door.log.warn({ requestId: entered.requestId, cause: stackOf(error) }, "the gateway failed");
      outcome = { status: error.status, stream: false, error };
      sendError(reply, error, entered.headers);
    } finally {
      inFlight.leave(controller);
      await this.#close(entered, call, lease, outcome);
    }
  }

  async #admit(asked: Asked): Promise<Lease | undefined> {
    const { store, clock } = this.#door;
    const { name, limits } = asked.entered.asker;
    const admitted = await store.admit({ key: name, limits, usd: worstUsd(asked), now: clock.wall(), expiresMs: LEASE_MS });
    if (admitted.ok) return admitted.lease;
    const code = admitted.limit === "budget" ? "insufficient_quota" : "rate_limit_exceeded";
    throw new GatewayError(
      code,
      limitMessages[admitted.limit],
      code === "rate_limit_exceeded" ? { retryAfterMs: admitted.retryAfterMs } : {},
    );
  }

  #deadline(controller: AbortController, { deadlineMs }: Narrowing): Disposable | undefined {
    if (deadlineMs === undefined) return undefined;
    const expired = () =>
      controller.abort(new GatewayError("deadline_exceeded", `No answer within the ${deadlineMs} ms that the request allows.`));
    return this.#door.clock.timer(deadlineMs, expired);
  }

  #call(asked: Asked, signal: AbortSignal): Call {
    const { entered, narrowing, request } = asked;
    const { clock, random, log, retries } = this.#door;
    const trace = newTrace(entered.startMs, narrowing.expose === "full");
    return {
      id: entered.requestId,
      identity: { id: `chatcmpl-${entered.requestId.slice(4)}`, model: request.body.model, created: Math.floor(clock.wall() / 1000) },
      principal: entered.asker,
      signal,
      delivery: request.body.stream === true ? "stream" : "unary",
      clock,
      random,
      log,
      slot: newSlot(retries),
      budget: narrowing.budget ? openBudget(bounds(narrowing.budget), unbounded, "this request") : unbounded,
      ledger: newLedger(),
      trace,
      span: trace.root,
      timeouts: {},
      hops: entered.hops,
    };
  }

  async #whole(asked: Asked, call: Call, reply: ServerResponse): Promise<Outcome> {
    const { entry, request, narrowing, entered } = asked;
    const child = rootCall(call, entry);
    const result = await complete(entry.model, request, child);
    if (!result.ok) throw result.error;
    const { completion } = result;
    const pieces = completionPieces(completion, {
      identity: call.identity,
      usage: call.ledger.usage(),
      summed: call.ledger.legs.length > 1,
      extension: narrowing.expose === "none" ? undefined : extensionOf(call, narrowing.expose),
    });
    const length = pieces.reduce((sum, piece) => sum + piece.length, 0);
    const headers = [
      "content-type",
      "application/json",
      "content-length",
      String(length),
      ...entered.headers,
      ...answerHeaders(call, entry),
    ];
    headers.push("x-chorale-cost-usd", usd(call), "server-timing", `total;dur=${Math.round(call.clock.now() - entered.startMs)}`);
    if (reply.destroyed) throw new GatewayError("client_closed", "The client closed the connection.");
    reply.writeHead(200, headers);
    for (const [index, piece] of pieces.entries()) {
      if (index < pieces.length - 1) reply.write(piece, "latin1");
      else reply.end(piece, "latin1");
    }
    return { status: 200, stream: false, ...(entered.served.logContent ? { text: textOf(completion) } : {}) };
  }

  async #stream(asked: Asked, call: Call, reply: ServerResponse): Promise<Outcome> {
    const { entry, request, entered } = asked;
    const { served } = entered;
    const writer = new ChunkWriter(call.identity);
    using sse = new SseResponse(reply, {
      head: () => [...streamHead, ...entered.headers, ...answerHeaders(call, entry)],
      clock: call.clock,
      heartbeatMs: served.heartbeatMs,
      heartbeat: served.heartbeat === "data" ? () => writer.idle() : undefined,
    });
    let opening;
    {
      using _commit = call.clock.timer(served.commitAfterMs, () => sse.begin());
      opening = await open(entry.model, request, rootCall(call, entry));
    }
    if (!opening.ok) {
      if (!sse.begun) throw opening.error;
      sse.fail(opening.error.wire);
      return { status: 200, stream: true, error: opening.error };
    }
    const relay = new Relay(asked, call, { sse, writer });
    try {
      for await (const event of opening.events) {
        const full =
          event.type === "batch"
            ? relay.batch(event.bytes ?? writer.write(event.deltas), event.flags)
            : event.type === "finish"
              ? relay.finish(event)
              : undefined;
        if (full) await full;
        if (served.logContent && event.type === "batch") relay.remember(event.deltas);
      }
    } catch (thrown) {
      const error = toGatewayError(thrown, call.signal);
      sse.fail(error.wire);
      return { status: 200, stream: true, error };
    }
    return { status: 200, stream: true, ...(served.logContent ? { text: relay.text } : {}) };
  }

  async #close(entered: Entered, call: Call | undefined, lease: Lease | undefined, outcome: Outcome): Promise<void> {
    const { store, clock, log } = this.#door;
    const now = clock.wall();
    const ms = Math.round(clock.now() - entered.startMs);
    const usage = call?.ledger.usage();
    const cost = call?.ledger.cost();
    log.info(
      {
        requestId: entered.requestId,
        key: entered.asker.name,
        model: call?.identity.model,
        status: outcome.error && outcome.stream ? outcome.error.status : outcome.status,
        stream: outcome.stream,
        ms,
        firstMs:
          call?.trace.root.children[0]?.firstMs === undefined
            ? undefined
            : Math.round(call.trace.root.children[0].firstMs - entered.startMs),
        leaf: call && answeringLeaf(call.trace.root),
        legs: call?.ledger.legs.length ?? 0,
        promptTokens: usage?.promptTokens,
        completionTokens: usage?.completionTokens,
        usd: cost?.usd,
        error: outcome.error?.code,
        why: outcome.error?.message,
        degraded: call && call.trace.degraded.length > 0 ? call.trace.degraded : undefined,
        answer: outcome.text,
      },
      "request",
    );
    if (!call) return;
    call.trace.root.endMs = clock.now();
    if (lease) await store.settle(lease, { usd: cost?.usd ?? 0, tokens: (usage?.promptTokens ?? 0) + (usage?.completionTokens ?? 0), now });
    const error = outcome.error ? { error: outcome.error.wire } : {};
    if (!process.env["NOPUT"]) await store.putRequest({
      id: entered.requestId,
      key: entered.asker.name,
      at: now,
      body: recordOf(call, { status: outcome.status, stream: outcome.stream, ...error }),
    });
  }
}

interface Outcome {
  readonly status: number;
  readonly stream: boolean;
  readonly error?: GatewayError;
  /** The answer's text, where the log may have it. */
  readonly text?: string;
}

const streamHead = [
  "content-type",
  "text/event-stream; charset=utf-8",
  "cache-control",
  "no-cache, no-transform",
  "x-accel-buffering",
  "no",
];

/** Sends batches on, and keeps back only what has to wait for the end: with the extension asked for, the last frame. */
class Relay {
  readonly #asked: Asked;
  readonly #call: Call;
  readonly #out: { readonly sse: SseResponse; readonly writer: ChunkWriter };
  readonly #rides: boolean;
  #held = "";
  text = "";

  constructor(asked: Asked, call: Call, out: { readonly sse: SseResponse; readonly writer: ChunkWriter }) {
    this.#asked = asked;
    this.#call = call;
    this.#out = out;
    this.#rides = asked.narrowing.expose !== "none" && !this.#wantsUsage();
  }

  batch(frames: string, flags: number): Promise<void> | undefined {
    let now = frames;
    if (this.#rides && (flags & Flag.end) !== 0) {
      // A frame starts its line; the same letters may stand inside a text.
      const last = frames.lastIndexOf("\ndata: ") + 1;
      now = this.#held + frames.slice(0, last);
      this.#held = frames.slice(last);
      if (now === "") return undefined;
    } else if (this.#held !== "") {
      now = this.#held + frames;
      this.#held = "";
    }
    return this.#out.sse.write(now);
  }

  finish(event: FinishEvent): undefined {
    const { expose } = this.#asked.narrowing;
    const { sse, writer } = this.#out;
    const extension = expose === "none" ? undefined : extensionOf(this.#call, expose);
    if (this.#wantsUsage()) {
      const usage = this.#call.ledger.usage();
      const own = this.#call.ledger.legs.length === 1 && extension === undefined ? event.bytes : undefined;
      if (own !== undefined) void sse.write(own);
      else if (usage) void sse.write(writer.usage(usage, extension));
    } else if (this.#held !== "") {
      const json = Buffer.from(JSON.stringify(extension), "utf8").toString("latin1");
      void sse.write(this.#held.replace("{", () => `{"chorale":${json},`));
    }
    const degraded = this.#call.trace.degraded[0];
    sse.done(`chorale cost-usd=${usd(this.#call)}${degraded === undefined ? "" : ` degraded=${oneLine(degraded)}`}`);
  }

  remember(deltas: readonly { readonly type: string; readonly text?: string }[]): void {
    for (const delta of deltas) if (delta.type === "text") this.text += delta.text ?? "";
  }

  #wantsUsage(): boolean {
    return this.#asked.request.body.stream_options?.include_usage === true;
  }
}

/** Answers with an error, if nothing has gone out. */
export function sendError(reply: ServerResponse, error: GatewayError, headers: readonly string[]): void {
  if (reply.destroyed || reply.headersSent) {
    reply.destroy();
    return;
  }
  const body = errorBody(error);
  reply.writeHead(error.status, [
    "content-type",
    "application/json",
    "content-length",
    String(Buffer.byteLength(body)),
    ...headers,
    ...errorHeaders(error),
  ]);
  reply.end(body);
}

/** Where a fault of our own came from; for the log alone. */
function stackOf({ cause, stack }: Error): string {
  return (cause instanceof Error ? cause.stack : stack) ?? "unknown";
}

/** Text that may stand in a header or a comment: one line of plain ASCII. */
function oneLine(text: string): string {
  return text.replace(/[^\x20-\x7e]+/g, " ").slice(0, 200);
}

function usd(call: Call): string {
  return call.ledger
    .cost()
    .usd.toFixed(8)
    .replace(/\.?0+$/, "");
}

function answerHeaders(call: Call, entry: Entry): string[] {
  const headers = ["x-chorale-strategy", entry.kind];
  const leaf = answeringLeaf(call.trace.root);
  if (leaf !== undefined) headers.push("x-chorale-model", oneLine(leaf));
  const [degraded] = call.trace.degraded;
  if (degraded !== undefined) headers.push("x-chorale-degraded", oneLine(degraded));
  if (call.trace.warnings.length > 0) headers.push("x-chorale-warnings", oneLine(call.trace.warnings.join("; ")));
  return headers;
}

function bounds(budget: NonNullable<Narrowing["budget"]>): { usd?: number; calls?: number; tokens?: number } {
  return Object.fromEntries(Object.entries(budget).filter(([, value]) => value !== undefined));
}

function rootCall(call: Call, entry: Entry): Call {
  return { ...call, span: openRoot(call, entry.name) };
}

function openRoot(call: Call, label: string): Call["span"] {
  const span = { label, startMs: call.clock.now(), status: "running" as const, children: [] };
  call.trace.root.children.push(span);
  return span;
}
