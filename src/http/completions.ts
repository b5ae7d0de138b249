import type { ServerResponse } from "node:http";
import type { Entry } from "../catalog/catalog.ts";
import type { Call } from "../model/call.ts";
import { complete } from "../model/complete.ts";
import { textOf, type Completion } from "../model/completion.ts";
import { toGatewayError, type GatewayError } from "../model/errors.ts";
import { Flag, type BatchEvent, type FinishEvent } from "../model/events.ts";
import { latin1Json } from "../model/latin1.ts";
import { lastWords } from "./answer-headers.ts";
import { rootCall, type Asked } from "./asked.ts";
import { readJson, refuseDuplicate } from "./chat.ts";
import type { Outcome } from "./closing.ts";
import type { Dialect } from "./dialect.ts";
import { sendError } from "./errors.ts";
import { completionPieces, type Pieces } from "./openai/completion.ts";
import { eachPrompt } from "./openai/completions/each-prompt.ts";
import { inTextWords } from "./openai/completions/own-words.ts";
import { readText, toChats, type TextAsked } from "./openai/completions/request.ts";
import { textCompletion, TextWriter } from "./openai/completions/text.ts";
import type { SseResponse } from "./openai/sse.ts";
import { exposed } from "./passage.ts";
import { tellStream, type Teller } from "./stream.ts";
import { sendWhole } from "./whole.ts";

type AskedText = Asked<TextAsked>;

interface Route {
  readonly asked: AskedText;
  /** What comes back is a text completion already. */
  readonly isNative: boolean;
}

/**
 * The request as it goes to a model: as it is to a server that completes text by itself, else a chat for each prompt. A streamed chat's own frames
 * are no text completion, those of such a server are.
 */
function routed(asked: AskedText): Route {
  const { entry, reading } = asked;
  const native = entry.passage?.("completions");
  if (native) return { asked: { ...asked, entry: over(entry, native) }, isNative: true };
  const chats = toChats(reading, entry.name);
  const [request = reading.request] = chats;
  if (chats.length === 1) return { asked: { ...asked, request }, isNative: false };
  return { asked: { ...asked, request, entry: over(entry, eachPrompt(entry.model, { chats, n: reading.n })) }, isNative: false };
}

function over(entry: Entry, model: Entry["model"]): Entry {
  return { ...entry, model };
}

function piecesOf(completion: Completion, { asked, isNative }: Route, call: Call): Pieces {
  const { identity, ledger } = call;
  const extension = exposed(asked, call);
  const usage = ledger.usage() ?? completion.usage;
  if (isNative) return completionPieces(completion, { identity, usage, summed: ledger.legs.length > 1, extension });
  return [textCompletion(completion, { identity, usage, extension })];
}

async function whole(unrouted: AskedText, call: Call, reply: ServerResponse): Promise<Outcome> {
  const route = routed(unrouted);
  const { asked } = route;
  const { entry, request, entered } = asked;
  const result = await complete(entry.model, request, rootCall(call, entry));
  if (!result.ok) throw result.error;
  const { completion } = result;
  sendWhole(asked, call, { reply, pieces: piecesOf(completion, route, call) });
  if (!entered.served.logContent) return { status: 200, stream: false };
  return { status: 200, stream: false, content: { messages: unrouted.request.body["prompt"], answer: textOf(completion) } };
}

/** Tells a stream of text. With the extension asked for, the last frame waits for the end. */
class TextTeller implements Teller {
  readonly #asked: AskedText;
  readonly #call: Call;
  readonly #sse: SseResponse;
  readonly #writer: TextWriter;
  readonly #isNative: boolean;
  readonly #wantsUsage: boolean;
  /** Choices about which nothing more can be said. */
  readonly #ended = new Set<number>();
  #held = "";

  constructor({ asked, isNative }: Route, call: Call, sse: SseResponse) {
    this.#asked = asked;
    this.#isNative = isNative;
    this.#call = call;
    this.#sse = sse;
    this.#writer = new TextWriter(call.identity);
    this.#wantsUsage = asked.request.body.stream_options?.include_usage === true;
  }

  begin(): void {
    this.#sse.begin();
  }

  batch(event: BatchEvent): Promise<void> | undefined {
    if ((event.flags & Flag.end) !== 0) for (const { type, choice } of event.deltas) if (type === "end") this.#ended.add(choice);
    const frames = this.#held + ((this.#isNative ? event.bytes : undefined) ?? this.#writer.write(event.deltas));
    this.#held = "";
    if (frames === "") return undefined;
    const rides = !this.#wantsUsage && this.#asked.narrowing.expose !== "none" && (event.flags & Flag.end) !== 0;
    if (!rides) return this.#sse.write(frames);
    // A frame starts its line; the same letters may stand inside a text.
    const last = frames.lastIndexOf("\ndata: ") + 1;
    this.#held = frames.slice(last);
    return last === 0 ? undefined : this.#sse.write(frames.slice(0, last));
  }

  finish(event: FinishEvent): undefined {
    const call = this.#call;
    const extension = exposed(this.#asked, call);
    const usage = call.ledger.usage() ?? event.usage;
    const own = call.ledger.legs.length === 1 && extension === undefined ? event.bytes : undefined;
    if (this.#wantsUsage && this.#isNative && own !== undefined) void this.#sse.write(own);
    else if (this.#wantsUsage && usage) void this.#sse.write(this.#writer.usage(usage, extension));
    else if (this.#held !== "") void this.#sse.write(this.#held.replace("{", () => `{"chorale":${latin1Json(extension)},`));
    this.#sse.done(lastWords(call));
  }

  fail(error: GatewayError): void {
    this.#sse.fail(inTextWords(error).wire);
  }

  idle(): string {
    const { prompts, n } = this.#asked.reading;
    for (let index = 0; index < prompts * n; index += 1) if (!this.#ended.has(index)) return this.#writer.idle(index);
    return ": keep-alive\n\n";
  }
}

/** `POST /v1/completions`: through to a server that completes text by itself, else each prompt as a chat of one message. */
export const completionsDialect: Dialect<TextAsked> = {
  idPrefix: "cmpl-",
  read(body) {
    const { body: parsed, source } = readJson(body);
    const asked = readText(parsed, source);
    refuseDuplicate(source);
    return asked;
  },
  whole,
  async stream(asked, call, reply) {
    const route = routed(asked);
    const outcome = await tellStream(route.asked, call, reply, (_, call, sse) => new TextTeller(route, call, sse));
    if (!outcome.content) return outcome;
    return { ...outcome, content: { ...outcome.content, messages: asked.request.body["prompt"] } };
  },
  fail: (reply, error, headers) => sendError(reply, inTextWords(toGatewayError(error)), headers),
};
