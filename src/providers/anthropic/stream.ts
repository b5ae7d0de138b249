import { GatewayError, toGatewayError } from "../../model/errors.ts";
import type { Delta } from "../../model/events.ts";
import { scanJsonObject } from "../../model/json-scan.ts";
import type { Usage } from "../../model/usage.ts";
import { SseReader, type SseEvent } from "../../upstream/sse.ts";
import { isRecord, isText, textOf, type Json } from "../translate/json.ts";
import type { AnswerReader } from "../translate/leg.ts";
import { placedAfter, type Thought } from "../translate/reasoning.ts";
import { inputText } from "./answer.ts";
import { CallStream } from "./call-stream.ts";
import { endDeltas, messageFields, signedOf, type Cited, type Keep, type ReaderContext } from "./ending.ts";
import { inbandError } from "./errors.ts";
import { mergedUsage, readUsage } from "./usage.ts";

/** A block of text or thought that is being written. */
interface Writing {
  readonly type: string;
  text: string;
  signature: string;
  /** Where it begins in the text of the whole answer. */
  readonly from: number;
  /** So many calls had begun. */
  readonly calls: number;
  readonly citations: Json[];
}

const noEvent: Json = Object.freeze({});

/** Reads the event stream of the Messages API. Events and deltas of types that are not known are skipped, as the API asks for. */
export class MessageStream implements AnswerReader {
  readonly #upstream: string;
  readonly #keep: Keep;
  readonly #events: SseReader;
  readonly #calls: CallStream;
  readonly #blocks = new Map<unknown, Writing>();
  readonly #thoughts: Thought[] = [];
  readonly #cited: Cited[] = [];
  /** Of the thoughts, so many were told. */
  #told = 0;
  #length = 0;
  #counted: Json = {};
  #shown = false;
  #ended = false;
  done = false;
  failed: GatewayError | undefined;
  reply: { readonly id?: string; readonly model?: string } = {};

  constructor({ upstream, answer, keep }: ReaderContext) {
    this.#upstream = upstream;
    this.#calls = new CallStream(answer);
    this.#keep = keep;
    this.#events = new SseReader(upstream);
  }

  get complete(): boolean {
    return this.#ended;
  }

