import { isAscii, isUtf8 } from "node:buffer";
import type { Identity } from "../../model/call.ts";
import { GatewayError, toGatewayError } from "../../model/errors.ts";
import { CONTENT, Flag, type BatchEvent, type Delta } from "../../model/events.ts";
import { closingQuote, scanJsonObject } from "../../model/json-scan.ts";
import type { Usage } from "../../model/usage.ts";
import type { SseReader, Template } from "../../upstream/sse.ts";
import { deltasOf } from "./deltas.ts";
import { inbandError } from "./errors.ts";
import { canonicalText, finishReason, isDraft, saysFinished, type Draft } from "./message.ts";
import { ToolStream } from "./tool-stream.ts";
import { canonicalUsage, readUsage } from "./usage.ts";

/** How often chunks went out as they came, and how often they had to be parsed or made canonical. For metrics. */
export const chunkPaths = { template: 0, spliced: 0, canonical: 0, invalidUtf8: 0 };

export interface ChunkOptions {
  readonly identity: Identity;
  /** `provider/model`, for errors. */
  readonly upstream: string;
  /** The client asked for usage: `usage` stays where the upstream put it. */
  readonly wantsUsage: boolean;
  readonly wallMs: () => number;
}

/** A template with what leaves in its place, and what it means. */
interface KnownChunk extends Template {
  readonly putHead: string;
  readonly putTail: string;
  readonly type: "text" | "reasoning" | "refusal";
  readonly choice: number;
}

/** What a batch was made of, for whoever looks at its deltas. */
type Part = { readonly chunk: Draft } | { readonly known: KnownChunk; readonly text: string };

interface ChoiceState {
  role: boolean;
  ended: boolean;
  readonly tools: ToolStream;
}

const templated = [
  ['"delta":{"content":"', "text"],
  ['"delta":{"reasoning_content":"', "reasoning"],
  ['"delta":{"reasoning":"', "reasoning"],
  ['"delta":{"refusal":"', "refusal"],
] as const;

function utf8(latin1: string): string {
  const bytes = Buffer.from(latin1, "latin1");
  return isAscii(bytes) ? latin1 : bytes.toString("utf8");
}

function latin1(text: string): string {
  return Buffer.from(text, "utf8").toString("latin1");
}

/** A canonical batch. Its deltas are parsed when somebody looks, once. */
class ChunkBatch implements BatchEvent {
  readonly type = "batch";
  readonly bytes: string;
  readonly flags: number;
  readonly #parts: readonly Part[];
  #deltas: readonly Delta[] | undefined;

  constructor(bytes: string, flags: number, parts: readonly Part[]) {
    this.bytes = bytes;
    this.flags = flags;
    this.#parts = parts;
  }

  get deltas(): readonly Delta[] {
    this.#deltas ??= this.#parts.flatMap((part) => {
      if ("chunk" in part) return deltasOf(part.chunk);
      const { type, choice } = part.known;
      return [{ type, choice, text: JSON.parse(`"${utf8(part.text)}"`) as string }];
    });
    return this.#deltas;
  }
}

/**
 * Turns an upstream's chunks into canonical ones for the client: `id`, `model` and `created` spliced in, everything else byte for byte as it
 * came, unless it is odd. Odd chunks (a repeated role, an unknown finish reason, tool calls without ids, other names for reasoning, anything after
 * the end) are parsed, mended and written anew; unknown fields survive both ways.
 */
export class ChunkReader {
  readonly #options: ChunkOptions;
  readonly #choices = new Map<number, ChoiceState>();
  readonly #idJson: string;
  readonly #modelJson: string;
  readonly #createdJson: string;
  #known: KnownChunk | undefined;
  #bytes = "";
  #flags = 0;
  #parts: Part[] = [];
  #done = false;
  #shown = false;
  #reply: { id?: string; model?: string } = {};
  /** Chunks with content: about one token each, for billing a stream that was cut. */
  contentChunks = 0;
  usage: Usage | undefined;
  /** Why the stream is over after the batch that was just read. */
  failed: GatewayError | undefined;
  /** The chunk that carries the usage, ready for the client. */
  usageBytes: string | undefined;

  constructor(options: ChunkOptions) {
    this.#options = options;
    this.#idJson = latin1(JSON.stringify(options.identity.id));
    this.#modelJson = latin1(JSON.stringify(options.identity.model));
    this.#createdJson = String(options.identity.created);
  }

  /** `[DONE]` was seen. */
  get done(): boolean {
    return this.#done;
  }

