import { crc32 } from "node:zlib";
import { EventStreamCodec } from "@smithy/eventstream-codec";
import { GatewayError } from "../../model/errors.ts";

/** One message of an `application/vnd.amazon.eventstream`. */
export interface Frame {
  /** `event`, `exception` or `error`. */
  readonly kind: string;
  /** Which event, exception or error it is. */
  readonly name: string;
  /** JSON text, or what an error says. */
  readonly body: string;
}

/** Length of the whole, length of the headers, checksum of these two. */
const PRELUDE = 12;
const MIN_FRAME = PRELUDE + 4;
/** The format's own bound on a message. */
const MAX_FRAME = 24 * 1024 * 1024;

const utf8 = new TextDecoder();
const codec = new EventStreamCodec(
  (bytes) => (typeof bytes === "string" ? bytes : utf8.decode(bytes)),
  (text) => Buffer.from(text),
);

function toFrame(bytes: Buffer): Frame {
  const { headers, body } = codec.decode(bytes);
  const header = (name: string): string => {
    const value = headers[name]?.value;
    return typeof value === "string" ? value : "";
  };
  const kind = header(":message-type");
  if (kind === "error") return { kind, name: header(":error-code"), body: header(":error-message") };
  return { kind, name: header(kind === "exception" ? ":exception-type" : ":event-type"), body: utf8.decode(body) };
}

/** Frames out of pieces that may end anywhere. Every checksum is checked: that of a length before anybody waits for so many bytes. */
export class FrameReader {
  readonly #upstream: string;
  #pieces: Buffer[] = [];
  #size = 0;
  /** Bytes that the next step needs. */
  #needs = PRELUDE;

  constructor(upstream: string) {
    this.#upstream = upstream;
  }

  /** True in the middle of a frame. */
  get isInside(): boolean {
    return this.#size > 0;
  }

  push(piece: Buffer): void {
    this.#pieces.push(piece);
    this.#size += piece.length;
  }

  /** The next complete frame; undefined when more bytes are needed. Throws a GatewayError for bytes that are no frame. */
  next(): Frame | undefined {
    if (this.#size < this.#needs) return undefined;
    const bytes = this.#joined();
    const length = this.#lengthOf(bytes);
    if (bytes.length < length) {
      this.#needs = length;
      return undefined;
    }
    this.#needs = PRELUDE;
    const rest = bytes.subarray(length);
    this.#pieces = rest.length > 0 ? [rest] : [];
    this.#size = rest.length;
    try {
      return toFrame(bytes.subarray(0, length));
    } catch (thrown) {
      throw this.#broken(thrown);
    }
  }

  #joined(): Buffer {
    const [first] = this.#pieces;
    const bytes = first && this.#pieces.length === 1 ? first : Buffer.concat(this.#pieces);
    this.#pieces = [bytes];
    return bytes;
  }

  #lengthOf(bytes: Buffer): number {
    const length = bytes.readUInt32BE(0);
    if (length < MIN_FRAME || length > MAX_FRAME || crc32(bytes.subarray(0, 8)) !== bytes.readUInt32BE(8)) throw this.#broken();
    return length;
  }

  #broken(cause?: unknown): GatewayError {
    return new GatewayError("upstream_protocol", `${this.#upstream} sent bytes that are no event stream.`, {
      upstream: this.#upstream,
      cause,
    });
  }
}
