import type { Identity } from "../../model/call.ts";
import { GatewayError, toGatewayError } from "../../model/errors.ts";
import { batch, CONTENT, type BatchEvent, type Delta, type FinishReason } from "../../model/events.ts";
import { addUsage, type Usage } from "../../model/usage.ts";
import type { SseEvent, SseReader } from "../../upstream/sse.ts";
import { utf8 } from "./chunk-batch.ts";
import { inbandError, tellsError } from "./errors.ts";
import { FrameWriter, wellFormed } from "./frames.ts";
import { isDraft, type Draft } from "./message.ts";
import { mendChoice } from "./text-choice.ts";
import { canonicalUsage, readUsage } from "./usage.ts";

interface Reading {
  readonly identity: Identity;
  readonly upstream: string;
  /** The client asked for usage: that of the upstream may go out as it is. */
  readonly wantsUsage: boolean;
  readonly wallMs: () => number;
  /** How many answers were asked for. */
  readonly choices: number;
}

interface ChoiceState {
  ended: boolean;
  /** How long the text of its log-probabilities is, in characters. */
  length: number;
  /** Servers that count each answer by itself say so beside it. */
  usage: Usage | undefined;
}

function parsed(data: string): unknown {
  try {
    return JSON.parse(utf8(data));
  } catch {
    // Told by undefined, which is no JSON value.
    return undefined;
  }
}

/**
 * Turns an upstream's chunks of a text completion into canonical ones for the client, as `ChunkReader` does for chats: the identity spliced in,
 * all else byte for byte unless it is odd.
 */
export class TextChunkReader {
  readonly #reading: Reading;
  readonly #frames: FrameWriter;
  readonly #choices = new Map<number, ChoiceState>();
  #bytes = "";
  #deltas: Delta[] = [];
  #usage: Usage | undefined;
  #done = false;
  #shown = false;
  /** An event was dropped that is no part of an answer. */
  #strange = false;
  /** Chunks with text: about one token each, for billing a stream that was cut. */
  contentChunks = 0;
  /** Why the stream is over after the batch that was just read. */
  failed: GatewayError | undefined;
  /** The chunk that carries the usage, ready for the client. */
  usageBytes: string | undefined;

  constructor(reading: Reading) {
    this.#reading = reading;
    this.#frames = new FrameWriter(reading.identity, reading.wantsUsage, "text_completion");
  }

