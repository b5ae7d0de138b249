import type { IncomingHttpHeaders } from "node:http";
import { tightest, type Call, type Timeouts } from "../../model/call.ts";
import { deltasOf } from "../../model/choice-deltas.ts";
import { newFold } from "../../model/collect.ts";
import type { Completion } from "../../model/completion.ts";
import { GatewayError, toGatewayError, type ErrorCode } from "../../model/errors.ts";
import { batch, CONTENT, Flag, type Delta, type ModelEvent } from "../../model/events.ts";
import type { Model } from "../../model/model.ts";
import type { ChatRequest } from "../../model/request.ts";
import type { Usage } from "../../model/usage.ts";
import type { Pools } from "../../upstream/pools.ts";
import { Exchange } from "../../upstream/post.ts";
import { readRefusal, readWhole, refusePage } from "../../upstream/whole.ts";

/** A request as it goes over the wire. */
export interface Wire {
  readonly path: string;
  /** Flat, without hops; the length is told by the client of HTTP. */
  readonly headers: readonly string[];
  readonly bytes: Buffer;
  /** What the dialect can not say and the answer does not depend on, in words for the client. */
  readonly warnings: readonly string[];
}

/** Reads a streamed answer of a dialect; made for one answer. */
export interface AnswerReader {
  /** What these bytes complete. Throws a GatewayError for what is no answer; an error that comes behind content stands in `failed`. */
  read(bytes: Buffer): readonly Delta[];
  /** What the end leaves to be said. Throws when the answer was cut. */
  end(): readonly Delta[];
  /** The upstream said that there is no more. */
  readonly done: boolean;
  /** Every choice has ended: the answer is whole, however its connection ends. */
  readonly complete: boolean;
  /** Why the stream is over behind what was just read. */
  readonly failed: GatewayError | undefined;
  /** What the upstream counted so far. */
  readonly usage: Usage | undefined;
  readonly reply: { readonly id?: string; readonly model?: string };
}

/** What a dialect knows: to write a request, and to read what comes back. Everything throws GatewayErrors only. */
export interface Codec {
  write(request: ChatRequest, call: Call): Wire | Promise<Wire>;
  /** A whole answer. */
  whole(bytes: Buffer, call: Call): Completion;
  stream(call: Call): AnswerReader;
  /** The media type of a streamed answer. */
  readonly streamType: string;
  refusal(refused: Refusal): GatewayError;
}

export interface Refusal {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  /** The parsed body; undefined when it is not JSON. */
  readonly body: unknown;
  readonly wallMs: number;
}

export interface LegOptions {
  /** `provider/model`. */
  readonly name: string;
  readonly pool: ReturnType<Pools["of"]>;
  readonly timeouts: Timeouts;
  readonly codec: Codec;
}

/** What a stream that has begun may send to be alive. */
const LIFE = CONTENT | Flag.end;
/** How a connection can end under an answer. */
const lost: ReadonlySet<ErrorCode> = new Set(["upstream_unreachable", "upstream_timeout", "upstream_protocol"]);

/** Notes in the span what a leg wrote that did not come to its end, for `observe` to bill. */
function noteCut({ span }: Call, usage: Usage | undefined, contents: number): void {
  span.estimated = true;
  if (!usage && contents === 0) return;
  // A count that came before the text is the prompt's; about one token comes with each piece of text.
  span.usage = { ...usage, promptTokens: usage?.promptTokens ?? 0, completionTokens: Math.max(usage?.completionTokens ?? 0, contents) };
}

/** Reads a streamed answer read by read. */
class Reads {
  readonly #exchange: Exchange;
  readonly #reader: AnswerReader;
  #first = true;
  #ended = false;
  /** Pieces with content that were read. */
  contents = 0;

  constructor(exchange: Exchange, reader: AnswerReader) {
    this.#exchange = exchange;
    this.#reader = reader;
  }

  /** What the next read brings; undefined at the end. Throws a GatewayError. */
  async next(): Promise<readonly Delta[] | undefined> {
    const reader = this.#reader;
    while (!this.#ended) {
      if (reader.failed) throw reader.failed;
      let chunk: Buffer | undefined;
      try {
        if (!reader.done) chunk = await this.#exchange.read();
      } catch (thrown) {
        // An answer that has ended is whole, however its connection ends.
        if (!reader.complete || !(thrown instanceof GatewayError) || !lost.has(thrown.code)) throw thrown;
      }
      if (!chunk) return this.#last();
      const deltas = reader.read(chunk);
      if (reader.done) this.#exchange.finish();
      if (deltas.length > 0) return this.#counted(deltas);
    }
    return undefined;
  }

