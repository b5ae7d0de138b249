import type { Draft } from "./message.ts";

const fields = ["content", "reasoning_content", "refusal"] as const;

/** Words that came in the middle of a tool call. They wait until it is whole: to many clients a call is over when something else comes. */
export class HeldWords {
  #held: Draft | undefined;

  /** Takes the words out of a delta; true when there were any. */
  take(delta: Draft): boolean {
    let taken = false;
    for (const field of fields) {
      const text = delta[field];
      if (typeof text !== "string" || text === "") continue;
      this.#held ??= {};
      this.#held[field] = `${(this.#held[field] as string | undefined) ?? ""}${text}`;
      delete delta[field];
      taken = true;
    }
    return taken;
  }

  get isEmpty(): boolean {
    return this.#held === undefined;
  }

  /** What waits, as a delta, once. */
  release(): Draft | undefined {
    const held = this.#held;
    this.#held = undefined;
    return held;
  }
}
