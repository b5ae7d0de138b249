import type { Call } from "../model/call.ts";
import { unbounded, type Reservation } from "../model/budget.ts";
import { GatewayError, toGatewayError } from "../model/errors.ts";
import { textOf } from "../model/completion.ts";
import { CONTENT, type BatchEvent, type FinishEvent, type ModelEvent } from "../model/events.ts";
import type { Model } from "../model/model.ts";
import type { ChatRequest } from "../model/request.ts";
import type { Span } from "../model/trace.ts";
import type { Usage } from "../model/usage.ts";
import type { Price } from "../config/nodes.ts";
import { answerTokens, completionTokens, promptTokens } from "./estimate.ts";
import { costOf } from "./prices.ts";

/** Closes a span that did not finish: aborted or left early is lost, anything else failed. */
function closeUnfinished(span: Span, call: Call, error: GatewayError | undefined): void {
  span.endMs = call.clock.now();
  const unwanted = error === undefined || error.code === "cancelled" || error.code === "client_closed";
  span.status = unwanted ? "lost" : "failed";
  if (error) span.error = { code: error.code, message: error.message };
}

function closeFinished(span: Span, call: Call): void {
  const now = call.clock.now();
  span.firstMs ??= now;
  span.endMs = now;
  span.status = "ok";
}

function noFinish(name: string): GatewayError {
  return new GatewayError("upstream_protocol", `${name} ended without finishing its answer.`);
}

/** Writes a strategy's part into the trace. On the path of every batch: one generator, and no work but for the first content. */
export function observe(inner: Model, kind: string): Model {
  const { name } = inner;
  return {
    name,
    async *stream(request: ChatRequest, call: Call): AsyncGenerator<ModelEvent> {
      const { span } = call;
      span.node = name;
      span.kind = kind;
      let waiting = true;
      let finished = false;
      let error: GatewayError | undefined;
      try {
        for await (const event of inner.stream(request, call)) {
          if (waiting && event.type === "batch" && (event.flags & CONTENT) !== 0) {
            waiting = false;
            span.firstMs = call.clock.now();
          } else if (event.type === "finish") {
            finished = true;
            closeFinished(span, call);
          }
          yield event;
        }
        if (!finished) throw noFinish(name);
      } catch (thrown) {
        error = toGatewayError(thrown, call.signal);
        throw error;
      } finally {
        if (!finished) closeUnfinished(span, call, error);
      }
    },
  };
}

interface Bill {
  readonly usage: Usage;
  readonly estimated: boolean;
}

/** What the leaf noted of a leg that was cut; a prompt that nobody counted is estimated. */
function notedBill(span: Span, request: ChatRequest): Bill | undefined {
  const { usage, estimated = true } = span;
  if (!usage) return undefined;
  return {
    usage: usage.promptTokens > 0 ? usage : { ...usage, promptTokens: promptTokens(request) },
    estimated,
  };
}

function finishedBill(finish: FinishEvent, request: ChatRequest, leg: { readonly span: Span; readonly batches: number }): Bill {
  const usage = finish.usage ?? finish.completion?.usage;
  if (usage) return { usage, estimated: false };
  const noted = notedBill(leg.span, request);
  if (noted) return noted;
  // A streamed answer is not read here; servers send about one token a batch.
  const completion = finish.completion ? answerTokens(finish.completion) : leg.batches;
  return {
    usage: { promptTokens: promptTokens(request), completionTokens: completion },
    estimated: true,
  };
}

/** A leg without a finish. An upstream that refused with a status asks no money, nor does one that was never asked. */
function cutBill(request: ChatRequest, span: Span, error: GatewayError | undefined): Bill | "free" {
  const refused = (error?.details.upstreamStatus ?? 0) >= 400 && span.usage === undefined;
  if (refused) return "free";
  const noted = notedBill(span, request);
  if (noted) return noted;
  return span.sent ? { usage: { promptTokens: promptTokens(request), completionTokens: 0 }, estimated: true } : "free";
}

/** One upstream call: holds its worst case in the budget, and books what it really was, once, whatever becomes of it. */
class Leg {
  readonly #call: Call;
  readonly #name: string;
  readonly #price: Price | undefined;
  readonly #hold: Reservation | undefined;

  constructor(call: Call, name: string, price: Price | undefined, request: ChatRequest) {
    this.#call = call;
    this.#name = name;
    this.#price = price;
    if (call.budget === unbounded) return;
    const usage = {
      promptTokens: promptTokens(request),
      completionTokens: completionTokens(request),
    };
    this.#hold = call.budget.reserve({
      usd: price ? costOf(usage, price) : 0,
      tokens: usage.promptTokens + usage.completionTokens,
    });
  }

  book(status: "ok" | "failed" | "cancelled", bill: Bill | "free"): void {
    const { span, ledger } = this.#call;
    const { usage, estimated } = bill === "free" ? { usage: { promptTokens: 0, completionTokens: 0 }, estimated: false } : bill;
    const usd = bill === "free" ? 0 : this.#price && costOf(usage, this.#price);
    span.usage = usage;
    span.estimated = estimated;
    if (usd !== undefined) span.usd = usd;
    ledger.add({
      upstream: this.#name,
      status,
      usage,
      estimated,
      ...(usd === undefined ? {} : { usd }),
    });
    this.#hold?.settle({ usd: usd ?? 0, tokens: usage.promptTokens + usage.completionTokens });
  }
}

function textIn({ deltas }: BatchEvent): string {
  return deltas.map((delta) => (delta.type === "text" && delta.choice === 0 ? delta.text : "")).join("");
}

/** Writes a leaf's part into the trace, and is the only place that reserves, settles and records what a leg costs. */
export function observeLeaf(inner: Model, price: Price | undefined): Model {
  const { name } = inner;
  return {
    name,
    async *stream(request: ChatRequest, call: Call): AsyncGenerator<ModelEvent> {
      const { span } = call;
      span.node = name;
      span.kind = "leaf";
      span.upstream = name;
      let leg: Leg | undefined;
      let batches = 0;
      let finished = false;
      let error: GatewayError | undefined;
      try {
        leg = new Leg(call, name, price, request);
        for await (const event of inner.stream(request, call)) {
          if (event.type === "batch") {
            if ((event.flags & CONTENT) !== 0 && (batches += 1) === 1) span.firstMs = call.clock.now();
            if (call.trace.keepTexts) span.text = (span.text ?? "") + textIn(event);
          } else if (event.type === "finish") {
            finished = true;
            closeFinished(span, call);
            if (call.trace.keepTexts && event.completion) span.text = textOf(event.completion);
            leg.book("ok", finishedBill(event, request, { span, batches }));
          }
          yield event;
        }
        if (!finished) throw noFinish(name);
      } catch (thrown) {
        error = toGatewayError(thrown, call.signal);
        throw error;
      } finally {
        if (!finished) {
          closeUnfinished(span, call, error);
          leg?.book(error === undefined || call.signal.aborted ? "cancelled" : "failed", cutBill(request, span, error));
        }
      }
    },
  };
}