  #counted(deltas: readonly Delta[]): readonly Delta[] {
    let flags = 0;
    for (const delta of deltas) {
      const bits = batch([delta]).flags;
      flags |= bits;
      if ((bits & CONTENT) !== 0) this.contents += 1;
    }
    if ((flags & (this.#first ? CONTENT : LIFE)) !== 0) {
      this.#first = false;
      this.#exchange.alive();
    }
    return deltas;
  }

  #last(): readonly Delta[] | undefined {
    this.#ended = true;
    const deltas = this.#reader.end();
    return deltas.length > 0 ? this.#counted(deltas) : undefined;
  }
}

/** A model behind a dialect that has to be translated. One upstream call, no retries. Its batches have no bytes: nothing comes as a client could read it. */
export class TranslatedLeaf implements Model {
  readonly name: string;
  readonly #options: LegOptions;

  constructor(options: LegOptions) {
    this.name = options.name;
    this.#options = options;
  }

  async *stream(request: ChatRequest, call: Call): AsyncGenerator<ModelEvent> {
    const { name, pool, timeouts, codec } = this.#options;
    const { path, headers, bytes, warnings } = await codec.write(request, call);
    for (const warning of warnings) call.trace.warnings.push(`${name} ${warning}`);
    const exchange = new Exchange({
      pool,
      method: "POST",
      path,
      headers: [...headers, "x-chorale-hops", String(call.hops + 1)],
      body: bytes,
      timeouts: tightest(timeouts, call.timeouts),
      clock: call.clock,
      signal: call.signal,
      upstream: name,
    });
    let cut: { readonly reader: AnswerReader; readonly reads: Reads } | undefined;
    try {
      if (!(await this.#head(exchange, call))) {
        const completion = codec.whole(await readWhole(exchange, name), call);
        yield* told(completion, call);
        return;
      }
      const reader = codec.stream(call);
      const reads = new Reads(exchange, reader);
      cut = { reader, reads };
      if (call.delivery === "stream") yield* shown(reader, reads);
      else yield await folded(reader, reads);
      cut = undefined;
    } catch (thrown) {
      throw toGatewayError(thrown, call.signal);
    } finally {
      if (cut) noteCut(call, cut.reader.usage, cut.reads.contents);
      if (exchange.sent) call.span.sent = true;
      exchange.close();
    }
  }

  /** Waits for the head; true when a streamed answer follows. Throws what a refusal means. */
  async #head(exchange: Exchange, call: Call): Promise<boolean> {
    const { name, codec } = this.#options;
    const head = await exchange.head();
    const { status, headers } = head;
    const encoding = headers["content-encoding"];
    if (encoding !== undefined && encoding !== "identity") {
      throw new GatewayError("upstream_protocol", `${name} sent an answer encoded as ${encoding}, which was not asked for.`, {
        upstream: name,
      });
    }
    refusePage(head, name);
    if (status === 200) return (headers["content-type"] ?? "").startsWith(codec.streamType);
    throw codec.refusal({ status, headers, body: await readRefusal(exchange), wallMs: call.clock.wall() });
  }
}

async function* shown(reader: AnswerReader, reads: Reads): AsyncGenerator<ModelEvent> {
  let started = false;
  for (let deltas = await reads.next(); deltas; deltas = await reads.next()) {
    if (!started) {
      started = true;
      yield { type: "start", ...reader.reply };
    }
    yield batch(deltas);
  }
  const { usage } = reader;
  yield usage ? { type: "finish", usage } : { type: "finish" };
}

/** Streamed upstream so that a cut leg can be billed for what it wrote, but told as one whole answer. */
async function folded(reader: AnswerReader, reads: Reads): Promise<ModelEvent> {
  const fold = newFold();
  for (let deltas = await reads.next(); deltas; deltas = await reads.next()) for (const delta of deltas) fold.add(delta);
  const { usage } = reader;
  const completion: Completion = { ...reader.reply, choices: fold.choices(), ...(usage && { usage }) };
  return { type: "finish", completion, ...(usage && { usage }) };
}

/** A whole answer, as batches where a stream was asked for. */
function* told(completion: Completion, { delivery }: Call): Generator<ModelEvent> {
  const { usage, choices } = completion;
  if (delivery === "stream") {
    yield batch(choices.flatMap((choice) => deltasOf(choice, choice.index)));
    yield usage ? { type: "finish", usage } : { type: "finish" };
  } else yield usage ? { type: "finish", completion, usage } : { type: "finish", completion };
}