  get usage(): Usage | undefined {
    return readUsage(this.#counted);
  }

  read(bytes: Buffer): readonly Delta[] {
    this.#events.push(bytes.toString("latin1"));
    const out: Delta[] = [];
    for (let event = this.done ? undefined : this.#events.next(); event; event = this.done ? undefined : this.#events.next()) {
      try {
        out.push(...this.#event(event));
      } catch (thrown) {
        // Once something was shown, what came together with the error is shown too; before that, somebody else may still answer.
        if (!this.#shown || out.length === 0) throw thrown;
        this.failed = toGatewayError(thrown);
        break;
      }
    }
    this.#shown ||= out.length > 0;
    return out;
  }

  end(): readonly Delta[] {
    const rest = this.done ? undefined : this.#events.rest();
    // An event that was cut says nothing.
    const out = rest && isJson(rest.data) ? this.#event(rest) : [];
    if (this.#ended) return out;
    throw new GatewayError("upstream_unreachable", `${this.#upstream} closed the connection in the middle of its answer.`, {
      upstream: this.#upstream,
    });
  }

  #event({ data, event: name }: SseEvent): readonly Delta[] {
    if (data.trim() === "[DONE]") return [];
    const text = Buffer.from(data, "latin1").toString("utf8");
    const event = this.#parsed(text);
    const { type = name, index } = event;
    switch (type) {
      case "message_start":
        return this.#start(event["message"]);
      case "content_block_start":
        return this.#ended ? [] : this.#blockStart(index, event["content_block"], text);
      case "content_block_delta":
        return this.#ended ? [] : this.#blockDelta(index, event["delta"]);
      case "content_block_stop":
        return this.#ended ? [] : this.#blockStop(index);
      case "message_delta":
        return this.#messageDelta(event);
      case "message_stop":
        this.done = true;
        return this.#ended ? [] : this.#end({});
      case "error":
        throw inbandError(this.#upstream, event);
      default:
        if (isRecord(event["error"])) throw inbandError(this.#upstream, event);
        return [];
    }
  }

  #parsed(text: string): Json {
    try {
      const value: unknown = JSON.parse(text);
      return isRecord(value) ? value : noEvent;
    } catch (thrown) {
      throw new GatewayError("upstream_protocol", `${this.#upstream} sent an event that is not JSON.`, {
        upstream: this.#upstream,
        cause: thrown,
      });
    }
  }

  #start(message: unknown): readonly Delta[] {
    if (!isRecord(message)) return [];
    const { id, model, usage } = message;
    this.reply = { ...(isText(id) ? { id } : {}), ...(isText(model) ? { model } : {}) };
    this.#counted = mergedUsage(this.#counted, usage);
    return [];
  }

  #blockStart(index: unknown, block: unknown, raw: string): readonly Delta[] {
    if (!isRecord(block)) return [];
    const { type, id, name, text, thinking, signature, data } = block;
    if (type === "tool_use") {
      const span = scanJsonObject(raw).spans.get("content_block");
      const whole = inputText(span ? raw.slice(span[1], span[2]) : "{}");
      return this.#calls.start(index, { id: textOf(id), name: textOf(name), whole });
    }
    const { count } = this.#calls;
    if (type === "redacted_thinking" && isText(data)) this.#thoughts.push({ type: "encrypted", data, ...placedAfter(this.#length, count) });
    if (type !== "text" && type !== "thinking") return [];
    const given = isText(signature) ? signature : "";
    this.#blocks.set(index, { type, text: "", signature: given, from: this.#length, calls: count, citations: [] });
    const first = type === "text" ? text : thinking;
    return isText(first) ? this.#write(index, first) : [];
  }

  /** A piece of a block's text. */
  #write(index: unknown, text: string): readonly Delta[] {
    const block = this.#blocks.get(index);
    if (!block || text === "") return [];
    block.text += text;
    if (block.type === "thinking") return [{ type: "reasoning", choice: 0, text }];
    this.#length += text.length;
    return [{ type: "text", choice: 0, text }];
  }

  #blockDelta(index: unknown, delta: unknown): readonly Delta[] {
    if (!isRecord(delta)) return [];
    const { type, text, partial_json: json, thinking, signature, citation } = delta;
    if (type === "text_delta" && typeof text === "string") return this.#write(index, text);
    if (type === "thinking_delta" && typeof thinking === "string") return this.#write(index, thinking);
    if (type === "input_json_delta" && typeof json === "string") return this.#calls.more(index, json);
    const block = this.#blocks.get(index);
    if (type === "signature_delta" && block && typeof signature === "string") block.signature += signature;
    if (type === "citations_delta" && isRecord(citation)) block?.citations.push(citation);
    return [];
  }

  #blockStop(index: unknown): readonly Delta[] {
    this.#close(index);
    return [...this.#thoughtDeltas(), ...this.#calls.stop(index)];
  }

  /** Thoughts to give back, as soon as they are whole: some clients have a place for them only behind their own text. */
  #thoughtDeltas(): readonly Delta[] {
    const { reasoning_details: details } = messageFields([], this.#thoughts);
    const more = Array.isArray(details) ? (details as readonly unknown[]).slice(this.#told) : [];
    this.#told += more.length;
    return more.length === 0 ? [] : [{ type: "extra", choice: 0, fields: { reasoning_details: more } }];
  }

  /** Keeps of a block what the end of the answer tells. */
  #close(index: unknown): void {
    const block = this.#blocks.get(index);
    if (!block) return;
    this.#blocks.delete(index);
    const { type, text, signature, from, calls, citations } = block;
    if (type === "thinking")
      this.#thoughts.push({ type: "text", text, ...(signature === "" ? {} : { signature }), ...placedAfter(from, calls) });
    for (const citation of citations) this.#cited.push({ citation, from, to: this.#length });
  }

  #messageDelta({ delta, usage }: Json): readonly Delta[] {
    this.#counted = mergedUsage(this.#counted, usage);
    // Other news of the message may come before its end.
    if (this.#ended || !isRecord(delta) || !isText(delta["stop_reason"])) return [];
    return this.#end(delta);
  }

  #end({ stop_reason: stop, stop_sequence: sequence, stop_details: details }: Json): readonly Delta[] {
    this.#ended = true;
    for (const index of this.#blocks.keys()) this.#close(index);
    this.#keep(this.#calls.ids, signedOf(this.#thoughts));
    const fields = messageFields(this.#cited, []);
    return [
      ...this.#thoughtDeltas(),
      ...this.#calls.flush(),
      ...endDeltas({ stop, sequence, details, hasCalls: this.#calls.count > 0, fields }),
    ];
  }
}

function isJson(data: string): boolean {
  try {
    JSON.parse(data);
    return true;
  } catch {
    // Cut in its middle.
    return false;
  }
}
