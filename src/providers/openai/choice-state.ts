import { HeldWords } from "./held-words.ts";
import type { Draft } from "./message.ts";
import { ToolStream } from "./tool-stream.ts";

/** Sends a delta of our own before the one that is being read. */
export type Write = (delta: Draft) => void;

/** What is known of one choice of a streamed answer. Its methods mend a delta in place, and are true when it was odd. */
export class ChoiceState {
  ended = false;
  readonly #tools: ToolStream;
  readonly #words = new HeldWords();
  readonly #write: Write;
  #hasRole = false;

  constructor(mintId: (call: number) => string, write: Write) {
    this.#tools = new ToolStream(mintId);
    this.#write = write;
  }

  /** It called tools. */
  get calls(): boolean {
    return this.#tools.used;
  }

  /** No word has to wait: chunks of words may pass without being looked at. */
  get isFlowing(): boolean {
    return !this.#tools.used || (!this.#tools.isOpen && this.#words.isEmpty);
  }

  /** The delta with the role that opens a choice. */
  open(): Draft {
    this.#hasRole = true;
    return { role: "assistant", content: "" };
  }

  /** The role stands in the first delta, and nowhere else. */
  role(delta: Draft): boolean {
    if (!this.#hasRole) {
      this.#hasRole = true;
      if (delta["role"] === "assistant") return false;
      delta["role"] = "assistant";
      return true;
    }
    if (!("role" in delta)) return false;
    delete delta["role"];
    return true;
  }

  /** Words may not stand in the middle of a call. */
  words(delta: Draft): boolean {
    if (!this.#tools.used) return false;
    if (this.#tools.isOpen) return this.#words.take(delta);
    const held = this.#words.release();
    if (held) this.#write(held);
    return false;
  }

  tools(delta: Draft): boolean {
    const calls = delta["tool_calls"];
    if (!Array.isArray(calls)) {
      if (!("tool_calls" in delta)) return false;
      delete delta["tool_calls"];
      return true;
    }
    const verdict = this.#tools.add(calls);
    if (!verdict.odd) return false;
    if (verdict.fragments.length > 0) delta["tool_calls"] = verdict.fragments;
    else delete delta["tool_calls"];
    return true;
  }

  /** Puts into the last delta what waited: calls, and the words after them. */
  last(delta: Draft): boolean {
    const late = this.#tools.flush();
    const held = this.#words.release();
    if (late.length === 0 && !held) return false;
    const calls = [...(Array.isArray(delta["tool_calls"]) ? (delta["tool_calls"] as unknown[]) : []), ...late];
    delete delta["tool_calls"];
    if (held) {
      if (calls.length > 0) this.#write({ tool_calls: calls });
      Object.assign(delta, held);
    } else delta["tool_calls"] = calls;
    return true;
  }
}
