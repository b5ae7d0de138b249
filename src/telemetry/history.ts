import { appendFileSync, closeSync, mkdirSync, openSync, readSync, statSync } from "node:fs";
import { appendFile, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";

export interface HistoryOptions {
  readonly path: string;
  /** A file is not made larger than this, but for one line that is larger by itself. */
  readonly maxMb: number;
  /** Older files that stay beside it, as `path.1` (the youngest) and so on. */
  readonly keep: number;
  readonly redact: (text: string) => string;
  /** Hears of trouble with the file once, and again after it had healed. */
  readonly onTrouble: (why: string, lost: number) => void;
}

/** A file of JSON lines that is written behind. */
export interface History {
  append(record: object): void;
  /** Resolves when everything has been handed to the system. */
  close(): Promise<void>;
}

const FLUSH_MS = 200;
const FLUSH_BYTES = 256 * 1024;
/** What waits for a slow disk; above it records are lost, and memory is not. */
const MOST_WAITING = 64 * 1024 * 1024;

/** A record with every text in it redacted, keys of maps too: a line that was redacted as a whole might not be JSON any more. */
function cleaned(value: unknown, redact: (text: string) => string): unknown {
  if (typeof value === "string") return redact(value);
  if (typeof value !== "object" || value === null) return value;
  if (ArrayBuffer.isView(value)) return [...(value as unknown as Iterable<number>)];
  if (Array.isArray(value)) return value.map((inner) => cleaned(inner, redact));
  return Object.fromEntries(
    Object.entries(value).flatMap(([key, inner]) => (inner === undefined ? [] : [[redact(key), cleaned(inner, redact)]])),
  );
}

const NEWLINE = 10;

function lastByte(path: string, size: number): number | undefined {
  const file = openSync(path, "r");
  try {
    const byte = Buffer.alloc(1);
    readSync(file, byte, 0, 1, size - 1);
    return byte[0];
  } finally {
    closeSync(file);
  }
}

class JsonLines implements History {
  readonly #options: HistoryOptions;
  readonly #most: number;
  readonly #timer: NodeJS.Timeout;
  readonly #onExit: () => void;
  #size: number;
  #waiting: string[] = [];
  #waitingBytes = 0;
  #writing: Promise<void> | undefined;
  #inHand: readonly string[] = [];
  #lost = 0;
  #isTroubled = false;
  /** The file may end in half a line. */
  #isTorn: boolean;

  constructor(options: HistoryOptions) {
    this.#options = options;
    this.#most = options.maxMb * 1024 * 1024;
    mkdirSync(dirname(options.path), { recursive: true });
    // What can not be written is told at boot, not at the first request.
    closeSync(openSync(options.path, "a", 0o600));
    this.#size = statSync(options.path).size;
    this.#isTorn = this.#size > 0 && lastByte(options.path, this.#size) !== NEWLINE;
    this.#timer = setInterval(() => this.#flush(), FLUSH_MS).unref();
    this.#onExit = () => this.#writeLast();
    process.once("exit", this.#onExit);
  }

  append(record: object): void {
    const line = `${JSON.stringify(cleaned(record, this.#options.redact))}\n`;
    const bytes = Buffer.byteLength(line);
    if (this.#waitingBytes + bytes > MOST_WAITING) {
      this.#trouble("the disk is slower than the records", 1);
      return;
    }
    this.#waiting.push(line);
    this.#waitingBytes += bytes;
    if (this.#waitingBytes >= FLUSH_BYTES) this.#flush();
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    while (this.#writing || this.#waiting.length > 0) {
      this.#flush();
      await this.#writing;
    }
    process.off("exit", this.#onExit);
  }

  #flush(): void {
    if (this.#writing || this.#waiting.length === 0) return;
    this.#inHand = this.#waiting;
    this.#waiting = [];
    this.#waitingBytes = 0;
    this.#writing = this.#write(this.#inHand).finally(() => {
      this.#writing = undefined;
      this.#inHand = [];
    });
  }

  async #write(lines: readonly string[]): Promise<void> {
    let from = 0;
    try {
      while (from < lines.length) {
        const { text, bytes, next } = this.#page(lines, from);
        if (text === "") await this.#rotate();
        else {
          await appendFile(this.#options.path, text);
          this.#size += bytes;
          this.#isTorn = false;
          from = next;
          this.#inHand = lines.slice(next);
        }
      }
      this.#healed();
    } catch (thrown) {
      this.#isTorn = true;
      this.#trouble((thrown as NodeJS.ErrnoException).code ?? (thrown as Error).message, lines.length - from);
    }
  }

  /** As many lines as the file still has room for; at least one into an empty file, none into a full one. */
  #page(lines: readonly string[], from: number): { readonly text: string; readonly bytes: number; readonly next: number } {
    let text = this.#isTorn ? "\n" : "";
    let bytes = text.length;
    let next = from;
    for (; next < lines.length; next += 1) {
      const line = lines[next] ?? "";
      const length = Buffer.byteLength(line);
      if (this.#size + bytes + length > this.#most && this.#size + next - from > 0) break;
      text += line;
      bytes += length;
    }
    return next === from ? { text: "", bytes: 0, next } : { text, bytes, next };
  }

  async #rotate(): Promise<void> {
    const { path, keep } = this.#options;
    const older = (n: number) => (n === 0 ? path : `${path}.${n}`);
    await rm(older(keep), { force: true });
    for (let n = keep - 1; n >= 0; n -= 1) {
      await rename(older(n), older(n + 1)).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== "ENOENT") throw error;
      });
    }
    this.#size = 0;
    this.#isTorn = false;
  }

  #trouble(why: string, lost: number): void {
    this.#lost += lost;
    if (this.#isTroubled) return;
    this.#isTroubled = true;
    this.#options.onTrouble(why, this.#lost);
  }

  #healed(): void {
    if (!this.#isTroubled) return;
    this.#isTroubled = false;
    this.#options.onTrouble("it can be written again", this.#lost);
    this.#lost = 0;
  }

  /** The process ends now. What a write that is under way has written by now is not written again; a line may stand twice, but none is missing. */
  #writeLast(): void {
    const rest = Buffer.from([this.#isTorn ? "\n" : "", ...this.#inHand, ...this.#waiting].join(""));
    try {
      const written = this.#inHand.length === 0 ? 0 : Math.max(0, statSync(this.#options.path).size - this.#size);
      if (rest.length > 1) appendFileSync(this.#options.path, rest.subarray(written));
    } catch {
      // Nobody is left to hear of it.
    }
  }
}

/** Opens the file. Throws when it can not be written. */
export function openHistory(options: HistoryOptions): History {
  return new JsonLines(options);
}
