import type { Identity } from "../../model/call.ts";
import { GatewayError, toGatewayError } from "../../model/errors.ts";
import { CONTENT, Flag, type BatchEvent } from "../../model/events.ts";
import type { Usage } from "../../model/usage.ts";
import type { SseReader } from "../../upstream/sse.ts";
import { ChoiceState } from "./choice-state.ts";
import { ChunkBatch, flagOf, utf8, type Part } from "./chunk-batch.ts";
import { templateOf, type KnownChunk } from "./chunk-template.ts";
import { deltasOf } from "./deltas.ts";
import { inbandError, tellsError } from "./errors.ts";
import { chunkPaths, FrameWriter, wellFormed } from "./frames.ts";
import { canonicalText, finishReason, isDraft, saysFinished, type Draft } from "./message.ts";
import { canonicalUsage, readUsage } from "./usage.ts";

export interface ChunkOptions {
  readonly identity: Identity;
  /** `provider/model`, for errors. */
  readonly upstream: string;
  /** The client asked for usage: `usage` stays where the upstream put it. */
  readonly wantsUsage: boolean;
  readonly wallMs: () => number;
  /** The request's `n`; 1 when absent. */
  readonly choices?: number;
}

/** A stream in which each chunk differs from the one before has no use for templates. */
const MAX_MISSES = 3;

/**
 * Turns an upstream's chunks into canonical ones for the client: `id`, `model` and `created` spliced in, everything else byte for byte as it
 * came, unless it is odd. Odd chunks (a repeated role, an unknown finish reason, tool calls without ids, other names for reasoning, anything after
 * the end) are parsed, mended and written anew; unknown fields survive both ways.
 */
export class ChunkReader {
  readonly #options: ChunkOptions;
  readonly #choices = new Map<number, ChoiceState>();
  readonly #frames: FrameWriter;
  #known: KnownChunk | undefined;
  #bytes = "";
  #flags = 0;
  #parts: Part[] = [];
  #done = false;
  #shown = false;
  /** An event was dropped that is no part of an answer. */
  #strange = false;
  /** Templates learned since one was last of use. */
  #misses = 0;
  #reply: { id?: string; model?: string } = {};
  /** Who reads the bytes says that none above 127 has come so far: what goes out is UTF-8 as it is. */
  isAscii = false;
  /** Chunks with content: about one token each, for billing a stream that was cut. */
  contentChunks = 0;
  usage: Usage | undefined;
  /** Why the stream is over after the batch that was just read. */
  failed: GatewayError | undefined;
  /** The chunk that carries the usage, ready for the client. */
  usageBytes: string | undefined;

  constructor(options: ChunkOptions) {
    this.#options = options;
    this.#frames = new FrameWriter(options.identity, options.wantsUsage);
  }

  /** `[DONE]` was seen. */
  get done(): boolean {
    return this.#done;
  }

  /** As many choices as were asked for were seen, and all have ended. */
  get complete(): boolean {
    return this.#choices.size >= (this.#options.choices ?? 1) && [...this.#choices.values()].every((choice) => choice.ended);
  }

  /** Identity as the upstream gave it, once a chunk was seen. */
  get reply(): { readonly id?: string; readonly model?: string } {
    return this.#reply;
  }

