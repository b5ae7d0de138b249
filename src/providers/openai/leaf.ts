import { tightest, type Call, type Timeouts } from "../../model/call.ts";
import { deltasOf } from "../../model/choice-deltas.ts";
import { newFold } from "../../model/collect.ts";
import type { Completion } from "../../model/completion.ts";
import { GatewayError, toGatewayError } from "../../model/errors.ts";
import { batch, type FinishEvent, type ModelEvent } from "../../model/events.ts";
import { handOver, only } from "../../model/hand-over.ts";
import type { Model } from "../../model/model.ts";
import type { ChatRequest } from "../../model/request.ts";
import type { Pools } from "../../upstream/pools.ts";
import { Exchange, type Head } from "../../upstream/post.ts";
import { readRefusal, readWhole, refusePage } from "../../upstream/whole.ts";
import { readAnswer } from "./answer.ts";
import { ChunkReader } from "./chunks.ts";
import { refusalError } from "./errors.ts";
import { EventStream } from "./event-stream.ts";
import type { RequestWriter } from "./request.ts";

export interface LeafOptions {
  /** `provider/model`. */
  readonly name: string;
  /** The model's name at the upstream. */
  readonly model: string;
  readonly pool: ReturnType<Pools["of"]>;
  readonly path: string;
  /** Flat, without hops; the length is told by the client of HTTP. */
  readonly headers: readonly string[];
  readonly writer: RequestWriter;
  readonly timeouts: Timeouts;
}

function isEventStream({ headers }: Head): boolean {
  return (headers["content-type"] ?? "").startsWith("text/event-stream");
}

/** What is read as a whole answer. Anything else may be refused by its head, at once. */
function isAnswer({ status, headers }: Head): boolean {
  return status === 200 && (headers["content-type"] ?? "").startsWith("application/json") && headers["content-encoding"] === undefined;
}

function withHops(headers: readonly string[], hops: number): readonly string[] {
  return [...headers, "x-chorale-hops", String(hops + 1)];
}

function finishOf(completion: Completion): FinishEvent {
  const { usage } = completion;
  return usage ? { type: "finish", completion, usage } : { type: "finish", completion };
}

/** A model behind the OpenAI chat API. One upstream call, no retries, no repair: a bare leaf is transparent. */
export class OpenAiLeaf implements Model {
  readonly name: string;
  readonly #options: LeafOptions;
  /** The headers of all requests that come from no other gateway: nearly all. */
  readonly #headers: readonly string[];

  constructor(options: LeafOptions) {
    this.name = options.name;
    this.#options = options;
    this.#headers = withHops(options.headers, 0);
  }

