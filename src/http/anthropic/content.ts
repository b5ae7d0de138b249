import { deltasOf } from "../../model/choice-deltas.ts";
import type { Choice } from "../../model/completion.ts";
import { GatewayError } from "../../model/errors.ts";
import type { Delta, FinishReason } from "../../model/events.ts";
import { seal } from "../openai/responses/carry.ts";
import { isObject, type Json } from "../openai/responses/json.ts";
import { endingOf, type Ending } from "./ending.ts";
import { inOrder, wholeInOrder } from "./order.ts";
import { ObjectEnd } from "./object-end.ts";
import { thoughtOf, type Thought } from "./thoughts.ts";

/** Tells one event; `fields` without its type. */
export type Emit = (type: string, fields: Json) => void;

interface OpenBlock {
  readonly type: "text" | "thinking" | "tool_use";
  readonly index: number;
  readonly head: Json;
  readonly pieces: string[];
  readonly citations: Json[];
  signature: string;
  /** Of a call: whether its arguments have come to their end. */
  readonly end: ObjectEnd | undefined;
}

export interface ContentOptions {
  readonly stops: readonly string[];
  readonly showsThinking: boolean;
}

/** Fields of a message that this API has no place for and that a leaf needs back on the next turn. */
const needed = ["reasoning_details", "extra_content"] as const;

/** The input of a call as the object that the API wants: the model's own text where it is one. */
function inputText(text: string): string {
  if (text.trim() === "") return "{}";
  try {
    if (isObject(JSON.parse(text))) return text;
  } catch {
    // A model wrote it, so it may be no JSON; whoever runs the tool will tell.
  }
  return JSON.stringify({ input: text });
}

/**
 * Makes content blocks of a chat's deltas and tells the events of each in order. Only the first choice exists. A whole answer goes the same way
 * with an `emit` that tells nobody.
 */
export class Content {
  /** The JSON of each block that is whole. */
  readonly blocks: string[] = [];
  readonly #emit: Emit;
  readonly #options: ContentOptions;
  #open: OpenBlock | undefined;
  /** Blocks by the index of their call. */
  readonly #calls = new Map<number, number>();
  #callFields: Record<string, Json> = {};
  #fields: Record<string, unknown[]> = {};
  #held: Delta[] = [];
  #thought = false;
  #refusal = "";
  #reason: FinishReason = "stop";
  /** What the leaf says of the end beside the reason. */
  #told: Readonly<Record<string, unknown>> | undefined;

  constructor(options: ContentOptions, emit: Emit) {
    this.#options = options;
    this.#emit = emit;
  }

  /** Adds what one batch brought. */
  addAll(deltas: readonly Delta[]): void {
    for (const delta of inOrder(deltas.filter(({ choice }) => choice === 0))) this.#take(delta);
  }

  /** Adds an answer that came at once. */
  addWhole(choice: Choice): void {
    for (const delta of wholeInOrder(deltasOf(choice, 0))) this.#take(delta);
  }

  /** Ends the last block. Call it once the model has finished. */
  finish(): Ending {
    // Each time the block that all else waited for is closed, so something goes on.
    while (this.#held.length > 0) {
      this.#close();
      this.#release();
    }
    this.#close();
    this.#carry();
    return endingOf({
      reason: this.#reason,
      refusal: this.#refusal,
      hasCalls: this.#calls.size > 0,
      met: this.#told?.["stop_reason"],
      details: this.#told?.["stop_details"],
      stops: this.#options.stops,
    });
  }

  /**
   * A call is one block from its name to the end of its arguments: what comes in between waits until they are whole, or until the answer ends. It
   * must not be dropped, nor cut the arguments short, for a client would call the tool with half of them.
   */
  #take(delta: Delta): void {
    const isOwn = delta.type === "tool-call" && this.#calls.get(delta.index) === this.#open?.index;
    if (isOwn || delta.type === "end" || this.#open?.end?.reached !== false) this.#add(delta);
    else this.#held.push(delta);
    if (isOwn && this.#held.length > 0 && this.#open?.end?.reached === true) this.#release();
  }

  #release(): void {
    const held = this.#held;
    this.#held = [];
    for (const delta of held) this.#take(delta);
  }

  #add(delta: Delta): void {
    switch (delta.type) {
      case "text":
        this.#write("text", delta.text);
        return;
      case "reasoning":
        if (this.#options.showsThinking) this.#write("thinking", delta.text);
        return;
      case "refusal":
        this.#refusal += delta.text;
        return;
      case "tool-call":
        this.#call(delta);
        return;
      case "extra":
        this.#extra(delta.fields);
        return;
      case "end":
        this.#reason = delta.reason;
        this.#told = delta.extra;
        return;
      default:
        // The API has no log-probabilities.
        return;
    }
  }

  #write(type: "text" | "thinking", text: string): void {
    if (text === "") return;
    if (this.#open?.type !== type)
      this.#start(type, type === "text" ? { type, text: "", citations: null } : { type, thinking: "", signature: "" });
    const open = this.#open;
    if (!open) return;
    open.pieces.push(text);
    this.#thought ||= type === "thinking";
    this.#delta(open.index, type === "text" ? { type: "text_delta", text } : { type: "thinking_delta", thinking: text });
  }