  /** Reads all complete events and returns them as one batch; undefined when there is nothing for the client. Throws a GatewayError. */
  read(events: SseReader): BatchEvent | undefined {
    while (!this.#done) {
      const known = this.#known;
      const text = known ? events.take(known) : undefined;
      if (known && text !== undefined) {
        this.#bytes += known.putHead + text + known.putTail;
        if (text !== "") this.#flags |= Flag[known.type];
        this.contentChunks += 1;
        this.#misses = 0;
        this.#parts.push({ known, text });
        chunkPaths.template += 1;
        continue;
      }
      const event = events.next();
      if (!event) break;
      try {
        this.event(event.data, event.event);
      } catch (thrown) {
        // Once something was shown, what came together with the error is shown too; before that, somebody else may still answer.
        if (!this.#shown || this.#bytes === "") throw thrown;
        this.failed = toGatewayError(thrown);
        break;
      }
    }
    return this.#take();
  }

  /** The upstream said `[DONE]` or closed. Ends choices that may be ended; throws when the answer was cut. */
  end(): BatchEvent | undefined {
    if (!this.#done && !this.complete) {
      throw new GatewayError("upstream_unreachable", `${this.#options.upstream} closed the connection in the middle of its answer.`, {
        upstream: this.#options.upstream,
      });
    }
    for (const [index, state] of this.#choices) {
      if (state.ended) continue;
      // What was not understood may have said why there is no end: a cut answer must not look whole.
      if (this.#strange) {
        throw new GatewayError("upstream_protocol", `${this.#options.upstream} sent no finish reason, but something else.`, {
          upstream: this.#options.upstream,
        });
      }
      const delta: Draft = {};
      state.last(delta);
      this.#write(index, delta, state.calls ? "tool_calls" : "stop");
      state.ended = true;
    }
    if (this.#choices.size === 0) {
      throw new GatewayError("upstream_protocol", `${this.#options.upstream} sent no answer.`, { upstream: this.#options.upstream });
    }
    return this.#take();
  }

  /** Reads one event; `name` is its `event` field. */
  event(dispatched: string, name = ""): void {
    if (dispatched.trim() === "[DONE]") {
      this.#done = true;
      return;
    }
    // Several lines of data leave as one: in JSON a line can only end between tokens.
    const data = dispatched.includes("\n") ? dispatched.replaceAll("\n", " ") : dispatched;
    const chunk = this.#parse(data);
    if (name === "error" || (chunk["error"] !== undefined && chunk["error"] !== null) || chunk["object"] === "error")
      throw inbandError(this.#options.upstream, chunk, this.#options.wallMs());
    this.#identify(chunk);
    let odd = "error" in chunk;
    if (odd) delete chunk["error"];
    const { choices } = chunk;
    const usage = readUsage(chunk["usage"]) ?? readUsage(isDraft(chunk["x_groq"]) ? chunk["x_groq"]["usage"] : undefined);
    if (usage) {
      this.usage = usage;
      if (isDraft(chunk["usage"]) && canonicalUsage(chunk["usage"])) odd = true;
    } else if (chunk["usage"] !== undefined && chunk["usage"] !== null) {
      chunk["usage"] = null;
      odd = true;
    }
    if (!Array.isArray(choices) || choices.length === 0) {
      if (usage && chunk["usage"])
        this.usageBytes = !Array.isArray(choices) || odd ? this.#frames.rewritten(chunk) : this.#frames.kept(data);
      else if (!usage && tellsError(chunk)) throw inbandError(this.#options.upstream, chunk, this.#options.wallMs());
      else if (!usage && !Array.isArray(choices)) this.#strange = true;
      return;
    }
    if (usage && chunk["usage"]) {
      this.usageBytes = this.#frames.rewritten({ ...chunk, choices: [] });
      delete chunk["usage"];
      odd = true;
    }
    const kept: Draft[] = [];
    for (const [position, choice] of choices.entries()) {
      if (!isDraft(choice)) continue;
      odd = this.#choice(choice, position, kept) || odd;
    }
    if (kept.length === 0) return;
    if (kept.length !== choices.length) odd = true;
    chunk["choices"] = kept;
    this.#emit(data, chunk, odd);
  }

  #parse(data: string): Draft {
    let chunk: unknown;
    try {
      chunk = JSON.parse(utf8(data));
    } catch (thrown) {
      throw new GatewayError("upstream_protocol", `${this.#options.upstream} sent an event that is not JSON.`, {
        upstream: this.#options.upstream,
        cause: thrown,
      });
    }
    if (!isDraft(chunk))
      throw new GatewayError("upstream_protocol", `${this.#options.upstream} sent an event that is not an object.`, {
        upstream: this.#options.upstream,
      });
    return chunk;
  }

  #identify(chunk: Draft): void {
    if (this.#reply.id === undefined && typeof chunk["id"] === "string" && chunk["id"] !== "")
      this.#reply = { ...this.#reply, id: chunk["id"] };
    if (this.#reply.model === undefined && typeof chunk["model"] === "string") this.#reply = { ...this.#reply, model: chunk["model"] };
  }

  #state(index: number): ChoiceState {
    let state = this.#choices.get(index);
    if (!state) {
      const { id } = this.#options.identity;
      state = new ChoiceState(
        (call) => `call_${id.slice(-24)}_${index}_${call}`,
        (delta) => this.#write(index, delta),
      );
      this.#choices.set(index, state);
    }
    return state;
  }

  /** Makes one choice canonical in place and keeps it, or drops what comes after its end; true when it was odd. */
  #choice(choice: Draft, position: number, kept: Draft[]): boolean {
    let odd = false;
    if (!Number.isInteger(choice["index"]) || Number(choice["index"]) < 0) {
      choice["index"] = position;
      odd = true;
    }
    const index = choice["index"] as number;
    // Clients build their list from the first chunk: it must be choice 0.
    if (index !== 0 && !this.#choices.has(0)) this.#write(0, this.#state(0).open());
    const state = this.#state(index);
    if (state.ended) return true;
    if (!isDraft(choice["delta"])) {
      choice["delta"] = isDraft(choice["message"]) ? choice["message"] : {};
      delete choice["message"];
      odd = true;
    }
    const delta = choice["delta"] as Draft;
    odd = state.role(delta) || odd;
    odd = canonicalText(delta) || odd;
    odd = state.words(delta) || odd;
    if (choice["logprobs"] !== undefined && choice["logprobs"] !== null && !isDraft(choice["logprobs"])) {
      choice["logprobs"] = null;
      odd = true;
    }
    // Words that come next to a call have to be looked at.
    if ("tool_calls" in delta) this.#known = undefined;
    odd = state.tools(delta) || odd;
    odd = this.#finish(choice, delta, state) || odd;
    kept.push(choice);
    return odd;
  }

  #finish(choice: Draft, delta: Draft, state: ChoiceState): boolean {
    const said = choice["finish_reason"];
    if (!saysFinished(said)) {
      if (said === null) return false;
      choice["finish_reason"] = null;
      return true;
    }
    if (said === "error")
      throw inbandError(
        this.#options.upstream,
        { error: choice["error"] ?? { message: "The upstream ended with an error." } },
        this.#options.wallMs(),
      );
    state.ended = true;
    // What comes after the end must not slip through as more of the same.
    this.#known = undefined;
    const late = state.last(delta);
    const read = finishReason(said);
    const reason = read === "stop" && state.calls ? "tool_calls" : read;
    choice["finish_reason"] = reason;
    return late || reason !== said;
  }

  #emit(data: string, chunk: Draft, odd: boolean): void {
    this.#bytes += odd ? this.#frames.rewritten(chunk) : this.#frames.kept(data);
    this.#parts.push({ chunk });
    let flags = 0;
    for (const delta of deltasOf(chunk)) flags |= flagOf(delta);
    this.#flags |= flags;
    if ((flags & CONTENT) !== 0) this.contentChunks += 1;
    for (const choice of chunk["choices"] as Draft[]) if ("role" in (choice["delta"] as Draft)) this.#flags |= Flag.role;
    if (!odd && this.#misses < MAX_MISSES && this.#isFlowing()) this.#learn(data, chunk);
  }

  #isFlowing(): boolean {
    for (const state of this.#choices.values()) if (!state.isFlowing) return false;
    return true;
  }

  #learn(data: string, chunk: Draft): void {
    const known = templateOf(data, chunk, this.#frames);
    if (!known) return;
    this.#known = known;
    this.#misses += 1;
  }

  /** Writes a chunk of our own beside the upstream's. */
  #write(index: number, delta: Draft, reason?: string): void {
    const chunk: Draft = { object: "chat.completion.chunk", choices: [{ index, delta, logprobs: null, finish_reason: reason ?? null }] };
    this.#bytes += this.#frames.rewritten(chunk);
    this.#parts.push({ chunk });
    for (const told of deltasOf(chunk)) this.#flags |= flagOf(told);
    if ("role" in delta) this.#flags |= Flag.role;
  }

  #take(): BatchEvent | undefined {
    if (this.#bytes === "") return undefined;
    this.#shown ||= (this.#flags & CONTENT) !== 0;
    const batch = new ChunkBatch(this.isAscii ? this.#bytes : wellFormed(this.#bytes), this.#flags, this.#parts);
    this.#bytes = "";
    this.#flags = 0;
    this.#parts = [];
    return batch;
  }
}
