import { GatewayError } from "../model/errors.ts";
import { isLegalContent } from "../model/json-scan.ts";

/** An event that we have seen often: everything but one JSON string in it is the same each time. */
export interface Template {
  /** All up to and with the string's opening quote, as it comes in. */
  readonly head: string;
  /** All from the string's closing quote to the blank line, as it comes in. */
  readonly tail: string;
}

/** One dispatched event: the joined `data` lines. Events without data are not dispatched. */
export interface SseEvent {
  readonly data: string;
  /** The `event` field; empty when there is none. */
  readonly event: string;
}

const MAX_EVENT = 16 * 1024 * 1024;
const QUOTE = 34;
const BACKSLASH = 92;
const LF = 10;
const CR = 13;

/**
 * Server-sent events out of pieces that may end anywhere: inside a line, a CRLF or a character. Works on the latin1 reading of the bytes, in
 * which every delimiter is itself. Knows LF, CRLF and CR, comments, several data lines, and a byte order mark at the start.
 */
export class SseReader {
  #text = "";
  #at = 0;
  /** Pieces without any line end: joined only when one comes, so that a giant frame stays linear. */
  #pieces: string[] = [];
  #pieced = 0;
  #pending = 0;
  #hasCr = false;
  #skipLf = false;
  #first = true;
  #data: string[] = [];
  #event = "";
  readonly #upstream: string;

  /** `upstream` is the `provider/model` that errors name. */
  constructor(upstream: string) {
    this.#upstream = upstream;
  }

  push(piece: string): void {
    let text = piece;
    this.#pending += text.length;
    if (this.#pending > MAX_EVENT) {
      const upstream = this.#upstream;
      throw new GatewayError("upstream_protocol", `${upstream} sent an event of more than ${MAX_EVENT / 1024 / 1024} MiB.`, { upstream });
    }
    if (!text.includes("\n") && !text.includes("\r")) {
      this.#pieces.push(text);
      this.#pieced += text.length;
      return;
    }
    if (this.#pieces.length > 0) {
      text = this.#pieces.join("") + text;
      this.#pieces = [];
      this.#pieced = 0;
    }
    this.#text = this.#at < this.#text.length ? this.#text.slice(this.#at) + text : text;
    this.#at = 0;
    this.#hasCr = this.#text.includes("\r");
    if (this.#first) {
      this.#first = false;
      if (this.#text.startsWith("\xef\xbb\xbf")) this.#at = 3;
    }
  }

  /** The next complete event, or undefined when more bytes are needed. */
  next(): SseEvent | undefined {
    for (;;) {
      const line = this.#line();
      if (line === undefined) {
        this.#pending = this.#text.length - this.#at + this.#pieced + this.#data.reduce((sum, data) => sum + data.length, 0);
        return undefined;
      }
      if (line !== "") {
        this.#field(line);
        continue;
      }
      const event = this.#event;
      this.#event = "";
      if (this.#data.length === 0) continue;
      const data = this.#data.length === 1 ? (this.#data[0] ?? "") : this.#data.join("\n");
      this.#data = [];
      return { data, event };
    }
  }

  /** What a closed stream leaves: its last event without the blank line that should end it. */
  rest(): SseEvent | undefined {
    this.push("\n\n");
    return this.next();
  }

  /**
   * Takes the next event if it is the template with some other string: returns that string, still escaped. Every byte outside it was compared,
   * so such an event is known to carry nothing else.
   */
  take(template: Template): string | undefined {
    const text = this.#text;
    if (this.#data.length > 0 || this.#skipLf || this.#event !== "" || !text.startsWith(template.head, this.#at)) return undefined;
    const from = this.#at + template.head.length;
    let end = text.indexOf('"', from);
    while (end > from && text.charCodeAt(end - 1) === BACKSLASH) {
      let slashes = 1;
      while (text.charCodeAt(end - slashes - 1) === BACKSLASH && end - slashes > from) slashes += 1;
      if (slashes % 2 === 0) break;
      end = text.indexOf('"', end + 1);
    }
    if (end < 0 || text.charCodeAt(end) !== QUOTE || !text.startsWith(template.tail, end)) return undefined;
    const found = text.slice(from, end);
    // What is no JSON is for a parser to refuse.
    if (!isLegalContent(found)) return undefined;
    this.#at = end + template.tail.length;
    return found;
  }

  #line(): string | undefined {
    if (this.#skipLf && this.#at < this.#text.length) {
      if (this.#text.charCodeAt(this.#at) === LF) this.#at += 1;
      this.#skipLf = false;
    }
    const lf = this.#text.indexOf("\n", this.#at);
    const cr = this.#hasCr ? this.#text.indexOf("\r", this.#at) : -1;
    const end = cr >= 0 && (lf < 0 || cr < lf) ? cr : lf;
    if (end < 0) return undefined;
    const line = this.#text.slice(this.#at, end);
    this.#at = end + 1;
    if (this.#text.charCodeAt(end) === CR) {
      if (this.#at >= this.#text.length) this.#skipLf = true;
      else if (this.#text.charCodeAt(this.#at) === LF) this.#at += 1;
    }
    return line;
  }

  #field(line: string): void {
    const colon = line.indexOf(":");
    if (colon === 0) return;
    const name = colon < 0 ? line : line.slice(0, colon);
    if (name !== "data" && name !== "event") return;
    let value = colon < 0 ? "" : line.slice(colon + 1);
    if (value.startsWith(" ")) value = value.slice(1);
    if (name === "data") this.#data.push(value);
    else this.#event = value;
  }
}