  /** Every choice that was seen has ended, and there was one. */
  get complete(): boolean {
    return this.#choices.size > 0 && [...this.#choices.values()].every((choice) => choice.ended);
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
        this.#parts.push({ known, text });
        chunkPaths.template += 1;
        continue;
      }
      const event = events.next();
      if (!event) break;
      try {
        this.event(event.data);
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
      this.#write(index, {}, state.tools.used ? "tool_calls" : "stop");
      state.ended = true;
    }
    if (this.#choices.size === 0) {
      throw new GatewayError("upstream_protocol", `${this.#options.upstream} sent no answer.`, { upstream: this.#options.upstream });
    }
    return this.#take();
  }

  event(dispatched: string): void {
    if (dispatched.trim() === "[DONE]") {
      this.#done = true;
      return;
    }
    // Several lines of data leave as one: in JSON a line can only end between tokens.
    const data = dispatched.includes("\n") ? dispatched.replaceAll("\n", " ") : dispatched;
    const chunk = this.#parse(data);
    if (chunk["error"] !== undefined && chunk["error"] !== null) throw inbandError(this.#options.upstream, chunk, this.#options.wallMs());
    if (chunk["object"] === "error") throw inbandError(this.#options.upstream, chunk, this.#options.wallMs());
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
      if (usage && chunk["usage"]) this.usageBytes = this.#frame(data, chunk, !Array.isArray(choices) || odd);
      return;
    }
    if (usage && chunk["usage"]) {
      this.usageBytes = this.#rewritten({ ...chunk, choices: [] });
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
      state = { role: false, ended: false, tools: new ToolStream((call) => `call_${id.slice(-24)}_${index}_${call}`) };
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
    if (index !== 0 && !this.#choices.has(0)) this.#write(0, this.#roleOnce(this.#state(0)), undefined);
    const state = this.#state(index);
    if (state.ended) return true;
    if (!isDraft(choice["delta"])) {
      choice["delta"] = isDraft(choice["message"]) ? choice["message"] : {};
      delete choice["message"];
      odd = true;
    }
    const delta = choice["delta"] as Draft;
    odd = this.#role(delta, state) || odd;
    odd = canonicalText(delta) || odd;
    if (choice["logprobs"] !== undefined && choice["logprobs"] !== null && !isDraft(choice["logprobs"])) {
      choice["logprobs"] = null;
      odd = true;
    }
    odd = this.#tools(choice, delta, state) || odd;
    kept.push(choice);
    return odd;
  }

  #roleOnce(state: ChoiceState): Draft {
    state.role = true;
    return { role: "assistant", content: "" };
  }

  #role(delta: Draft, state: ChoiceState): boolean {
    if (!state.role) {
      state.role = true;
      if (delta["role"] === "assistant") return false;
      delta["role"] = "assistant";
      return true;
    }
    if (!("role" in delta)) return false;
    delete delta["role"];
    return true;
  }

  #tools(choice: Draft, delta: Draft, state: ChoiceState): boolean {
    let odd = false;
    const calls = delta["tool_calls"];
    if (Array.isArray(calls)) {
      const verdict = state.tools.add(calls);
      odd = verdict.odd;
      if (verdict.odd) {
        if (verdict.fragments.length > 0) delta["tool_calls"] = verdict.fragments;
        else delete delta["tool_calls"];
      }
    } else if ("tool_calls" in delta) {
      delete delta["tool_calls"];
      odd = true;
    }
    return this.#finish(choice, delta, state) || odd;
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
    const late = state.tools.flush();
    if (late.length > 0) delta["tool_calls"] = [...(Array.isArray(delta["tool_calls"]) ? (delta["tool_calls"] as unknown[]) : []), ...late];
    const read = finishReason(said);
    const reason = read === "stop" && state.tools.used ? "tool_calls" : read;
    choice["finish_reason"] = reason;
    return late.length > 0 || reason !== said;
  }

  #emit(data: string, chunk: Draft, odd: boolean): void {
    this.#bytes += this.#frame(data, chunk, odd);
    this.#parts.push({ chunk });
    let flags = 0;
    for (const delta of deltasOf(chunk)) flags |= flagOf(delta);
    this.#flags |= flags;
    if ((flags & CONTENT) !== 0) this.contentChunks += 1;
    for (const choice of chunk["choices"] as Draft[]) if ("role" in (choice["delta"] as Draft)) this.#flags |= Flag.role;
    if (!odd) this.#learn(data, chunk);
  }

