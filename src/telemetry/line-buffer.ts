const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const ZERO = 0x30;
/** Of a buffer while no longer line has come. */
const BYTES = 64 * 1024;
/** Of a whole number that is written by hand. */
const MOST_DIGITS = 10;

/**
 * Lines of text as the bytes that they will be. A line costs no string, and none of it waits for its batch where the collector finds it. Field
 * names come with what stands before their value: `,"name":`.
 */
export class LineBuffer {
  #bytes = Buffer.allocUnsafe(BYTES);
  #at = 0;
  /** The end of the last whole line. */
  #ended = 0;
  #lines = 0;

  get lines(): number {
    return this.#lines;
  }

  /** Bytes of whole lines. */
  get length(): number {
    return this.#ended;
  }

  /** A line that is there already. */
  line(text: string): void {
    this.#at = this.#ended;
    this.#write(text);
    this.#land();
  }

  /** Begins a line. One that was begun and not ended, because something threw, is gone. */
  begin(text: string): void {
    this.#at = this.#ended;
    this.put(text);
  }

  /** Text of ours: plain ASCII. */
  put(text: string): void {
    this.#reserve(text.length);
    const bytes = this.#bytes;
    const start = this.#at;
    const { length } = text;
    for (let index = 0; index < length; index += 1) bytes[start + index] = text.charCodeAt(index);
    this.#at = start + length;
  }

  /** A string, in JSON. Nothing where it is undefined, as with the next three. */
  text(opening: string, value: string | undefined): void {
    if (value === undefined) return;
    this.put(opening);
    this.#reserve(value.length + 2);
    const bytes = this.#bytes;
    const start = this.#at + 1;
    const { length } = value;
    for (let index = 0; index < length; index += 1) {
      const code = value.charCodeAt(index);
      if (code < 0x20 || code > 0x7e || code === QUOTE || code === BACKSLASH) {
        this.#write(JSON.stringify(value));
        return;
      }
      bytes[start + index] = code;
    }
    bytes[start - 1] = QUOTE;
    bytes[start + length] = QUOTE;
    this.#at = start + length + 1;
  }

  number(opening: string, value: number | undefined): void {
    if (value === undefined) return;
    this.put(opening);
    // What the machine counts in one word; the rest is rare.
    if ((value | 0) !== value || value < 0) {
      this.put(Number.isFinite(value) ? String(value) : "null");
      return;
    }
    this.#reserve(MOST_DIGITS);
    let digits = 1;
    for (let rest = value; rest >= 10; rest = (rest / 10) | 0) digits += 1;
    let rest = value;
    for (let place = this.#at + digits - 1; place >= this.#at; place -= 1) {
      const next = (rest / 10) | 0;
      this.#bytes[place] = ZERO + rest - next * 10;
      rest = next;
    }
    this.#at += digits;
  }

  boolean(opening: string, value: boolean | undefined): void {
    if (value === undefined) return;
    this.put(opening);
    this.put(value ? "true" : "false");
  }

  /** Anything else, in JSON. */
  json(opening: string, value: unknown): void {
    if (value === undefined) return;
    this.put(opening);
    this.#write(JSON.stringify(value));
  }

  /** Ends a line. */
  end(text: string): void {
    this.put(text);
    this.#land();
  }

  /** All whole lines; none is left. */
  take(): string {
    const text = this.#bytes.toString("utf8", 0, this.#ended);
    if (this.#bytes.length > BYTES) this.#bytes = Buffer.allocUnsafe(BYTES);
    this.#at = 0;
    this.#ended = 0;
    this.#lines = 0;
    return text;
  }

  #land(): void {
    this.#ended = this.#at;
    this.#lines += 1;
  }

  #write(text: string): void {
    this.#reserve(text.length * 3);
    this.#at += this.#bytes.write(text, this.#at);
  }

  #reserve(more: number): void {
    const needed = this.#at + more;
    if (needed <= this.#bytes.length) return;
    const grown = Buffer.allocUnsafe(Math.max(needed, this.#bytes.length * 2));
    this.#bytes.copy(grown, 0, 0, this.#at);
    this.#bytes = grown;
  }
}
