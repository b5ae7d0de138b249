import { pino, type DestinationStream, type Logger } from "pino";

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

/** The process log. */
export interface ProcessLog extends Pick<Logger, "debug" | "info" | "warn" | "error"> {
  /** The one line of a request: fields that are undefined are left out. Written by hand, because it is on the path of every request. */
  request(fields: Readonly<Record<string, unknown>>): void;
  /** Resolves when everything has been handed to the system. */
  close(): Promise<void>;
}

const FLUSH_MS = 200;
const BATCH = 128;

/** Collects lines and hands them on together: a write costs as much as a request, a search for secrets half of one. */
function batched(redact: (text: string) => string): DestinationStream & { close(): Promise<void> } {
  const out = pino.destination({ dest: 1, sync: false });
  let lines: string[] = [];
  const flush = () => {
    if (lines.length === 0) return;
    const text = lines.join("");
    lines = [];
    out.write(redact(text));
  };
  const timer = setInterval(flush, FLUSH_MS).unref();
  const onExit = () => {
    flush();
    out.flushSync();
  };
  process.once("exit", onExit);
  return {
    write(line: string) {
      if (lines.push(line) >= BATCH) flush();
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
function direct(destination: DestinationStream, redact: (text: string) => string): DestinationStream & { close(): Promise<void> } {
  return {
    write(line: string) {
      destination.write(redact(line));
    },
    close: () => Promise.resolve(),
  };
}

const plain = /^[ !#-[\]-~]*$/;

let secondMs = -1;
let second = "";

/** ISO 8601 in UTC with milliseconds. The calendar is asked once a second. */
function isoTime(ms: number): string {
  const rest = ms % 1000;
  if (ms - rest !== secondMs) {
    secondMs = ms - rest;
    second = new Date(ms).toISOString().slice(0, 20);
  }
  return `${second}${rest < 10 ? "00" : rest < 100 ? "0" : ""}${rest}Z`;
}

/** What stands before the value of a field, by its name: the names are ours, and few. */
const openings: Record<string, string> = {};

function openingOf(name: string): string {
  return (openings[name] ??= `,${JSON.stringify(name)}:`);
}

/** A line with one field more; the small values that most fields are do not go through the serialiser. */
function withField(line: string, name: string, value: unknown): string {
  const begun = line + openingOf(name);
  if (typeof value === "number" && Number.isFinite(value)) return begun + String(value);
  if (typeof value === "boolean") return begun + (value ? "true" : "false");
  return typeof value === "string" && plain.test(value) ? `${begun}"${value}"` : begun + JSON.stringify(value);
}

/** Opens the process log: one JSON object a line, redacted. */
export function openLog({ level, redact, destination }: LogOptions): ProcessLog {
  const out = destination ? direct(destination, redact) : batched(redact);
  const logger = pino(
    { level, base: null, timestamp: pino.stdTimeFunctions.isoTime, formatters: { level: (label) => ({ level: label }) } },
    out,
  );
  const speaks = logger.isLevelEnabled("info");
  return Object.assign(logger, {
    request(fields: Readonly<Record<string, unknown>>) {
      if (!speaks) return;
      let line = `{"level":"info","time":"${isoTime(Date.now())}"`;
      for (const name in fields) {
        const value = fields[name];
        if (value !== undefined) line = withField(line, name, value);
      }
      out.write(`${line},"msg":"request"}\n`);
    },
    close: () => out.close(),
  });
}
