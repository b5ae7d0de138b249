/** What one caller's answers brought for their calls. */
export interface Remembered<Kept> {
  keep(id: string, kept: Kept): void;
  recall(id: string): Kept | undefined;
}

export interface MemoryBounds {
  readonly entries: number;
  /** Of all that is kept, in characters. */
  readonly size: number;
}

const usual: MemoryBounds = { entries: 10_000, size: 32 * 1024 * 1024 };

/**
 * What has to go back to an upstream with a call, by the call's id: signatures, signed thoughts. They travel through the client too, but many
 * clients send back only the fields that they know. Kept in this process, oldest out first; what was lost is done without. Whoever asks sees only
 * what their own answers brought.
 */
export class CallMemory<Kept> {
  readonly #kept = new Map<string, { readonly value: Kept; readonly size: number }>();
  readonly #sizeOf: (kept: Kept) => number;
  readonly #bounds: MemoryBounds;
  #size = 0;

  constructor(sizeOf: (kept: Kept) => number, bounds: MemoryBounds = usual) {
    this.#sizeOf = sizeOf;
    this.#bounds = bounds;
  }

  of(caller: string): Remembered<Kept> {
    const key = (id: string) => JSON.stringify([caller, id]);
    return {
      keep: (id, value) => this.#keep(key(id), value),
      recall: (id) => this.#kept.get(key(id))?.value,
    };
  }

  #keep(key: string, value: Kept): void {
    this.#drop(key);
    const size = this.#sizeOf(value) + key.length;
    this.#kept.set(key, { value, size });
    this.#size += size;
    for (const oldest of this.#kept.keys()) {
      if (this.#kept.size <= this.#bounds.entries && this.#size <= this.#bounds.size) return;
      this.#drop(oldest);
    }
  }

  #drop(key: string): void {
    this.#size -= this.#kept.get(key)?.size ?? 0;
    this.#kept.delete(key);
  }
}
