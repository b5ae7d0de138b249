import type { IncomingMessage, ServerResponse } from "node:http";
import { Aborter, type Signal } from "../model/abort.ts";
import type { Entry } from "../catalog/catalog.ts";
import { openBudget, unbounded, type Budget } from "../model/budget.ts";
import { noTimeouts, type Call } from "../model/call.ts";
import { GatewayError, toGatewayError } from "../model/errors.ts";
import { newLedger } from "../model/ledger.ts";
import { chatRequest, readSource, type ChatRequest, type Source } from "../model/request.ts";
import { newSlot } from "../model/slot.ts";
import { newTrace } from "../model/trace.ts";
import type { Admitted, Lease } from "../store/store.ts";
import { decimal } from "./answer-headers.ts";
import type { Asked } from "./asked.ts";
import type { Asker } from "./auth.ts";
import { closeRequest, type Outcome } from "./closing.ts";
import type { Dialect, Reading } from "./dialect.ts";
import { getEntered, type Door, type Entered, type Served } from "./door.ts";
import { sendError } from "./errors.ts";
import { onHangUp } from "./hang-up.ts";
import { checkChatBody } from "./openai/check.ts";
import { readNarrowing, type Narrowing } from "./openai/narrow.ts";
import { openPurse } from "./purse.ts";
import { answerStream } from "./stream.ts";
import { unknownModel } from "./unknown-model.ts";
import { answerWhole } from "./whole.ts";

const MAX_DEPTH = 200;
/** Worst-case answer length for a lease when the request does not bound it. */
const ASSUMED_TOKENS = 1024;
const LEASE_MS = 15 * 60_000;

/** Reads the JSON of a request; what it says is not looked at. */
export function readJson(body: Buffer): ReturnType<typeof readSource> {
  let parsed;
  try {
    parsed = readSource(body);
  } catch (thrown) {
    throw new GatewayError("invalid_request", "The request body is not valid JSON.", { cause: thrown });
  }
  if (parsed.source.scan.depth > MAX_DEPTH)
    throw new GatewayError("invalid_request", `The request body nests deeper than ${MAX_DEPTH} levels.`);
  return parsed;
}

/** Refuses a body in which a top-level key stands twice: who reads it next might take the other one. */
export function refuseDuplicate({ scan }: Source): void {
  if (scan.duplicate !== undefined)
    throw new GatewayError("invalid_request", "The request body has the same key twice.", { param: scan.duplicate.slice(0, 200) });
}

/** Reads a chat request and checks what can be checked without a model. */
export function readChat(body: Buffer): Reading {
  const parsed = readJson(body);
  const checked = checkChatBody(parsed.body);
  refuseDuplicate(parsed.source);
  return { request: chatRequest(checked, parsed.source) };
}

/** The dialect that is the internal form itself. */
export const chatDialect: Dialect = { idPrefix: "chatcmpl-", read: readChat, whole: answerWhole, stream: answerStream, fail: sendError };

/** Who asks, of which models. */
export interface Finding {
  readonly served: Pick<Served, "catalog">;
  readonly asker: Asker;
}

/** The model that is asked for, where this key may ask it this. */
export function findModel(entered: Finding, request: ChatRequest): Entry {
  const { served, asker } = entered;
  const { model } = request.body;
  const entry = served.catalog.get(model);
  if (!entry || !asker.mayUse(entry.name)) throw unknownModel(entered, model);
  // A leaf whose server has `n` makes all choices in one call, also behind an alias.
  const isOneCall = entry.kind === "leaf" && entry.capabilities?.choices !== "one";
  const factor = entry.multiplier * (isOneCall ? 1 : (request.body.n ?? 1));
  if (factor > asker.maxMultiplier) {
    const message = `'${model}' may cost ${Math.ceil(factor)} times a single call for this request; your key allows ${asker.maxMultiplier}.`;
    throw new GatewayError("forbidden", message, { param: "model" });
  }
  return entry;
}

function worstUsd({ entry, request, narrowing, reading: { prompts = 1 } }: Asked): number {
  const { body, source } = request;
  const tokens = body.max_completion_tokens ?? body.max_tokens ?? ASSUMED_TOKENS;
  const n = body.n ?? 1;
  const usd = entry.worstUsd(Math.ceil(source.buffer.length / 4 / prompts) * n, tokens * n);
  return Math.min(usd, narrowing.budget?.usd ?? Infinity);
}

/** What a budget refuses with: spent, too small for this request, or held by others. */
function budgetMessage(leftUsd: number, leastUsd: number): string {
  if (leftUsd <= 0) return "The budget of this key is spent for now.";
  const left = decimal(leftUsd);
  if (leastUsd <= leftUsd) return `Running requests hold the $${left} that the budget of this key has left.`;
  return `This request may cost $${decimal(leastUsd)}, and the budget of this key has $${left} left. A smaller 'max_tokens' bounds the price.`;
}

const limitMessages = {
  requestsPerMinute: "Rate limit reached: requests per minute.",
  tokensPerMinute: "Rate limit reached: tokens per minute.",
  concurrency: "Rate limit reached: requests at once.",
} as const;

/** Serves `POST /v1/chat/completions`, and every other dialect that is a chat inside. */
export class ChatRoute<R extends Reading = Reading> {
  readonly #door: Door;
  readonly #dialect: Dialect<R>;

  constructor(door: Door, dialect: Dialect<R>) {
    this.#door = door;
    this.#dialect = dialect;
  }

