// An HTTP/1.1 client connection by hand: a library would cost more than the gateway that it loads.
import { connect } from "node:net";
import type { Socket } from "node:net";

/** Is told about each answer in turn: `head`, `body` any number of times, `end`; or `lost`, after which nothing comes. */
export interface Reader {
  open(): void;
  head(status: number): void;
  body(text: string): void;
  end(): void;
  lost(reason: string): void;
}

type Place = "idle" | "head" | "length" | "size" | "data" | "gap" | "trailer";

/** The bytes of a chat completion request. */
export function requestBytes(path: string, body: string): Buffer {
  return Buffer.from(
    `POST ${path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer ${benchKey}\r\ncontent-type: application/json\r\n` +
      `accept: application/json\r\nuser-agent: chorale-bench\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
    "latin1",
  );
}

export const benchKey = "bench-key-0123456789abcdef";

/** One connection, one question at a time. */
export class Connection {
  readonly #socket: Socket;
  readonly #reader: Reader;
  #place: Place = "idle";
  /** Read and not yet understood. */
  #rest = "";
  /** Bytes still to come of the body or of the HTTP chunk. */
  #left = 0;
  #closed = false;

  constructor(port: number, reader: Reader) {
    this.#reader = reader;
    const buffer = Buffer.allocUnsafe(65_536);
    const onread = {
      buffer,
      callback: (count: number): boolean => {
        this.#take(buffer.toString("latin1", 0, count));
        return true;
      },
    };
    this.#socket = connect({ host: "127.0.0.1", port, noDelay: true, onread });
    this.#socket.on("connect", () => reader.open());
    this.#socket.on("error", (error) => this.#lose(error.message));
    this.#socket.on("close", () => this.#lose("connection closed"));
  }

  send(request: Buffer): void {
    this.#place = "head";
    this.#socket.write(request);
  }

  close(): void {
    this.#closed = true;
    this.#socket.destroy();
  }

  #lose(reason: string): void {
    if (this.#closed) return;
    this.close();
    this.#reader.lost(reason);
  }

  #take(piece: string): void {
    const text = this.#rest === "" ? piece : this.#rest + piece;
    let at = 0;
    let next = this.#step(text, at);
    while (next > at) {
      at = next;
      next = this.#step(text, at);
    }
    this.#rest = text.slice(at);
  }

  /** Understands one more part of the text; returns where it ends, or `at` when more must come first. */
  #step(text: string, at: number): number {
    switch (this.#place) {
      case "idle":
        if (at < text.length) this.#lose("bytes after the end of an answer");
        return at;
      case "head":
        return this.#head(text, at);
      case "length":
      case "data":
        return this.#body(text, at);
      case "gap":
        if (text.length < at + 2) return at;
        this.#place = "size";
        return at + 2;
      case "size":
        return this.#line(text, at, (line) => {
          this.#left = Number.parseInt(line, 16);
          if (Number.isNaN(this.#left)) this.#lose(`chunk size: ${line.slice(0, 40)}`);
          this.#place = this.#left === 0 ? "trailer" : "data";
        });
      default:
        return this.#line(text, at, (line) => {
          if (line === "") this.#end();
        });
    }
  }

  #head(text: string, at: number): number {
    const end = text.indexOf("\r\n\r\n", at);
    if (end === -1) return at;
    const head = text.slice(at, end);
    const length = /\r\ncontent-length: *(\d+)/i.exec(head)?.[1];
    const status = Number(head.slice(9, 12));
    this.#reader.head(status);
    if (length !== undefined) {
      this.#left = Number(length);
      this.#place = "length";
      if (this.#left === 0) this.#end();
    } else if (/\r\ntransfer-encoding: *chunked/i.test(head)) {
      this.#place = "size";
    } else {
      this.#lose(`an answer (${status}) without a length`);
    }
    return end + 4;
  }

  #body(text: string, at: number): number {
    const end = Math.min(text.length, at + this.#left);
    if (end === at) return at;
    this.#left -= end - at;
    this.#reader.body(text.slice(at, end));
    if (this.#left === 0) {
      if (this.#place === "data") this.#place = "gap";
      else this.#end();
    }
    return end;
  }

  #line(text: string, at: number, take: (line: string) => void): number {
    const end = text.indexOf("\r\n", at);
    if (end === -1) return at;
    take(text.slice(at, end));
    return end + 2;
  }

  #end(): void {
    this.#place = "idle";
    this.#reader.end();
  }
}
