import { newFold } from "../../model/collect.ts";
import type { Completion } from "../../model/completion.ts";
import { GatewayError } from "../../model/errors.ts";
import type { Delta } from "../../model/events.ts";
import type { Usage } from "../../model/usage.ts";
import { SseReader, type SseEvent } from "../../upstream/sse.ts";
import { isRecord, parseExactly, type Json } from "../translate/json.ts";
import type { AnswerReader } from "../translate/leg.ts";
import { ResponseReader, type ReaderContext } from "./answer.ts";

/** Parses a response; only the arguments of calls need their own digits. */
function parsed(text: string): unknown {
  try {
    return text.includes('"functionCall"') ? parseExactly(text) : JSON.parse(text);
  } catch {
    // The caller says what that means where it stands.
    return undefined;
  }
}

/** The responses in a parsed value: one, or a list of them. */
function responsesOf(value: unknown): readonly Json[] | undefined {
  if (Array.isArray(value)) return value.every(isRecord) ? value : undefined;
  return isRecord(value) ? [value] : undefined;
}

/** Reads `streamGenerateContent?alt=sse`: every event is a response, and the end is that of the connection. */
export class ResponseStream implements AnswerReader {
  readonly done = false;
  failed: GatewayError | undefined;
  readonly #upstream: string;
  readonly #events: SseReader;
  readonly #responses: ResponseReader;

  constructor(context: ReaderContext) {
    this.#upstream = context.upstream;
    this.#events = new SseReader(context.upstream);
    this.#responses = new ResponseReader(context);
  }

  get complete(): boolean {
    return this.#responses.complete;
  }

  get usage(): Usage | undefined {
    return this.#responses.usage;
  }

  get reply(): { readonly id?: string; readonly model?: string } {
    return this.#responses.reply;
  }

  read(bytes: Buffer): readonly Delta[] {
    const deltas: Delta[] = [];
    this.#events.push(bytes.toString("latin1"));
    try {
      for (let event = this.#events.next(); event; event = this.#events.next()) deltas.push(...this.#event(event));
    } catch (thrown) {
      // What came before the error was said.
      if (deltas.length === 0 || !(thrown instanceof GatewayError)) throw thrown;
      this.failed = thrown;
    }
    return deltas;
  }

  end(): readonly Delta[] {
    const rest = this.#events.rest();
    // An event that was cut says nothing; whether the answer was whole without it, the reader knows.
    const value = rest && parsed(Buffer.from(rest.data, "latin1").toString("utf8"));
    const deltas = (responsesOf(value) ?? []).flatMap((response) => this.#responses.take(response));
    this.#responses.end();
    return deltas;
  }

  #event({ data }: SseEvent): readonly Delta[] {
    const text = Buffer.from(data, "latin1").toString("utf8");
    if (text.trim() === "" || text.trim() === "[DONE]") return [];
    const responses = responsesOf(parsed(text));
    if (responses) return responses.flatMap((response) => this.#responses.take(response));
    throw new GatewayError("upstream_protocol", `${this.#upstream} sent an event that is not JSON.`, { upstream: this.#upstream });
  }
}

/** Reads a whole answer: one response, or all those of a stream in a list. */
export function readWhole(bytes: Buffer, context: ReaderContext): Completion {
  const { upstream } = context;
  const responses = responsesOf(parsed(bytes.toString("utf8")));
  if (!responses) throw new GatewayError("upstream_protocol", `${upstream} sent an answer that is not JSON.`, { upstream });
  const reader = new ResponseReader(context);
  const fold = newFold();
  for (const response of responses) for (const delta of reader.take(response)) fold.add(delta);
  reader.end();
  const { usage, reply } = reader;
  return { ...reply, choices: fold.choices(), ...(usage ? { usage } : {}) };
}
