/** Frames of an event stream, made by the codec that AWS's own clients use. */
import { EventStreamCodec } from "@smithy/eventstream-codec";

const codec = new EventStreamCodec(
  (bytes) => (typeof bytes === "string" ? bytes : new TextDecoder().decode(bytes)),
  (text) => new TextEncoder().encode(text),
);

function frame(headers: Readonly<Record<string, string>>, body: string): Uint8Array {
  const typed = Object.entries(headers).map(([name, value]) => [name, { type: "string" as const, value }] as const);
  return codec.encode({ headers: Object.fromEntries(typed), body: new TextEncoder().encode(body) });
}

/** One event of a stream. */
export function event(name: string, body: object): Uint8Array {
  return frame({ ":message-type": "event", ":event-type": name, ":content-type": "application/json" }, JSON.stringify(body));
}

/** An exception in the middle of a stream. */
export function exception(name: string, message: string): Uint8Array {
  return frame({ ":message-type": "exception", ":exception-type": name, ":content-type": "application/json" }, JSON.stringify({ message }));
}

/** An error that is not modelled. */
export function streamError(code: string, message: string): Uint8Array {
  return frame({ ":message-type": "error", ":error-code": code, ":error-message": message }, "");
}
