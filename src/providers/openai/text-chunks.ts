import type { Identity } from "../../model/call.ts";
import { GatewayError } from "../../model/errors.ts";
import { batch, Flag, type BatchEvent, type Delta, type FinishReason } from "../../model/events.ts";
import { latin1Json } from "../../model/latin1.ts";
import type { Usage } from "../../model/usage.ts";
import type { SseReader } from "../../upstream/sse.ts";
import { inbandError, tellsError } from "./errors.ts";
import { isRecord, type Json } from "./post-json.ts";
import { readUsage } from "./usage.ts";

const reasons: ReadonlySet<unknown> = new Set<FinishReason>(["stop", "length", "content_filter"]);

/** The end of a choice of a text completion: what is not one of its three words is an end all the same. */
export function textEnd(reason: unknown): FinishReason | undefined {
  if (reason === null || reason === undefined || reason === "") return undefined;
  return reasons.has(reason) ? (reason as FinishReason) : "stop";
}

interface Reading {
  readonly identity: Identity;
  readonly upstream: string;
  readonly wallMs: () => number;
}

/** Reads the chunks of a text completion. What it does not know stays in the frames for the client. */
export class TextChunkReader {
  readonly #reading: Reading;
  readonly #open = new Set<number>();
  readonly #ended = new Set<number>();
  #usage: Usage | undefined;
  #done = false;
  #contentChunks = 0;

  constructor(reading: Reading) {
    this.#reading = reading;
  }

  get usage(): Usage | undefined {
    return this.#usage;
  }

  /** `[DONE]` came. */
  get done(): boolean {
    return this.#done;
  }

  /** Every choice that began has ended. */
  get complete(): boolean {
    return this.#open.size === 0 && this.#ended.size > 0;
  }

  /** Chunks with text: about one token each. */
  get contentChunks(): number {
    return this.#contentChunks;
  }

  /** What the events that are there bring for the client. Throws a GatewayError. */
  read(events: SseReader): BatchEvent | undefined {
    const deltas: Delta[] = [];
    let frames = "";
    for (let event = events.next(); event && !this.#done; event = events.next()) frames += this.#event(event.data, deltas);
    return frames === "" ? undefined : { ...batch(deltas), bytes: frames };
  }

  /** At the end of the connection. Throws when an answer was cut. */
  end(): void {
    const { upstream } = this.#reading;
    if (!this.complete) throw new GatewayError("upstream_protocol", `${upstream} ended its stream before its answer.`, { upstream });
  }

  #event(data: string, deltas: Delta[]): string {
    if (data.trim() === "[DONE]") {
      this.#done = true;
      return "";
    }
    const chunk = this.#parsed(data);
    const usage = readUsage(chunk["usage"]);
    if (usage) this.#usage = usage;
    const choices = (Array.isArray(chunk["choices"]) ? chunk["choices"] : [])
      .filter(isRecord)
      .filter((choice) => this.#choice(choice, deltas));
    if (choices.length === 0) return "";
    const { id, created, model } = this.#reading.identity;
    const { id: _i, object: _o, created: _c, model: _m, usage: _u, ...rest } = chunk;
    return `data: ${latin1Json({ id, object: "text_completion", created, model, ...rest, choices })}\n\n`;
  }

  #parsed(data: string): Json {
    const { upstream, wallMs } = this.#reading;
    let chunk: unknown;
    try {
      chunk = JSON.parse(Buffer.from(data, "latin1").toString("utf8"));
    } catch (thrown) {
      throw new GatewayError("upstream_protocol", `${upstream} sent a chunk that is not JSON.`, { upstream, cause: thrown });
    }
    if (tellsError(chunk)) throw inbandError(upstream, chunk, wallMs());
    if (!isRecord(chunk)) throw new GatewayError("upstream_protocol", `${upstream} sent a chunk that is no object.`, { upstream });
    return chunk;
  }

  /** Notes what a choice says; false when it says nothing that may follow what was said before. */
  #choice(choice: Record<string, unknown>, deltas: Delta[]): boolean {
    const { index: given, text, finish_reason: reason } = choice;
    const index = typeof given === "number" && Number.isInteger(given) && given >= 0 ? given : 0;
    if (this.#ended.has(index)) return false;
    this.#open.add(index);
    choice["index"] = index;
    choice["text"] = typeof text === "string" ? text : "";
    choice["logprobs"] ??= null;
    if (choice["text"] !== "") {
      this.#contentChunks += 1;
      deltas.push({ type: "text", choice: index, text: String(choice["text"]) });
    }
    const end = textEnd(reason);
    choice["finish_reason"] = end ?? null;
    if (end === undefined) return true;
    this.#open.delete(index);
    this.#ended.add(index);
    deltas.push({ type: "end", choice: index, reason: end });
    return true;
  }
}

/** What a stream that has begun may send to be alive. */
export function isAlive({ flags }: BatchEvent): boolean {
  return (flags & (Flag.text | Flag.end)) !== 0;
}