  /** Answers one request. Never rejects: whatever happens becomes an answer, a frame or a closed socket. */
  async handle(raw: IncomingMessage, reply: ServerResponse, body: Buffer): Promise<void> {
    const entered = getEntered(raw);
    const controller = new Aborter();
    const { inFlight } = this.#door;
    const dialect = this.#dialect;
    onHangUp(reply, controller);
    let call: Call | undefined;
    let lease: Lease | undefined;
    let deadline: Disposable | undefined;
    let outcome: Outcome = { status: 500, stream: false };
    try {
      inFlight.enter(controller);
      const read = dialect.read(body, entered);
      const reading = read instanceof Promise ? await read : read;
      const { request } = reading;
      const narrowing = readNarrowing(request.body["chorale"], raw.headers);
      const asked: Asked<R> = { entered, entry: findModel(entered, request), request, narrowing, reading };
      const admitting = this.#admit(asked);
      lease = admitting instanceof Promise ? await admitting : admitting;
      call = this.#call(asked, controller.signal, lease);
      deadline = this.#deadline(controller, narrowing);
      outcome = request.body.stream === true ? await dialect.stream(asked, call, reply) : await dialect.whole(asked, call, reply);
    } catch (thrown) {
      const error = toGatewayError(thrown, controller.signal);
      if (error.code === "internal") this.#door.log.warn({ requestId: entered.requestId, cause: stackOf(error) }, "the gateway failed");
      outcome = { status: error.status, stream: false, error };
      dialect.fail(reply, error, entered.headers);
    } finally {
      // Not `using`: in V8 it still costs more than all of this function.
      deadline?.[Symbol.dispose]();
      inFlight.leave(controller);
      const closing = this.#close({ entered, call, lease }, outcome);
      if (closing) await closing;
    }
  }

  #close(ended: { entered: Entered; call: Call | undefined; lease: Lease | undefined }, outcome: Outcome): Promise<unknown> | undefined {
    const failed = (thrown: unknown): void => {
      // The client has its answer: only the books are short of it.
      const cause = stackOf(toGatewayError(thrown));
      this.#door.log.warn({ requestId: ended.entered.requestId, cause }, "a request could not be closed");
    };
    try {
      return closeRequest(this.#door, ended, outcome)?.catch(failed);
    } catch (thrown) {
      failed(thrown);
      return undefined;
    }
  }

  /** Takes room of the key's limits, and money of its budget. */
  #admit(asked: Asked): Lease | Promise<Lease> {
    const { store, clock } = this.#door;
    const { name, limits } = asked.entered.asker;
    const usd = limits.budget ? worstUsd(asked) : 0;
    // A single call is made or not; whatever is made of several may find a way for less.
    const leastUsd = asked.entry.kind === "leaf" ? usd : 0;
    const admission = store.admit({ key: name, limits, usd, leastUsd, now: clock.wall(), expiresMs: LEASE_MS });
    const leased = (admitted: Admitted) => (admitted.ok ? admitted.lease : this.#refuse(admitted, leastUsd));
    return admission instanceof Promise ? admission.then(leased) : leased(admission);
  }

  #refuse(admitted: Extract<Admitted, { readonly ok: false }>, leastUsd: number): never {
    const { limit, retryAfterMs, leftUsd = 0 } = admitted;
    const code = limit === "budget" ? "insufficient_quota" : "rate_limit_exceeded";
    // A budget is worth a wait when only the holds of other requests stand in the way, or its window ends soon.
    const isSoon = limit !== "budget" || retryAfterMs <= 60_000;
    const message = limit === "budget" ? budgetMessage(leftUsd, leastUsd) : limitMessages[limit];
    throw new GatewayError(code, message, isSoon ? { retryAfterMs } : {});
  }

  #deadline(controller: Aborter, { deadlineMs }: Narrowing): Disposable | undefined {
    if (deadlineMs === undefined) return undefined;
    const expired = () =>
      controller.abort(new GatewayError("deadline_exceeded", `No answer within the ${deadlineMs} ms that the request allows.`));
    return this.#door.clock.timer(deadlineMs, expired);
  }

  /** What the request may spend: the money of its key, and what it says itself. */
  #budget({ entered: { asker }, narrowing }: Asked, lease: Lease | undefined): Budget {
    const { limits } = asker;
    const { store, clock } = this.#door;
    let budget = unbounded;
    if (limits.budget && lease) budget = openPurse(lease.usd, (usd) => store.grow(lease, { limits, usd, now: clock.wall() }));
    return narrowing.budget ? openBudget(bounds(narrowing.budget), budget, "this request") : budget;
  }

  #call(asked: Asked, signal: Signal, lease: Lease | undefined): Call {
    const { entered, narrowing, request } = asked;
    const { clock, random, log, retries } = this.#door;
    const trace = newTrace(entered.startMs, narrowing.expose === "full");
    return {
      id: entered.requestId,
      identity: {
        id: `${this.#dialect.idPrefix}${entered.requestId.slice(4)}`,
        model: request.body.model,
        created: Math.floor(clock.wall() / 1000),
      },
      principal: entered.asker,
      signal,
      delivery: request.body.stream === true ? "stream" : "unary",
      clock,
      random: entered.served.catalog.draws?.(request, entered.requestId) ?? random,
      log,
      slot: newSlot(retries),
      budget: this.#budget(asked, lease),
      ledger: newLedger(),
      trace,
      span: trace.root,
      timeouts: noTimeouts,
      hops: entered.hops,
      header: entered.header,
      caching: narrowing.caching,
    };
  }
}

/** Where a fault of our own came from; for the log alone. */
function stackOf({ cause, stack }: Error): string {
  return (cause instanceof Error ? cause.stack : stack) ?? "unknown";
}

function bounds(budget: NonNullable<Narrowing["budget"]>): { usd?: number; calls?: number; tokens?: number } {
  return Object.fromEntries(Object.entries(budget).filter(([, value]) => value !== undefined));
}
