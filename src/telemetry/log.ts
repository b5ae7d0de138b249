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
  /** Where lines go; stdout when absent. */
  readonly destination?: DestinationStream;
}

/** The process log: one JSON object a line, written asynchronously, redacted as a whole line. */
export function openLog({ level, redact, destination }: LogOptions): Logger {
  const out = destination ?? pino.destination({ dest: 1, sync: false, minLength: 32_768, maxWrite: 65_536, periodicFlush: 200 });
  const line = {
    write(text: string) {
      out.write(redact(text));
    },
  };
  return pino({ level, base: null, timestamp: pino.stdTimeFunctions.isoTime, formatters: { level: (label) => ({ level: label }) } }, line);
}
