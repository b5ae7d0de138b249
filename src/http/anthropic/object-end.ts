/**
 * Tells when the text of a JSON object has come to its end, in one pass over pieces. What is no object has no end that could be told: it may go on
 * as long as the answer does.
 */
export class ObjectEnd {
  #depth = 0;
  #begun = false;
  #quoted = false;
  #escaped = false;
  #reached = false;

  get reached(): boolean {
    return this.#reached;
  }

  add(piece: string): void {
    for (let at = 0; at < piece.length && !this.#reached; at += 1) this.#char(piece.charAt(at));
  }

  #char(char: string): void {
    if (this.#quoted) this.#inText(char);
    else if (!this.#begun) this.#begin(char);
    else if (char === '"') this.#quoted = true;
    else if (char === "{" || char === "[") this.#depth += 1;
    else if (char === "}" || char === "]") {
      this.#depth -= 1;
      this.#reached = this.#depth === 0;
    }
  }

  #inText(char: string): void {
    if (this.#escaped) this.#escaped = false;
    else if (char === "\\") this.#escaped = true;
    else if (char === '"') this.#quoted = false;
  }

  /** Anything but an object never gets to depth 0. */
  #begin(char: string): void {
    if (char.trim() === "") return;
    this.#begun = true;
    this.#depth = char === "{" ? 1 : Infinity;
  }
}