  stream(request: ChatRequest, call: Call): AsyncIterable<ModelEvent> {
    return handOver(() => (call.delivery === "stream" ? this.#streamed(request, call) : this.whole(request, call).then(only)));
  }

  /** Asks, and gives what reads the answer once its head has come. */
  async #streamed(request: ChatRequest, call: Call): Promise<AsyncIterable<ModelEvent>> {
    const { exchange, wantsUsage } = this.#ask(request, call);
    let isRead = false;
    try {
      const head = await exchange.head();
      await this.#accept(head, exchange, call);
      if (isEventStream(head)) {
        isRead = true;
        return this.#events(exchange, this.#reader(request, call, wantsUsage), call);
      }
      // The upstream answered a stream request with plain JSON.
      const { choices, usage } = await this.#completion(exchange, call);
      return both(
        batch(choices.flatMap((choice) => deltasOf(choice, choice.index))),
        usage ? { type: "finish", usage } : { type: "finish" },
      );
    } catch (thrown) {
      throw toGatewayError(thrown, call.signal);
    } finally {
      if (!isRead) this.#close(exchange, call, undefined);
    }
  }

  whole(request: ChatRequest, call: Call): Promise<FinishEvent> {
    let exchange: Exchange;
    try {
      ({ exchange } = this.#ask(request, call));
    } catch (thrown) {
      return Promise.reject(toGatewayError(thrown, call.signal));
    }
    return exchange.head(isAnswer).then(
      (head) => {
        const body = isAnswer(head) ? exchange.takeBody() : undefined;
        return body ? this.#gathered(body, exchange, call) : this.#followed(exchange, head, request, call);
      },
      (thrown: unknown) => {
        this.#close(exchange, call, undefined);
        throw toGatewayError(thrown, call.signal);
      },
    );
  }

  /** An answer of which all has come: nothing is left to wait for. */
  #gathered(body: Buffer, exchange: Exchange, call: Call): FinishEvent {
    try {
      return finishOf(this.#answer(body, call));
    } catch (thrown) {
      throw toGatewayError(thrown, call.signal);
    } finally {
      this.#close(exchange, call, undefined);
    }
  }

  /** An answer that is still coming, a stream, or a refusal. */
  async #followed(exchange: Exchange, head: Head, request: ChatRequest, call: Call): Promise<FinishEvent> {
    let isRead = false;
    try {
      await this.#accept(head, exchange, call);
      if (!isEventStream(head)) return finishOf(await this.#completion(exchange, call));
      // Streamed upstream so that a cut leg can be billed for what it wrote, but told as one whole answer.
      isRead = true;
      const reader = this.#reader(request, call, false);
      return finishOf(await folded(this.#events(exchange, reader, call), reader));
    } catch (thrown) {
      throw toGatewayError(thrown, call.signal);
    } finally {
      if (!isRead) this.#close(exchange, call, undefined);
    }
  }

  /** Sends the request. */
  #ask(request: ChatRequest, call: Call): { readonly exchange: Exchange; readonly wantsUsage: boolean } {
    const { name, model, pool, path, headers, writer, timeouts } = this.#options;
    const wire = writer.write(request, model, call.delivery);
    for (const field of wire.dropped) call.trace.warnings.push(`${name} does not take "${field}"; it was left out`);
    const exchange = new Exchange({
      pool,
      method: "POST",
      path,
      headers: call.hops === 0 ? this.#headers : withHops(headers, call.hops),
      body: wire.bytes,
      timeouts: tightest(timeouts, call.timeouts),
      clock: call.clock,
      signal: call.signal,
      upstream: name,
    });
    return { exchange, wantsUsage: wire.wantsUsage };
  }

  /** Ends an exchange, and notes what a stream that was cut had said. */
  #close(exchange: Exchange, call: Call, cut: ChunkReader | undefined): void {
    if (cut) noteCut(call, cut);
    if (exchange.sent) call.span.sent = true;
    exchange.close();
  }

  /** Throws what a refusal means, and for what can not be an answer. */
  async #accept(head: Head, exchange: Exchange, call: Call): Promise<void> {
    const { name } = this.#options;
    const { status, headers } = head;
    const encoding = headers["content-encoding"];
    if (encoding !== undefined && encoding !== "identity") {
      throw new GatewayError("upstream_protocol", `${name} sent an answer encoded as ${encoding}, which was not asked for.`, {
        upstream: name,
      });
    }
    refusePage(head, name);
    if (status === 200) return;
    throw refusalError({ upstream: name, status, headers, body: await readRefusal(exchange), wallMs: call.clock.wall() });
  }

  async #completion(exchange: Exchange, call: Call): Promise<Completion> {
    return this.#answer(await readWhole(exchange, this.name), call);
  }

  #answer(bytes: Buffer, { identity, clock }: Call): Completion {
    return readAnswer(bytes, { upstream: this.name, callId: identity.id, wallMs: () => clock.wall() });
  }

  #reader({ body }: ChatRequest, { identity, clock }: Call, wantsUsage: boolean): ChunkReader {
    return new ChunkReader({ identity, upstream: this.name, wantsUsage, wallMs: () => clock.wall(), choices: body.n ?? 1 });
  }

  /** What the upstream streams from here on; closes the exchange. */
  #events(exchange: Exchange, reader: ChunkReader, call: Call): EventStream {
    const close = (cut: ChunkReader | undefined): void => this.#close(exchange, call, cut);
    return new EventStream({ exchange, reader, upstream: this.name, signal: call.signal, close });
  }
}

async function folded(events: EventStream, reader: ChunkReader): Promise<Completion> {
  const fold = newFold();
  for await (const event of events) {
    if (event.type !== "batch") continue;
    for (const delta of event.deltas) fold.add(delta);
  }
  const { usage } = reader;
  return { ...reader.reply, choices: fold.choices(), ...(usage && { usage }) };
}

/** Notes in the span what a cut leg wrote, for `observe` to bill. */
function noteCut(call: Call, reader: ChunkReader): void {
  const { span } = call;
  span.estimated = reader.usage === undefined;
  if (reader.usage) span.usage = reader.usage;
  else if (reader.contentChunks > 0) span.usage = { promptTokens: 0, completionTokens: reader.contentChunks };
}

async function* both(one: ModelEvent, other: ModelEvent): AsyncGenerator<ModelEvent> {
  yield one;
  yield other;
}