  /** Of the whole answer where the server says it, else the sum of what it says of each choice. */
  get usage(): Usage | undefined {
    if (this.#usage) return this.#usage;
    const told = [...this.#choices.values()].map(({ usage }) => usage).filter((usage) => usage !== undefined);
    return told.length === 0 ? undefined : told.reduce(addUsage);
  }

  /** `[DONE]` came. */
  get done(): boolean {
    return this.#done;
  }

  /** As many choices as were asked for were seen, and all have ended. */
  get complete(): boolean {
    return this.#choices.size >= this.#reading.choices && [...this.#choices.values()].every(({ ended }) => ended);
  }

  /** What the events that are there bring for the client. Throws a GatewayError. */
  read(events: SseReader): BatchEvent | undefined {
    for (let event = events.next(); event; event = this.#done ? undefined : events.next()) {
      try {
        this.#event(event);
      } catch (thrown) {
        // Once something was shown, what came together with the error is shown too; before that, somebody else may still answer.
        if (!this.#shown || this.#bytes === "") throw thrown;
        this.failed = toGatewayError(thrown);
        break;
      }
    }
    return this.#take();
  }

  /** The last event of a closed stream, without the blank line that should end it. One that was cut says nothing. */
  rest(events: SseReader): BatchEvent | undefined {
    const rest = events.rest();
    if (rest && (rest.data.trim() === "[DONE]" || parsed(rest.data) !== undefined)) this.#event(rest);
    return this.#take();
  }

  /** A whole answer in place of a stream. */
  whole(answer: string): BatchEvent | undefined {
    // In an event a carriage return ends a line; in JSON it can only stand between tokens.
    this.#event({ data: answer.replaceAll("\r", " "), event: "" });
    this.#done = true;
    return this.#take();
  }

  /** The upstream said `[DONE]` or closed. Ends choices that may be ended; throws when an answer was cut. */
  end(): BatchEvent | undefined {
    const { upstream } = this.#reading;
    if (!this.#done && !this.complete)
      throw new GatewayError("upstream_unreachable", `${upstream} closed the connection in the middle of its answer.`, { upstream });
    if (this.#choices.size === 0) throw new GatewayError("upstream_protocol", `${upstream} sent no answer.`, { upstream });
    for (const [index, state] of this.#choices) {
      if (state.ended) continue;
      // What was not understood may have said why there is no end: a cut answer must not look whole.
      if (this.#strange)
        throw new GatewayError("upstream_protocol", `${upstream} sent no finish reason, but something else.`, { upstream });
      this.#bytes += this.#frames.rewritten({ choices: [{ index, text: "", logprobs: null, finish_reason: "stop" }] });
      this.#deltas.push({ type: "end", choice: index, reason: "stop" });
      state.ended = true;
    }
    return this.#take();
  }

  #event({ data: dispatched, event: name }: SseEvent): void {
    const word = dispatched.trim();
    if (word === "[DONE]") this.#done = true;
    // llama.cpp begins a stream of several prompts with a null.
    if (word === "[DONE]" || word === "null") return;
    // Several lines of data leave as one: in JSON a line can only end between tokens.
    const data = dispatched.includes("\n") ? dispatched.replaceAll("\n", " ") : dispatched;
    const { upstream, wallMs } = this.#reading;
    const chunk = parsed(data);
    if (!isDraft(chunk)) throw new GatewayError("upstream_protocol", `${upstream} sent an event that is no JSON object.`, { upstream });
    if (name === "error" || tellsError(chunk)) throw inbandError(upstream, chunk, wallMs());
    const { choices } = chunk;
    if (!Array.isArray(choices) || choices.length === 0) this.#counted(data, chunk);
    else this.#said(data, chunk, choices);
  }

  /** A chunk without choices: it has the usage of all of them, or nothing for a client. */
  #counted(data: string, chunk: Draft): void {
    const { usage, choices } = chunk;
    const read = readUsage(usage);
    if (!read || !isDraft(usage)) {
      if (!Array.isArray(choices)) this.#strange = true;
      return;
    }
    this.#usage = read;
    const odd = canonicalUsage(usage) || !Array.isArray(choices);
    this.usageBytes = odd ? this.#frames.rewritten({ ...chunk, choices: [] }) : this.#frames.kept(data);
  }

  #said(data: string, chunk: Draft, choices: readonly unknown[]): void {
    const usage = readUsage(chunk["usage"]);
    // Whoever asked for usage gets it in a chunk of its own.
    let odd = (chunk["usage"] ?? null) !== null && this.#reading.wantsUsage;
    if (odd) chunk["usage"] = null;
    const kept = choices.filter((choice, position) => {
      if (!isDraft(choice)) return false;
      const found = this.#choice(choice, position, usage);
      odd ||= found === "odd";
      return found !== "late";
    });
    if (kept.length === 0) return;
    if (kept.length !== choices.length) odd = true;
    this.#bytes += odd ? this.#frames.rewritten({ ...chunk, choices: kept }) : this.#frames.kept(data);
  }

  /** Makes a choice canonical and notes what it says; `late` is one that has ended before. */
  #choice(choice: Draft, position: number, usage: Usage | undefined): "canonical" | "odd" | "late" {
    const { upstream, wallMs } = this.#reading;
    if (choice["finish_reason"] === "error")
      throw inbandError(upstream, { error: choice["error"] ?? { message: "The upstream ended with an error." } }, wallMs());
    if (isDraft(choice["delta"]) || isDraft(choice["message"]))
      throw new GatewayError("upstream_protocol", `${upstream} sent a chat in place of a text.`, { upstream });
    const before = this.#choices.get(Number(choice["index"] ?? position));
    const { odd, length } = mendChoice(choice, { position, from: before?.length ?? 0 });
    const { index, text, finish_reason: reason } = choice as { index: number; text: string; finish_reason: FinishReason | null };
    const state = this.#choices.get(index) ?? { ended: false, length: 0, usage: undefined };
    if (state.ended) return "late";
    this.#choices.set(index, state);
    state.length += length;
    state.usage = usage ?? state.usage;
    if (text !== "") {
      this.contentChunks += 1;
      this.#deltas.push({ type: "text", choice: index, text });
    }
    if (reason !== null) {
      state.ended = true;
      this.#deltas.push({ type: "end", choice: index, reason });
    }
    return odd ? "odd" : "canonical";
  }

  #take(): BatchEvent | undefined {
    if (this.#bytes === "") return undefined;
    const taken = { ...batch(this.#deltas), bytes: wellFormed(this.#bytes) };
    this.#shown ||= (taken.flags & CONTENT) !== 0;
    this.#bytes = "";
    this.#deltas = [];
    return taken;
  }
}
