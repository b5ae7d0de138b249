import { GatewayError } from "../model/errors.ts";
import type { ChatRequest, Message } from "../model/request.ts";
import { offersTools } from "../panel/tools/tools.ts";
import type { Capabilities } from "../providers/define.ts";

/**
 * The most bytes of text that one token stands for over a long prompt. English has about 4, long words and indented code 5: who is refused by this
 * is certainly too long, and who is near the limit is left to the upstream, which knows and asks nothing for a refusal.
 */
const MOST_BYTES_PER_TOKEN = 6;

/** A row of one character is few tokens, however long it is. */
const ROW = /([^])\1{7,}/g;

/** What a part of a message needs. */
const needs: Readonly<Record<string, "images" | "audio" | "files">> = { image_url: "images", input_audio: "audio", file: "files" };

function bytesOf(text: unknown): number {
  return typeof text === "string" ? Buffer.byteLength(text.replaceAll(ROW, "$1")) : 0;
}

function partsOf({ content }: Message): readonly { readonly type?: unknown; readonly text?: unknown }[] {
  return Array.isArray(content) ? (content as { readonly type?: unknown; readonly text?: unknown }[]) : [];
}

/** Tokens that the text of a request has at the very least. */
function leastTokens({ body }: ChatRequest): number {
  let bytes = 0;
  for (const message of body.messages) {
    bytes += bytesOf(message.content);
    for (const part of partsOf(message)) bytes += bytesOf(part?.text);
  }
  return Math.ceil(bytes / MOST_BYTES_PER_TOKEN);
}

/** What a model is known to be unable of, and says so before it is asked. */
export class Incapable {
  /** A body of no more bytes is not worth a look: nothing is declared absent, and so little is not too long. */
  quietBytes = Infinity;
  readonly #name: string;
  readonly #can: Capabilities;

  constructor(name: string, can: Capabilities) {
    this.#name = name;
    this.#can = can;
    this.refine({});
  }

  /** Fills in what the server told; what was declared stays. Whoever holds these capabilities sees it. */
  refine(told: Capabilities): void {
    const open = this.#can as Record<string, unknown>;
    for (const [name, value] of Object.entries(told)) open[name] ??= value;
    const { tools, logprobs, images, audio, files, contextLength = Infinity } = this.#can;
    const lacks = tools === false || logprobs === false || images === false || audio === false || files === false;
    this.quietBytes = lacks ? -1 : contextLength * MOST_BYTES_PER_TOKEN;
  }

  /** Why this model can not take a request; undefined when it may. Pure. */
  why(request: ChatRequest): GatewayError | undefined {
    const isOwn = request.edits["messages"] === undefined;
    if (isOwn && request.source.buffer.length <= this.quietBytes) return undefined;
    return this.#whyNeeds(request) ?? this.#whyLength(request);
  }

  #lacks(what: string, param: string): GatewayError {
    return new GatewayError("incapable", `${this.#name} does not take ${what}.`, { param, upstream: this.#name, attempts: 0 });
  }

  #whyNeeds(request: ChatRequest): GatewayError | undefined {
    const can = this.#can;
    const { body } = request;
    if (can.tools === false && offersTools(request)) return this.#lacks("tools", body.tools?.length ? "tools" : "functions");
    if (can.logprobs === false && body.logprobs === true) return this.#lacks("logprobs", "logprobs");
    if (can.audio === false && Array.isArray(body["modalities"]) && body["modalities"].includes("audio"))
      return this.#lacks("audio", "modalities");
    if (can.images !== false && can.audio !== false && can.files !== false) return undefined;
    for (const [index, message] of body.messages.entries()) {
      for (const [at, part] of partsOf(message).entries()) {
        const need = typeof part?.type === "string" ? needs[part.type] : undefined;
        if (need !== undefined && can[need] === false) return this.#lacks(need, `messages[${index}].content[${at}]`);
      }
    }
    return undefined;
  }

  #whyLength(request: ChatRequest): GatewayError | undefined {
    const { contextLength } = this.#can;
    if (contextLength === undefined) return undefined;
    const tokens = leastTokens(request);
    if (tokens <= contextLength) return undefined;
    const message =
      `This model's maximum context length is ${contextLength} tokens. However, your messages resulted in at least ${tokens} tokens. ` +
      "Please reduce the length of the messages.";
    return new GatewayError("context_length_exceeded", message, { param: "messages", upstream: this.#name, attempts: 0 });
  }
}