  /** Writes a chunk of our own beside the upstream's. */
  #write(index: number, delta: Draft, reason: string | undefined): void {
    const chunk: Draft = { object: "chat.completion.chunk", choices: [{ index, delta, logprobs: null, finish_reason: reason ?? null }] };
    this.#bytes += this.#rewritten(chunk);
    this.#parts.push({ chunk });
    this.#flags |= reason === undefined ? Flag.role : Flag.end;
  }

  #frame(data: string, chunk: Draft, odd: boolean): string {
    return odd ? this.#rewritten(chunk) : `data: ${this.#spliced(data)}\n\n`;
  }

  #rewritten(chunk: Draft): string {
    chunkPaths.canonical += 1;
    const { id, model, created } = this.#options.identity;
    if (!this.#options.wantsUsage) delete chunk["usage"];
    const { id: _i, object: _o, created: _c, model: _m, ...rest } = chunk;
    return `data: ${latin1(JSON.stringify({ id, object: "chat.completion.chunk", created, model, ...rest }))}\n\n`;
  }

  /** The chunk's own text with identity replaced in place, and `"usage":null` cut when the client did not ask for usage. */
  #spliced(data: string): string {
    chunkPaths.spliced += 1;
    const { spans } = scanJsonObject(data);
    const cuts: (readonly [number, number, string])[] = [];
    const missing: string[] = [];
    for (const [key, put] of [
      ["id", this.#idJson],
      ["model", this.#modelJson],
      ["created", this.#createdJson],
      ["object", '"chat.completion.chunk"'],
    ] as const) {
      const span = spans.get(key);
      if (span) cuts.push([span[1], span[2], put]);
      else missing.push(`"${key}":${put},`);
    }
    const usage = spans.get("usage");
    if (usage && !this.#options.wantsUsage) cuts.push(memberCut(data, usage));
    cuts.sort(([a], [b]) => a - b);
    const open = data.indexOf("{") + 1;
    let out = data.slice(0, open) + missing.join("");
    let at = open;
    for (const [from, to, put] of cuts) {
      out += data.slice(at, from) + put;
      at = to;
    }
    return out + data.slice(at);
  }

  /** Remembers the chunk as a template when all that may change in its like is one string. */
  #learn(data: string, chunk: Draft): void {
    if (this.#choices.size === 0) return;
    const [choice] = chunk["choices"] as Draft[];
    if ((chunk["choices"] as unknown[]).length !== 1 || !choice || saysFinished(choice["finish_reason"]) || choice["logprobs"]) return;
    const delta = choice["delta"] as Draft;
    if (Object.keys(delta).length !== 1) return;
    for (const [needle, type] of templated) {
      const at = data.indexOf(needle);
      if (at < 0) continue;
      const from = at + needle.length;
      const to = closingQuote(data, from);
      const marked = this.#spliced(`${data.slice(0, from)}\x01${data.slice(to)}`);
      const mark = marked.indexOf("\x01");
      this.#known = {
        head: `data: ${data.slice(0, from)}`,
        tail: `${data.slice(to)}\n\n`,
        putHead: `data: ${marked.slice(0, mark)}`,
        putTail: `${marked.slice(mark + 1)}\n\n`,
        type,
        choice: choice["index"] as number,
      };
      return;
    }
  }

  #take(): BatchEvent | undefined {
    if (this.#bytes === "") return undefined;
    this.#shown ||= (this.#flags & CONTENT) !== 0;
    const batch = new ChunkBatch(wellFormed(this.#bytes), this.#flags, this.#parts);
    this.#bytes = "";
    this.#flags = 0;
    this.#parts = [];
    return batch;
  }
}

const flags: Partial<Record<Delta["type"], number>> = { "tool-call": Flag.tool, extra: Flag.other };

function flagOf(delta: Delta): number {
  const { type } = delta;
  if (type === "text" || type === "reasoning" || type === "refusal" || type === "logprobs" || type === "end") return Flag[type];
  return flags[type] ?? 0;
}

/** The span of a member with one of its commas. */
function memberCut(text: string, [from, , to]: readonly [number, number, number]): readonly [number, number, string] {
  let start = from;
  while (text.charCodeAt(start - 1) <= 32) start -= 1;
  if (text.charAt(start - 1) === ",") return [start - 1, to, ""];
  let end = to;
  while (text.charCodeAt(end) <= 32) end += 1;
  return text.charAt(end) === "," ? [from, end + 1, ""] : [from, to, ""];
}

const highByte = /[\x80-\xff]/;

/** Invalid UTF-8 becomes U+FFFD and is counted; a client would fail on it. */
function wellFormed(text: string): string {
  if (!highByte.test(text)) return text;
  const bytes = Buffer.from(text, "latin1");
  if (isUtf8(bytes)) return text;
  chunkPaths.invalidUtf8 += 1;
  return Buffer.from(bytes.toString("utf8"), "utf8").toString("latin1");
}