  #start(type: OpenBlock["type"], head: Json): void {
    this.#close();
    const index = this.blocks.length;
    this.#open = { type, index, head, pieces: [], citations: [], signature: "", end: type === "tool_use" ? new ObjectEnd() : undefined };
    this.#emit("content_block_start", { index, content_block: type === "tool_use" ? { ...head, input: {} } : head });
  }

  #delta(index: number, delta: Json): void {
    this.#emit("content_block_delta", { index, delta });
  }

  #call(delta: Delta & { readonly type: "tool-call" }): void {
    const { index: call, id, name, text, extra } = delta;
    if (!this.#calls.has(call)) {
      const known = id ?? `toolu_${call}`;
      this.#start("tool_use", { type: "tool_use", id: known, name: name ?? "", caller: { type: "direct" } });
      this.#calls.set(call, this.blocks.length);
      if (extra && Object.keys(extra).length > 0) this.#callFields[known] = extra;
    }
    if (text === "") return;
    const open = this.#open;
    if (open?.index !== this.#calls.get(call) || !open) {
      if (text.trim() === "") return;
      throw new GatewayError("upstream_protocol", "The model went on with a call whose arguments were whole.");
    }
    open.pieces.push(text);
    open.end?.add(text);
    this.#delta(open.index, { type: "input_json_delta", partial_json: text });
  }

  #extra(fields: Readonly<Record<string, unknown>>): void {
    const { citations } = fields;
    if (Array.isArray(citations)) this.#cite(citations);
    for (const key of needed) {
      const value = fields[key];
      if (value === undefined || value === null) continue;
      for (const item of Array.isArray(value) ? (value as readonly unknown[]) : [value]) {
        if (key !== "reasoning_details" || !this.#think(item)) (this.#fields[key] ??= []).push(item);
      }
    }
  }

  /** What comes behind its text has no block to stand on any more. */
  #cite(citations: readonly unknown[]): void {
    const open = this.#open;
    if (open?.type !== "text") return;
    for (const citation of citations.filter(isObject)) {
      open.citations.push(citation);
      this.#delta(open.index, { type: "citations_delta", citation });
    }
  }

  /** Tells a thought that its server wants back; false where that is to be done in another way. */
  #think(detail: unknown): boolean {
    const thought = thoughtOf(detail);
    // Pieces of a thought, whose text came as reasoning.
    if (!thought) return isObject(detail) && detail["type"] === "reasoning.text" && (detail["signature"] ?? "") === "";
    if (!this.#options.showsThinking) return false;
    return thought.type === "redacted" ? this.#redacted(thought.data) : this.#signed(thought);
  }

  #redacted(data: string): boolean {
    this.#close();
    this.#whole({ type: "redacted_thinking", data });
    return true;
  }

  /** A signature belongs to the block of its own text. */
  #signed({ text, signature }: Thought & { readonly type: "signed" }): boolean {
    if (this.#open?.type !== "thinking") {
      // Its words may have been told in another block; where it has none there is nothing to tell twice.
      if (text !== "" && (this.#thought || this.blocks.length > 0 || this.#open)) return false;
      this.#start("thinking", { type: "thinking", thinking: "", signature: "" });
      if (text !== "") this.#write("thinking", text);
    }
    const open = this.#open;
    if (!open || open.pieces.join("") !== text) return false;
    open.signature = signature;
    this.#delta(open.index, { type: "signature_delta", signature });
    this.#close();
    return true;
  }

  #close(): void {
    const open = this.#open;
    if (!open) return;
    this.#open = undefined;
    this.#emit("content_block_stop", { index: open.index });
    this.blocks.push(jsonOf(open));
  }

  #whole(block: Json): void {
    const index = this.blocks.length;
    this.#emit("content_block_start", { index, content_block: block });
    this.#emit("content_block_stop", { index });
    this.blocks.push(JSON.stringify(block));
  }

  /**
   * What a leaf wants back and no block has a place for travels in a block that clients must not read and have to send back. Only where the
   * conversation goes on with results of tools: in any other answer it would be a block that nobody expects, and nobody needs.
   */
  #carry(): void {
    const hasFields = Object.keys(this.#fields).length + Object.keys(this.#callFields).length > 0;
    if (!hasFields || this.#calls.size === 0) return;
    const { reasoning_details: details, extra_content: extra } = this.#fields;
    const message = { ...(details ? { reasoning_details: details } : {}), ...(extra ? { extra_content: extra.at(-1) } : {}) };
    this.#whole({ type: "redacted_thinking", data: seal({ message, calls: this.#callFields }) });
  }
}

function jsonOf({ type, head, pieces, citations, signature }: OpenBlock): string {
  const text = pieces.join("");
  if (type === "text") return JSON.stringify({ ...head, text, ...(citations.length > 0 ? { citations } : {}) });
  if (type === "thinking") return JSON.stringify({ ...head, thinking: text, signature });
  return `${JSON.stringify(head).slice(0, -1)},"input":${inputText(text)}}`;
}
