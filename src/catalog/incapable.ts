import { GatewayError } from "../model/errors.ts";
import type { ChatRequest, Message } from "../model/request.ts";
import { offersTools } from "../panel/tools/tools.ts";
import type { Capabilities } from "../providers/define.ts";

/**
 * The most bytes of text that one token stands for over a long prompt. English has about 4, long words and indented code 5: who is refused by this
 * is certainly too long, and who is near the limit is left to the upstream, which knows and asks nothing for a refusal.
 */
const MOST_BYTES_PER_TOKEN = 6;

/** A row of one character is few tokens, however long it is; one of so many is counted once. */
const ROW = 8;

/** What a part of a message needs. */
const needs: Readonly<Record<string, "images" | "audio" | "files">> = { image_url: "images", input_audio: "audio", file: "files" };

type Writable = { -readonly [Name in keyof Capabilities]: Capabilities[Name] };

/** Members of a panel are asked the same messages: they are counted once. */
const counted = new WeakMap<ChatRequest["body"]["messages"], number>();

function bytesOfUnit(unit: number): number {
  if (unit < 0x80) return 1;
  // Half of a pair, which is four bytes together.
  return unit < 0x800 || (unit >= 0xd800 && unit < 0xe000) ? 2 : 3;
}

/** By hand: a regular expression fails on a row of millions. */
function bytesOf(text: unknown): number {
  if (typeof text !== "string") return 0;
  let bytes = 0;
  for (let at = 0, end = 0; at < text.length; at = end) {
    const unit = text.charCodeAt(at);
    end = at + 1;
    while (end < text.length && text.charCodeAt(end) === unit) end += 1;
    bytes += bytesOfUnit(unit) * (end - at < ROW ? end - at : 1);
  }
  return bytes;
}

function partsOf({ content }: Message): readonly { readonly type?: unknown; readonly text?: unknown }[] {
  return Array.isArray(content) ? (content as { readonly type?: unknown; readonly text?: unknown }[]) : [];
}

/** Bytes that a request has at most; nobody knows where its messages were changed. */
function sizeOf({ edits, source }: ChatRequest): number {
  return edits["messages"] === undefined ? source.buffer.length : Infinity;
}

/** Tokens that the text of messages has at the very least. */
function leastTokens(messages: ChatRequest["body"]["messages"]): number {
  const known = counted.get(messages);
  if (known !== undefined) return known;
  let bytes = 0;
  for (const message of messages) {
    bytes += bytesOf(message.content);
    for (const part of partsOf(message)) bytes += bytesOf(part?.text);
  }
  const tokens = Math.ceil(bytes / MOST_BYTES_PER_TOKEN);
  counted.set(messages, tokens);
  return tokens;
}

/** What a model is known to be unable of, and says so before it is asked. */
export class Incapable {
  /** A body of no more bytes is not worth a look: nothing is declared absent, and so little is not too long. */
  quietBytes = Infinity;
  readonly #name: string;
  readonly #can: Writable;
  readonly #declared: Capabilities;

  /** `can` is what was declared; whoever holds it sees there too what is learnt later. */
  constructor(name: string, can: Capabilities) {
    this.#name = name;
    this.#can = can;
    this.#declared = { ...can };
    this.learn({});
  }

  /** Takes what the server told of itself, in the place of what it told before; what was declared stays. */
  learn(told: Capabilities): void {
    const can = this.#can;
    for (const name of Object.keys(can) as (keyof Capabilities)[]) delete can[name];
    Object.assign(can, told, this.#declared);
    const { tools, logprobs, images, audio, files, maxOutput, contextLength = Infinity } = can;
    const lacks = [tools, logprobs, images, audio, files].includes(false) || maxOutput !== undefined;
    this.quietBytes = lacks ? -1 : contextLength * MOST_BYTES_PER_TOKEN;
  }

  /** Why this model can not take a request; undefined when it may. Pure. */
  why(request: ChatRequest): GatewayError | undefined {
    if (sizeOf(request) <= this.quietBytes) return undefined;
    return this.#whyFields(request) ?? this.#whyParts(request) ?? this.#whyLength(request);
  }

  #lacks(what: string, param: string): GatewayError {
    return new GatewayError("incapable", `${this.#name} does not take ${what}.`, { param, upstream: this.#name, attempts: 0 });
  }

  #whyFields(request: ChatRequest): GatewayError | undefined {
    const can = this.#can;
    const { body } = request;
    if (can.tools === false && offersTools(request)) return this.#lacks("tools", body.tools?.length ? "tools" : "functions");
    if (can.logprobs === false && body.logprobs === true) return this.#lacks("logprobs", "logprobs");
    if (can.audio === false && Array.isArray(body["modalities"]) && body["modalities"].includes("audio"))
      return this.#lacks("audio", "modalities");
    const field = body.max_completion_tokens === undefined || body.max_completion_tokens === null ? "max_tokens" : "max_completion_tokens";
    if (can.maxOutput !== undefined && (body[field] ?? 0) > can.maxOutput)
      return this.#lacks(`${field} above the ${can.maxOutput} tokens that it writes`, field);
    return undefined;
  }

  #whyParts({ body, edits }: ChatRequest): GatewayError | undefined {
    const can = this.#can;
    if (can.images !== false && can.audio !== false && can.files !== false) return undefined;
    for (const [index, message] of body.messages.entries()) {
      for (const [at, part] of partsOf(message).entries()) {
        const need = typeof part?.type === "string" ? needs[part.type] : undefined;
        if (need === undefined || can[need] !== false) continue;
        // Among messages that were added to the client's own it would stand elsewhere.
        return this.#lacks(need, edits["messages"] === undefined ? `messages[${index}].content[${at}]` : "messages");
      }
    }
    return undefined;
  }

  #whyLength(request: ChatRequest): GatewayError | undefined {
    const { contextLength = Infinity } = this.#can;
    if (sizeOf(request) <= contextLength * MOST_BYTES_PER_TOKEN) return undefined;
    const tokens = leastTokens(request.body.messages);
    if (tokens <= contextLength) return undefined;
    const message =
      `This model's maximum context length is ${contextLength} tokens. However, your messages resulted in at least ${tokens} tokens. ` +
      "Please reduce the length of the messages.";
    return new GatewayError("context_length_exceeded", message, { param: "messages", upstream: this.#name, attempts: 0 });
  }
}
