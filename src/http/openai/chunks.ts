import type { Identity } from "../../model/call.ts";
import type { Delta } from "../../model/events.ts";
import { latin1Json } from "../../model/latin1.ts";
import type { Usage } from "../../model/usage.ts";
import { wireUsage } from "./usage.ts";

type Json = Record<string, unknown>;

/** Writes deltas as canonical chunks: the role once, calls by their index, one finish per choice. */
export class ChunkWriter {
  readonly #identity: Identity;
  readonly #roles = new Set<number>();

  constructor(identity: Identity) {
    this.#identity = identity;
  }

  /** The frames of a batch that has no bytes of its own. */
  write(deltas: readonly Delta[]): string {
    let out = "";
    for (const delta of deltas) {
      if (!this.#roles.has(delta.choice)) {
        this.#roles.add(delta.choice);
        out += this.#frame(delta.choice, { role: "assistant", content: delta.type === "tool-call" ? null : "" });
      }
      out += this.#delta(delta);
    }
    return out;
  }

  /** The usage chunk: no choices, last before `[DONE]`. */
  usage(usage: Usage, extension: unknown): string {
    return this.#chunk({ choices: [], usage: wireUsage(usage), ...(extension === undefined ? {} : { chorale: extension }) });
  }

  /** A frame without content for proxies that cut streams of comments. */
  idle(): string {
    return this.#frame(0, {});
  }

  #delta(delta: Delta): string {
    switch (delta.type) {
      case "text":
        return this.#frame(delta.choice, { content: delta.text });
      case "reasoning":
        return this.#frame(delta.choice, { reasoning_content: delta.text });
      case "refusal":
        return this.#frame(delta.choice, { refusal: delta.text });
      case "extra":
        return this.#frame(delta.choice, { ...delta.fields });
      case "logprobs": {
        const logprobs = { content: delta.content, refusal: delta.refusal.length > 0 ? delta.refusal : null };
        return this.#chunk({ choices: [{ index: delta.choice, delta: {}, logprobs, finish_reason: null }] });
      }
      case "tool-call":
        return this.#frame(delta.choice, { tool_calls: [this.#call(delta)] });
      default:
        return this.#chunk({ choices: [{ index: delta.choice, delta: {}, logprobs: null, finish_reason: delta.reason, ...delta.extra }] });
    }
  }

  #call(delta: Delta & { readonly type: "tool-call" }): Json {
    const { index, id, name, custom, text, extra } = delta;
    const body = custom
      ? { custom: { ...(name === undefined ? {} : { name }), input: text } }
      : { function: { ...(name === undefined ? {} : { name }), arguments: text } };
    return { ...extra, index, ...(id === undefined ? {} : { id, type: custom ? "custom" : "function" }), ...body };
  }

  #frame(index: number, delta: Json): string {
    return this.#chunk({ choices: [{ index, delta, logprobs: null, finish_reason: null }] });
  }

  #chunk(rest: Json): string {
    const { id, created, model } = this.#identity;
    return `data: ${latin1Json({ id, object: "chat.completion.chunk", created, model, ...rest })}\n\n`;
  }
}
