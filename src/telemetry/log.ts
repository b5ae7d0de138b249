import { pino, type DestinationStream, type Logger } from "pino";
import { LineBuffer } from "./line-buffer.ts";

/** What looks like a secret wherever it stands. */
const secret = /\b(?:(?:sk|pk|rk|gsk|xai|key)-[\w-]{8,}|AIza[\w-]{10,}|[Bb]earer\s+[^\s"]+)/g;

/** Removes secrets from text: the configured keys literally, and whatever has the shape of one. */
export function redactor(known: readonly string[]): (text: string) => string {
  const literal = known.filter((value) => value.length >= 6).sort((a, b) => b.length - a.length);
  return (text) => {
    let clean = text;
    for (const value of literal) if (clean.includes(value)) clean = clean.replaceAll(value, "[redacted]");
    return clean.replace(secret, "[redacted]");
  };
}

export interface LogOptions {
  readonly level: string;
  readonly redact: (text: string) => string;
  /** Where lines go at once; without it they go to standard output in batches. */
  readonly destination?: DestinationStream;
}

/** What the line of a request tells, in its order there. What is undefined is left out. */
export interface RequestFields {
  readonly requestId: string;
  /** The name of the key. */
  readonly key?: string | undefined;
  readonly model?: string | undefined;
  readonly method?: string | undefined;
  readonly path?: string | undefined;
  /** Of HTTP. */
  readonly status: number;
  readonly stream?: boolean | undefined;
  readonly ms?: number | undefined;
  /** Until the first content. */
  readonly firstMs?: number | undefined;
  /** `provider/model` of the answer. */
  readonly leaf?: string | undefined;
  readonly legs?: number | undefined;
  readonly promptTokens?: number | undefined;
  readonly completionTokens?: number | undefined;
  readonly usd?: number | undefined;
  /** Code and message of the error. */
  readonly error?: string | undefined;
  readonly why?: string | undefined;
  readonly degraded?: readonly string[] | undefined;
  /** What was said, where the log may have it. */
  readonly messages?: unknown;
  readonly answer?: string | undefined;
}

/** The process log. */
export interface ProcessLog extends Pick<Logger, "debug" | "info" | "warn" | "error"> {
  /** The one line of a request. Written by hand, because it is on the path of every request. */
  request(fields: RequestFields): void;
  /** Resolves when everything has been handed to the system. */
  close(): Promise<void>;
}

const FLUSH_MS = 200;
const BATCH = 128;
const BATCH_BYTES = 48 * 1024;

/** Where lines go: they are put into the buffer, and then `landed` is called. */
interface Sink extends DestinationStream {
  readonly buffer: LineBuffer;
  landed(): void;
  close(): Promise<void>;
}

/** Collects lines and hands them on together: a write costs as much as a request, a search for secrets half of one. */
function batched(redact: (text: string) => string): Sink {
  const out = pino.destination({ dest: 1, sync: false });
  const buffer = new LineBuffer();
  const flush = () => {
    if (buffer.lines > 0) out.write(redact(buffer.take()));
  };
  const timer = setInterval(flush, FLUSH_MS).unref();
  const onExit = () => {
    flush();
    out.flushSync();
  };
  process.once("exit", onExit);
  const landed = () => {
    if (buffer.lines >= BATCH || buffer.length >= BATCH_BYTES) flush();
  };
  return {
    buffer,
    landed,
    write(line: string) {
      buffer.line(line);
      landed();
    },
    close() {
      clearInterval(timer);
      process.off("exit", onExit);
      flush();
      return new Promise((resolve) => {
        out.flush(() => resolve());
      });
    },
  };
}

/** Writes lines at once. */
function direct(destination: DestinationStream, redact: (text: string) => string): Sink {
  const buffer = new LineBuffer();
  return {
    buffer,
    landed() {
      destination.write(redact(buffer.take()));
    },
    write(line: string) {
      destination.write(redact(line));
    },
    close: () => Promise.resolve(),
  };
}

let secondMs = -1;
let second = "";

/** Writes ISO 8601 in UTC with milliseconds. The calendar is asked once a second. */
function putTime(buffer: LineBuffer, ms: number): void {
  const rest = ms % 1000;
  if (ms - rest !== secondMs) {
    secondMs = ms - rest;
    second = `,"time":"${new Date(ms).toISOString().slice(0, 20)}`;
  }
  const zeros = rest < 10 ? "00" : rest < 100 ? "0" : "";
  buffer.number(second + zeros, rest);
}

function putFields(buffer: LineBuffer, fields: RequestFields): void {
  buffer.text('Z","requestId":', fields.requestId);
  buffer.text(',"key":', fields.key);
  buffer.text(',"model":', fields.model);
  buffer.text(',"method":', fields.method);
  buffer.text(',"path":', fields.path);
  buffer.number(',"status":', fields.status);
  buffer.boolean(',"stream":', fields.stream);
  buffer.number(',"ms":', fields.ms);
  buffer.number(',"firstMs":', fields.firstMs);
  buffer.text(',"leaf":', fields.leaf);
  buffer.number(',"legs":', fields.legs);
  buffer.number(',"promptTokens":', fields.promptTokens);
  buffer.number(',"completionTokens":', fields.completionTokens);
  buffer.number(',"usd":', fields.usd);
  buffer.text(',"error":', fields.error);
  buffer.text(',"why":', fields.why);
  buffer.json(',"degraded":', fields.degraded);
  buffer.json(',"messages":', fields.messages);
  buffer.text(',"answer":', fields.answer);
}

/** Opens the process log: one JSON object a line, redacted. */
export function openLog({ level, redact, destination }: LogOptions): ProcessLog {
  const out = destination ? direct(destination, redact) : batched(redact);
  const { buffer } = out;
  const logger = pino(
    { level, base: null, timestamp: pino.stdTimeFunctions.isoTime, formatters: { level: (label) => ({ level: label }) } },
    out,
  );
  const speaks = logger.isLevelEnabled("info");
  return Object.assign(logger, {
    request(fields: RequestFields) {
      if (!speaks) return;
      buffer.begin('{"level":"info"');
      putTime(buffer, Date.now());
      putFields(buffer, fields);
      buffer.end(',"msg":"request"}\n');
      out.landed();
    },
    close: () => out.close(),
  });
}
