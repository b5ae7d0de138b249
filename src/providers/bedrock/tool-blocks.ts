import type { Delta } from "../../model/events.ts";
import { isText, type Json } from "../translate/json.ts";
import { mintedId } from "./answer.ts";

interface Block {
  readonly index: number;
  readonly id: string;
  readonly name: string;
  /** Text that waits until the calls before are complete. */
  held: string[];
  /** Something of its arguments came. */
  told: boolean;
  stopped: boolean;
}

/**
 * The calls of a streamed answer. All of one call goes out before the next, whatever the upstream interleaves: clients parse a call when the next
 * one begins.
 */
export class ToolBlocks {
  readonly #callId: string;
  readonly #blocks = new Map<unknown, Block>();
  /** Those that have not gone out to their end, in order; the first is the one that streams. */
  #waiting: Block[] = [];

  /** Ids of calls that come without one are made of `callId`. */
  constructor(callId: string) {
    this.#callId = callId;
  }

  /** How many calls there are. */
  get size(): number {
    return this.#blocks.size;
  }

  /** The id of the first call. */
  get first(): string | undefined {
    return this.#blocks.values().next().value?.id;
  }

  start(block: unknown, { toolUseId: id, name }: Json): readonly Delta[] {
    const index = this.#blocks.size;
    const opened: Block = {
      index,
      id: isText(id) ? id : mintedId(this.#callId, index),
      name: isText(name) ? name : "",
      held: [],
      told: false,
      stopped: false,
    };
    this.#blocks.set(block, opened);
    this.#waiting.push(opened);
    return this.#waiting.length === 1 ? [open(opened)] : [];
  }

  more(block: unknown, input: unknown): readonly Delta[] {
    const found = this.#blocks.get(block);
    if (!found || typeof input !== "string" || input === "") return [];
    found.told = true;
    if (this.#waiting[0] === found) return [{ type: "tool-call", choice: 0, index: found.index, text: input }];
    found.held.push(input);
    return [];
  }

  stop(block: unknown): readonly Delta[] {
    const found = this.#blocks.get(block);
    if (!found) return [];
    found.stopped = true;
    const deltas: Delta[] = [];
    for (let [first] = this.#waiting; first?.stopped; [first] = this.#waiting) {
      // A call without arguments is a call with an empty object.
      if (!first.told) deltas.push({ type: "tool-call", choice: 0, index: first.index, text: "{}" });
      this.#waiting.shift();
      const [next] = this.#waiting;
      if (next) deltas.push(open(next), ...next.held.map((text): Delta => ({ type: "tool-call", choice: 0, index: next.index, text })));
    }
    return deltas;
  }

  /** The end of the message ends every call. */
  end(): readonly Delta[] {
    return [...this.#blocks.keys()].flatMap((block) => (this.#blocks.get(block)?.stopped ? [] : this.stop(block)));
  }
}

function open({ index, id, name }: Block): Delta {
  return { type: "tool-call", choice: 0, index, id, name, text: "" };
}
