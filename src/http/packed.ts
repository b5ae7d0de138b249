/** Numbers of many values together: a thousand of the least records. */
const SLAB = 32_768;
/** Names are of the config, nearly all; what has no room among them is a text of its value. */
const MOST_NAMES = 4096;
const LONGEST_NAME = 200;
const NUMBER_BYTES = 8;
const OWN_BYTES = 200;

const numberOf = new Map<string, number>();
const names: string[] = [];

function register(name: string): number | undefined {
  const known = numberOf.get(name);
  if (known !== undefined) return known;
  if (names.length >= MOST_NAMES || name.length > LONGEST_NAME) return undefined;
  numberOf.set(name, names.length);
  return names.push(name) - 1;
}

/**
 * A value as a list of numbers among those of others, outside of the heap: the garbage collector, which would move thousands of kept values from
 * place to place, does not see it. NaN stands for what is not there, a number of the register for a name, one below zero for a text.
 */
export class Packed {
  readonly #slab: Float64Array;
  readonly #from: number;
  readonly #length: number;
  readonly #texts: readonly string[] | undefined;

  constructor(slab: Float64Array, { from, length, texts }: { from: number; length: number; texts: readonly string[] | undefined }) {
    this.#slab = slab;
    this.#from = from;
    this.#length = length;
    this.#texts = texts;
  }

  /** Bytes that it holds, about. */
  get size(): number {
    let size = OWN_BYTES + NUMBER_BYTES * this.#length;
    for (const text of this.#texts ?? []) size += 2 * text.length;
    return size;
  }

  read(): PackReader {
    return new PackReader(this.#slab.subarray(this.#from, this.#from + this.#length), this.#texts ?? []);
  }
}

/** Gives what was packed, in the same order. */
class PackReader {
  readonly #numbers: Float64Array;
  readonly #texts: readonly string[];
  #at = 0;

  constructor(numbers: Float64Array, texts: readonly string[]) {
    this.#numbers = numbers;
    this.#texts = texts;
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
    return number < 0 ? this.#texts[-1 - number] : names[number];
  }
}

/** Packs one value after another. */
export class Packer {
  /** Of the value that is being packed. */
  #numbers = new Float64Array(256);
  #length = 0;
  #texts: string[] | undefined;
  /** Of the values before it. */
  #slab = new Float64Array(0);
  #used = 0;

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
    const number = name === undefined ? Number.NaN : register(name);
    if (number === undefined) this.text(name);
    else this.number(number);
  }

  /** A text of this value alone. */
  text(text: string | undefined): void {
    if (text === undefined) return this.number(undefined);
    this.#texts ??= [];
    this.number(-this.#texts.push(text));
  }

  /** Forgets what was begun: packing may have failed. */
  begin(): void {
    this.#length = 0;
    this.#texts = undefined;
  }

  /** The value of all that came since it was begun. */
  packed(): Packed {
    const length = this.#length;
    const texts = this.#texts;
    if (this.#used + length > this.#slab.length) {
      this.#slab = new Float64Array(Math.max(length, SLAB));
      this.#used = 0;
    }
    const slab = this.#slab;
    const from = this.#used;
    for (let index = 0; index < length; index += 1) slab[from + index] = this.#numbers[index] ?? Number.NaN;
    this.#used += length;
    return new Packed(slab, { from, length, texts });
  }
}
