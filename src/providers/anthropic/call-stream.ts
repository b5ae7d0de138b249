import type { Delta } from "../../model/events.ts";

interface StreamedCall {
  readonly index: number;
  readonly id: string;
  readonly name: string;
  /** The input that came with the call's start, for when no more comes. */
  readonly whole: string;
  opened: boolean;
  ended: boolean;
  /** Some of its arguments came. */
  begun: boolean;
  held: string;
}

/** The id of a call that came without one. */
export function mintedId(answer: string, index: number): string {
  return `toolu_${answer.slice(-24)}_${index}`;
}

/**
 * The calls of a streamed answer by the number of their blocks. All of one call leaves before the next: the API sends them so, and clients
 * fail on anything else. A call without arguments gets `{}`.
 */
export class CallStream {
  readonly #blocks = new Map<unknown, StreamedCall>();
  readonly #calls: StreamedCall[] = [];
  /** The ids that calls came with. */
  readonly ids: string[] = [];
  readonly #answer: string;
  /** The first call that has not ended. */
  #current = 0;

  constructor(answer: string) {
    this.#answer = answer;
  }

  /** So many calls have begun. */
  get count(): number {
    return this.#calls.length;
  }

  start(block: unknown, { id, name, whole }: { readonly id: string; readonly name: string; readonly whole: string }): readonly Delta[] {
    const index = this.#calls.length;
    const call = {
      index,
      id: id === "" ? mintedId(this.#answer, index) : id,
      name,
      whole,
      opened: false,
      ended: false,
      begun: false,
      held: "",
    };
    this.#calls.push(call);
    if (id !== "") this.ids.push(id);
    this.#blocks.set(block, call);
    return this.#pass();
  }

  more(block: unknown, text: string): readonly Delta[] {
    const call = this.#blocks.get(block);
    if (!call || call.ended || text === "") return [];
    call.begun = true;
    if (call.opened) return [delta(call, text)];
    call.held += text;
    return [];
  }

  stop(block: unknown): readonly Delta[] {
    const call = this.#blocks.get(block);
    if (!call || call.ended) return [];
    const rest = call.begun ? [] : this.more(block, call.whole);
    call.ended = true;
    return [...rest, ...this.#pass()];
  }

  /** What the end of the answer leaves to be said. */
  flush(): readonly Delta[] {
    return [...this.#blocks.keys()].flatMap((block) => this.stop(block));
  }

  /** Opens every call before which all others have ended. */
  #pass(): readonly Delta[] {
    const out: Delta[] = [];
    for (let call = this.#calls[this.#current]; call; call = this.#calls[this.#current]) {
      if (!call.opened) {
        call.opened = true;
        const { id, name } = call;
        out.push({ ...delta(call, call.held), id, name });
      }
      if (!call.ended) break;
      this.#current += 1;
    }
    return out;
  }
}

function delta({ index }: StreamedCall, text: string): Delta & { readonly type: "tool-call" } {
  return { type: "tool-call", choice: 0, index, text };
}
