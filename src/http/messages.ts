import type { ServerResponse } from "node:http";
import type { Call } from "../model/call.ts";
import { complete } from "../model/complete.ts";
import { textOf } from "../model/completion.ts";
import { GatewayError } from "../model/errors.ts";
import type { BatchEvent, FinishEvent } from "../model/events.ts";
import { latin1 } from "../model/latin1.ts";
import { lastWords } from "./answer-headers.ts";
import { Content } from "./anthropic/content.ts";
import { estimatedTokens } from "./anthropic/count.ts";
import { errorFields, sendMessagesError, withRequestId } from "./anthropic/errors.ts";
import { messageJson } from "./anthropic/message.ts";
import { inOwnWords } from "./anthropic/params.ts";
import { readMessages, type MessagesRequest } from "./anthropic/request.ts";
import { eventFrame, MessageFrames } from "./anthropic/stream.ts";
import { rootCall, type Asked } from "./asked.ts";
import { findModel, readJson, refuseDuplicate } from "./chat.ts";
import type { Outcome } from "./closing.ts";
import type { Dialect } from "./dialect.ts";
import type { Entered } from "./door.ts";
import { extensionOf } from "./extension.ts";
import type { SseResponse } from "./openai/sse.ts";
import { sendJson } from "./reply.ts";
import { tellStream, type Teller } from "./stream.ts";
import { sendWhole } from "./whole.ts";

type AskedMessages = Asked<MessagesRequest>;

function read(body: Buffer, { header }: Pick<Entered, "header">, counts: boolean): MessagesRequest {
  const { body: parsed, source } = readJson(body);
  const request = readMessages(parsed, source, { counts, dropHosted: header("x-chorale-hosted-tools") === "drop" });
  refuseDuplicate(source);
  return request;
}

function extended({ narrowing }: AskedMessages, call: Call): unknown {
  return narrowing.expose === "none" ? undefined : extensionOf(call, narrowing.expose, call.clock.now());
}

class MessageTeller implements Teller {
  readonly #asked: AskedMessages;
  readonly #call: Call;
  readonly #sse: SseResponse;
  readonly #frames: MessageFrames;

  constructor(asked: AskedMessages, call: Call, sse: SseResponse) {
    this.#asked = asked;
    this.#call = call;
    this.#sse = sse;
    this.#frames = new MessageFrames(call.identity, asked.reading);
  }

  begin(): void {
    void this.#write(this.#frames.begin());
  }

  batch(event: BatchEvent): Promise<void> | undefined {
    return this.#write(this.#frames.deltas(event.deltas));
  }

  finish(event: FinishEvent): undefined {
    const call = this.#call;
    const [choice] = event.completion?.choices ?? [];
    const head = this.#frames.begin() + (choice ? this.#frames.whole(choice) : "");
    this.#sse.end(head + this.#frames.finish(call.ledger.usage() ?? event.usage, extended(this.#asked, call), lastWords(call)));
  }

  fail(error: GatewayError): void {
    this.#sse.cut(eventFrame("error", errorFields(inOwnWords(error), this.#call.id)));
  }

  idle(): string {
    return this.#frames.begin() + eventFrame("ping");
  }

  #write(frames: string): Promise<void> | undefined {
    return frames === "" ? undefined : this.#sse.write(frames);
  }
}

async function whole(asked: AskedMessages, call: Call, reply: ServerResponse): Promise<Outcome> {
  const { entry, request, reading, entered } = asked;
  const result = await complete(entry.model, request, rootCall(call, entry));
  if (!result.ok) throw result.error;
  const { completion } = result;
  const [choice] = completion.choices;
  if (!choice) throw new GatewayError("upstream_protocol", "The answer has no choices.");
  const content = new Content(reading, () => {});
  content.addWhole(choice);
  const ending = content.finish();
  const usage = call.ledger.usage() ?? completion.usage;
  const json = messageJson({ identity: call.identity, blocks: content.blocks, ending, usage, extension: extended(asked, call) });
  sendWhole(asked, call, { reply, pieces: [latin1(json)] });
  if (!entered.served.logContent) return { status: 200, stream: false };
  return { status: 200, stream: false, content: { messages: request.body.messages, answer: textOf(completion) } };
}

/** What a model throws blames fields of the chat inside. */
async function inClientWords(answering: Promise<Outcome>): Promise<Outcome> {
  try {
    return await answering;
  } catch (thrown) {
    throw thrown instanceof GatewayError ? inOwnWords(thrown) : thrown;
  }
}

/** The request with the header in which clients of this API look for its id. */
function withId(asked: AskedMessages): AskedMessages {
  return { ...asked, entered: { ...asked.entered, headers: withRequestId(asked.entered.headers) } };
}

/** `POST /v1/messages`: Anthropic's dialect, whole and as a stream. */
export const messagesDialect: Dialect<MessagesRequest> = {
  idPrefix: "msg_",
  read: (body, entered) => read(body, entered, false),
  whole(asked, call, reply) {
    call.trace.warnings.push(...asked.reading.warnings);
    return inClientWords(whole(withId(asked), call, reply));
  },
  stream(asked, call, reply) {
    call.trace.warnings.push(...asked.reading.warnings);
    return inClientWords(tellStream(withId(asked), call, reply, (asked, call, sse) => new MessageTeller(asked, call, sse)));
  },
  fail: sendMessagesError,
};

/** `POST /v1/messages/count_tokens`: an estimate, and says so. No model is asked. */
export function countTokens(entered: Entered, reply: ServerResponse, body: Buffer): void {
  const { request } = read(body, entered, true);
  findModel(entered, request);
  const headers = [...withRequestId(entered.headers), "x-chorale-estimated", "true"];
  sendJson(reply, { input_tokens: estimatedTokens(request) }, headers);
}
