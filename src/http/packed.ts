/** Numbers of many values together: a thousand of the least records. */
const SLAB = 32_768;
/** Room that a value finds at least; one that needs more has a slab of its own. */
const ROOM = 2048;
/** A longer name is a text of its value. */
const LONGEST_NAME = 200;
const NUMBER_BYTES = 8;
const OWN_BYTES = 200;

/** Where values stand, and the names that they share. It goes with the last of them: what clients call a model is not remembered for longer. */
interface Slab {
  readonly numbers: Float64Array;
  /** Grows as long as values come. */
  readonly names: string[];
}

/**
 * A value as a list of numbers among those of others, outside of the heap: the garbage collector, which would move thousands of kept values from
 * place to place, does not see it. NaN stands for what is not there, a number of the slab's register for a name, one below zero for a text.
 */
export class Packed {
  /** Bytes that it holds, about. */
  readonly size: number;
  readonly #slab: Slab;
  readonly #from: number;
  readonly #length: number;
  readonly #texts: readonly string[] | undefined;

  constructor(slab: Slab, place: { from: number; length: number; texts: readonly string[] | undefined; nameBytes: number }) {
    const { from, length, texts, nameBytes } = place;
    this.#slab = slab;
    this.#from = from;
    this.#length = length;
    this.#texts = texts;
    let size = OWN_BYTES + NUMBER_BYTES * length + nameBytes;
    for (const text of texts ?? []) size += 2 * text.length;
    this.size = size;
  }

  read(): PackReader {
    const { numbers, names } = this.#slab;
    return new PackReader(numbers.subarray(this.#from, this.#from + this.#length), this.#texts ?? [], names);
  }
}

/** Gives what was packed, in the same order. */
class PackReader {
  readonly #numbers: Float64Array;
  readonly #texts: readonly string[];
  readonly #names: readonly string[];
  #at = 0;

  constructor(numbers: Float64Array, texts: readonly string[], names: readonly string[]) {
    this.#numbers = numbers;
    this.#texts = texts;
    this.#names = names;
  }

  get isAtEnd(): boolean {
    return this.#at === this.#numbers.length;
  }

  number(): number | undefined {
    const number = this.#numbers[this.#at] ?? Number.NaN;
    this.#at += 1;
    return Number.isNaN(number) ? undefined : number;
  }

  text(): string | undefined {
    const number = this.number();
    if (number === undefined) return undefined;
    return number < 0 ? this.#texts[-1 - number] : this.#names[number];
  }
}

/** Packs one value after another. */
export class Packer {
  /** Of the value that is being packed. */
  #numbers = new Float64Array(256);
  #length = 0;
  #texts: string[] | undefined;
  /** Of names that it is the first to have. */
  #nameBytes = 0;
  /** Of the values before it. */
  #slab: Slab = { numbers: new Float64Array(0), names: [] };
  #used = 0;
  #numberOf = new Map<string, number>();

  /** Forgets what was begun before and not ended: packing may have failed. */
  begin(): void {
    this.#length = 0;
    this.#texts = undefined;
    this.#nameBytes = 0;
    if (this.#used + ROOM <= this.#slab.numbers.length) return;
    this.#slab = { numbers: new Float64Array(SLAB), names: [] };
    this.#used = 0;
    this.#numberOf = new Map();
  }

  number(number: number | undefined): void {
    if (this.#length === this.#numbers.length) {
      const larger = new Float64Array(2 * this.#length);
      larger.set(this.#numbers);
      this.#numbers = larger;
    }
    this.#numbers[this.#length] = number ?? Number.NaN;
    this.#length += 1;
  }

  /** A text that many values share. */
  name(name: string | undefined): void {
    if (name === undefined) this.number(undefined);
    else if (name.length > LONGEST_NAME) this.text(name);
    else this.number(this.#numberOf.get(name) ?? this.#register(name));
  }

  /** A text of this value alone. */
  text(text: string | undefined): void {
    if (text === undefined) return this.number(undefined);
    this.#texts ??= [];
    this.number(-this.#texts.push(text));
  }

  /** The value of all that came since it was begun. */
  packed(): Packed {
    const length = this.#length;
    const isLarge = this.#used + length > this.#slab.numbers.length;
    const slab = isLarge ? { numbers: new Float64Array(length), names: this.#slab.names } : this.#slab;
    const from = isLarge ? 0 : this.#used;
    for (let index = 0; index < length; index += 1) slab.numbers[from + index] = this.#numbers[index] ?? Number.NaN;
    if (!isLarge) this.#used += length;
    return new Packed(slab, { from, length, texts: this.#texts, nameBytes: this.#nameBytes });
  }

  #register(name: string): number {
    const number = this.#slab.names.push(name) - 1;
    this.#numberOf.set(name, number);
    this.#nameBytes += 2 * name.length;
    return number;
  }
}
