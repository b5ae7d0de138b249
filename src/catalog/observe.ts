import type { Call } from "../model/call.ts";
import { unbounded, type Reservation } from "../model/budget.ts";
import type { GatewayError } from "../model/errors.ts";
import { textOf, type Completion } from "../model/completion.ts";
import { CONTENT, type BatchEvent, type FinishEvent, type ModelEvent } from "../model/events.ts";
import type { Model } from "../model/model.ts";
import type { ChatRequest } from "../model/request.ts";
import type { Span } from "../model/trace.ts";
import type { Usage } from "../model/usage.ts";
import type { Price } from "../config/nodes.ts";
import { shownUses, usesOf } from "../panel/tools/calls.ts";
import { answerTokens, completionTokens, promptTokens, readTokens } from "./estimate.ts";
import { costOf } from "./prices.ts";
import { watch, watchWhole, type Watcher } from "./watched.ts";

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

/** A strategy's part in the trace. On the path of every batch: no work but for the first content. */
class NodeWatcher implements Watcher {
  readonly #node: string;
  readonly #kind: string;
  readonly #call: Call;
  #waiting = true;

  constructor(node: string, kind: string, call: Call) {
    this.#node = node;
    this.#kind = kind;
    this.#call = call;
  }

  begin(): void {
    const { span } = this.#call;
    span.node = this.#node;
    span.kind = this.#kind;
  }

  seen(event: ModelEvent): void {
    if (!this.#waiting || event.type !== "batch" || (event.flags & CONTENT) === 0) return;
    this.#waiting = false;
    this.#call.span.firstMs = this.#call.clock.now();
  }

  finished(): void {
    closeFinished(this.#call.span, this.#call);
  }

  cut(error: GatewayError | undefined): void {
    closeUnfinished(this.#call.span, this.#call, error);
  }
}

/** Writes a strategy's part into the trace. */
export function observe(inner: Model, kind: string): Model {
  const { name } = inner;
  const whole = inner.whole?.bind(inner);
  return {
    name,
    stream: (request, call) => watch(new NodeWatcher(name, kind, call), inner, request, call),
    ...(whole && { whole: (request, call) => watchWhole(new NodeWatcher(name, kind, call), whole, request, call) }),
    unable: (request) => inner.unable?.(request),
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
    usage: usage.promptTokens > 0 ? usage : { ...usage, promptTokens: readTokens(request) },
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
    usage: { promptTokens: readTokens(request), completionTokens: completion },
    estimated: true,
  };
}

/** A leg without a finish. An upstream that refused with a status asks no money, nor does one that was never asked. */
function cutBill(request: ChatRequest, span: Span, error: GatewayError | undefined): Bill | "free" {
  const refused = (error?.details.upstreamStatus ?? 0) >= 400 && span.usage === undefined;
  if (refused) return "free";
  const noted = notedBill(span, request);
  if (noted) return noted;
  return span.sent ? { usage: { promptTokens: readTokens(request), completionTokens: 0 }, estimated: true } : "free";
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
    // A leaf that replays knows what it cost.
    const usd = bill === "free" ? 0 : (span.usd ?? (this.#price && costOf(usage, this.#price)));
    span.usage = usage;
    span.estimated = estimated;
    if (usd !== undefined) span.usd = usd;
    const upstream = this.#name;
    ledger.add(usd === undefined ? { upstream, status, usage, estimated } : { upstream, status, usage, estimated, usd });
    this.#hold?.settle({ usd: usd ?? 0, tokens: usage.promptTokens + usage.completionTokens });
  }
}

function textIn({ deltas }: BatchEvent): string {
  return deltas.map((delta) => (delta.type === "text" && delta.choice === 0 ? delta.text : "")).join("");
}

function keepAnswer(span: Span, completion: Completion): void {
  span.text = textOf(completion);
  const calls = shownUses(usesOf(completion));
  if (calls !== "") span.calls = calls;
}

/** A leaf's part in the trace, and what it costs. */
class LeafWatcher implements Watcher {
  readonly #upstream: string;
  readonly #price: Price | undefined;
  readonly #request: ChatRequest;
  readonly #call: Call;
  #leg: Leg | undefined;
  #batches = 0;

  constructor(upstream: string, price: Price | undefined, request: ChatRequest, call: Call) {
    this.#upstream = upstream;
    this.#price = price;
    this.#request = request;
    this.#call = call;
  }

  begin(): void {
    const { span } = this.#call;
    const name = this.#upstream;
    span.node = name;
    span.kind = "leaf";
    span.upstream = name;
    this.#leg = new Leg(this.#call, name, this.#price, this.#request);
  }

  seen(event: ModelEvent): void {
    if (event.type !== "batch") return;
    const { span, clock, trace } = this.#call;
    if ((event.flags & CONTENT) !== 0 && (this.#batches += 1) === 1) span.firstMs = clock.now();
    if (trace.keepTexts) span.text = (span.text ?? "") + textIn(event);
  }

  finished(event: FinishEvent): void {
    const { span, trace } = this.#call;
    closeFinished(span, this.#call);
    if (trace.keepTexts && event.completion) keepAnswer(span, event.completion);
    this.#leg?.book("ok", finishedBill(event, this.#request, { span, batches: this.#batches }));
  }

  cut(error: GatewayError | undefined): void {
    const { span, signal } = this.#call;
    closeUnfinished(span, this.#call, error);
    this.#leg?.book(error === undefined || signal.aborted ? "cancelled" : "failed", cutBill(this.#request, span, error));
  }
}

/** Writes a leaf's part into the trace, and is the only place that reserves, settles and records what a leg costs. */
export function observeLeaf(inner: Model, price: Price | undefined): Model {
  const { name } = inner;
  const whole = inner.whole?.bind(inner);
  return {
    name,
    stream: (request, call) => watch(new LeafWatcher(name, price, request, call), inner, request, call),
    ...(whole && { whole: (request, call) => watchWhole(new LeafWatcher(name, price, request, call), whole, request, call) }),
  };
}
