import { GatewayError } from "../../model/errors.ts";
import type { Delta } from "../../model/events.ts";
import type { Usage } from "../../model/usage.ts";
import { isRecord, type Json } from "../translate/json.ts";
import type { AnswerReader } from "../translate/leg.ts";
import { placedAfter, type Place, type Thought } from "../translate/reasoning.ts";
import { readUsage, toEnd, type AnswerContext } from "./answer.ts";
import { streamedError } from "./errors.ts";
import { FrameReader, type Frame } from "./frames.ts";
import { ToolBlocks } from "./tool-blocks.ts";

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // The caller says what that means where it stands.
    return undefined;
  }
}

/** Reads the event stream of `converse-stream`. Its usage comes behind the end of the message. */
export class ConverseStream implements AnswerReader {
  done = false;
  complete = false;
  failed: GatewayError | undefined;
  usage: Usage | undefined;
  readonly reply = {};
  readonly #upstream: string;
  readonly #format: string;
  readonly #memory: AnswerContext["memory"];
  readonly #frames: FrameReader;
  readonly #tools: ToolBlocks;
  /** Of the text so far. */
  #length = 0;
  /** Thoughts by their block. */
  readonly #thoughts = new Map<unknown, { text: string; signature?: string; data?: string; readonly place?: Place }>();

  constructor({ upstream, callId, format, memory }: AnswerContext) {
    this.#upstream = upstream;
    this.#format = format;
    this.#memory = memory;
    this.#tools = new ToolBlocks(callId);
    this.#frames = new FrameReader(upstream);
  }

  read(bytes: Buffer): readonly Delta[] {
    const deltas: Delta[] = [];
    this.#frames.push(bytes);
    try {
      for (let frame = this.#frames.next(); frame; frame = this.#frames.next()) deltas.push(...this.#frame(frame));
    } catch (thrown) {
      // What came before the error was said, and behind the end of an answer nothing matters.
      if (this.complete) this.done = true;
      else if (deltas.length === 0 || !(thrown instanceof GatewayError)) throw thrown;
      else this.failed = thrown;
    }
    return deltas;
  }

  end(): readonly Delta[] {
    if (this.complete) return [];
    throw new GatewayError("upstream_protocol", `${this.#upstream} ended its answer without a stop reason.`, { upstream: this.#upstream });
  }

  #frame({ kind, name, body }: Frame): readonly Delta[] {
    if (kind === "exception") throw streamedError(this.#upstream, name, parsed(body));
    if (kind === "error") throw streamedError(this.#upstream, name, body);
    const event = parsed(body);
    if (!isRecord(event)) {
      throw new GatewayError("upstream_protocol", `${this.#upstream} sent an event that is not JSON.`, { upstream: this.#upstream });
    }
    return this.#event(name, event);
  }

  /** Events that are not known here are new ones: they say nothing that was asked for. */
  #event(name: string, event: Json): readonly Delta[] {
    if (name === "metadata") {
      this.usage = readUsage(event["usage"]) ?? this.usage;
      this.done = this.complete;
      return [];
    }
    if (this.complete) return [];
    const { contentBlockIndex: block, start, delta, stopReason } = event;
    if (name === "contentBlockStart" && isRecord(start) && isRecord(start["toolUse"])) return this.#tools.start(block, start["toolUse"]);
    if (name === "contentBlockDelta" && isRecord(delta)) return this.#delta(block, delta);
    if (name === "contentBlockStop") return this.#tools.stop(block);
    if (name !== "messageStop") return [];
    const last = this.#tools.end();
    const thoughts = this.#signed();
    const { first } = this.#tools;
    if (thoughts.length > 0 && first !== undefined) this.#memory?.keep(first, thoughts);
    const end = toEnd(stopReason, {
      upstream: this.#upstream,
      called: this.#tools.size > 0,
      thoughts,
      format: this.#format,
    });
    this.complete = true;
    return [...last, ...end];
  }

  #delta(block: unknown, { text, toolUse, reasoningContent: reasoning }: Json): readonly Delta[] {
    if (typeof text === "string") {
      this.#length += text.length;
      return text === "" ? [] : [{ type: "text", choice: 0, text }];
    }
    if (isRecord(toolUse)) return this.#tools.more(block, toolUse["input"]);
    return isRecord(reasoning) ? this.#thought(block, reasoning) : [];
  }

  #thought(block: unknown, { text, signature, redactedContent: data }: Json): readonly Delta[] {
    let thought = this.#thoughts.get(block);
    if (!thought) this.#thoughts.set(block, (thought = { text: "", ...placedAfter(this.#length, this.#tools.size) }));
    if (typeof signature === "string") thought.signature = (thought.signature ?? "") + signature;
    if (typeof data === "string") thought.data = (thought.data ?? "") + data;
    if (typeof text !== "string" || text === "") return [];
    thought.text += text;
    return [{ type: "reasoning", choice: 0, text }];
  }

  #signed(): readonly Thought[] {
    return [...this.#thoughts.values()].flatMap(({ text, signature, data, ...place }): Thought[] => {
      if (data !== undefined) return [{ type: "encrypted", data, ...place }];
      return signature === undefined ? [] : [{ type: "text", text, signature, ...place }];
    });
  }
}
