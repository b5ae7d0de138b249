import type { Choice, Completion } from "../model/completion.ts";

/** Answers of one choice each as the choices of one answer, in order. They are put together as text where all are known so. */
export class MergedChoices implements Completion {
  readonly #parts: readonly Completion[];
  #choices: readonly Choice[] | undefined;

  constructor(parts: readonly Completion[]) {
    this.#parts = parts;
  }

  get choices(): readonly Choice[] {
    this.#choices ??= this.#parts.flatMap(({ choices }, index) => choices.slice(0, 1).map((choice) => ({ ...choice, index })));
    return this.#choices;
  }

  /** Undefined as soon as one of them is not known as text. */
  get unread(): readonly string[] | undefined {
    const all: string[] = [];
    for (const { unread } of this.#parts) {
      if (unread?.length !== 1) return undefined;
      all.push(...unread);
    }
    return all;
  }
}
