import type { ServerResponse } from "node:http";
import type { Call } from "../model/call.ts";
import { deltasOf } from "../model/choice-deltas.ts";
import { complete } from "../model/complete.ts";
import { textOf } from "../model/completion.ts";
import { GatewayError, toGatewayError } from "../model/errors.ts";
import type { BatchEvent, FinishEvent } from "../model/events.ts";
import { latin1Json } from "../model/latin1.ts";
import { lastWords } from "./answer-headers.ts";
import { rootCall, type Asked } from "./asked.ts";
import { readJson, refuseDuplicate } from "./chat.ts";
import type { Outcome } from "./closing.ts";
import type { Dialect, Reading } from "./dialect.ts";
import type { Door, Entered } from "./door.ts";
import { sendError } from "./errors.ts";
import { extensionOf } from "./extension.ts";
import type { SseResponse } from "./openai/sse.ts";
import type { Placed } from "./openai/responses/items.ts";
import { typeOf } from "./openai/responses/items.ts";
import type { Json } from "./openai/responses/json.ts";
import { isKeepable, KeptResponses } from "./openai/responses/kept.ts";
import { itemPage, listedItem } from "./openai/responses/listed.ts";
import { Output } from "./openai/responses/output.ts";
import { inOwnWords } from "./openai/responses/params.ts";
import { readAsking, toChat, type Asking } from "./openai/responses/request.ts";
import { echoOf, responseOf } from "./openai/responses/response.ts";
import { ResponseFrames } from "./openai/responses/stream.ts";
import { sendJson } from "./reply.ts";
import { tellStream, type Teller } from "./stream.ts";
import { sendWhole } from "./whole.ts";

interface ResponseReading extends Reading {
  readonly asking: Asking;
  readonly echo: Json;
  /** Items of this request, references resolved; what is kept of it. */
  readonly items: readonly Json[];
  readonly keeps: boolean;
  readonly warnings: readonly string[];
}

type AskedResponse = Asked<ResponseReading>;

function keptOf(door: Door, entered: Entered): KeptResponses {
  return new KeptResponses(door.store, entered.asker.name, door.clock.wall());
}

/** Puts the items that a request only names in their places. */
async function resolved({ items }: Asking, kept: KeptResponses): Promise<readonly Json[]> {
  const found: Json[] = [];
  for (const item of items) {
    const named = typeOf(item) === "item_reference" ? await kept.item(String(item["id"])) : item;
    if (named) found.push(named);
  }
  return found;
}

interface Past {
  readonly history: readonly Json[];
  readonly items: readonly Json[];
}

async function lookUp(asking: Asking, kept: KeptResponses): Promise<Past> {
  const history = asking.previous === undefined ? [] : await kept.history(asking.previous);
  return { history, items: await resolved(asking, kept) };
}

function readingOf(asking: Asking, { history, items }: Past, entered: Entered): ResponseReading {
  const warnings: string[] = [];
  const past: readonly Placed[] = history.map((item) => ({ item, at: "previous_response_id" }));
  const request = toChat(asking, {
    items: [...past, ...items.map((item, index) => ({ item, at: `input[${index}]` }))],
    dropHosted: entered.header("x-chorale-hosted-tools") === "drop",
    warn: (warning) => warnings.push(warning),
  });
  const wanted = asking.body["store"] !== false;
  const keeps = wanted && isKeepable(request.source.buffer.length);
  if (wanted && !keeps) warnings.push("the response is too long to be kept");
  return { request, asking, echo: echoOf(asking, keeps), items, keeps, warnings };
}

/** Everything that ends a response: its last state, kept before anybody is told of it. */
class Ending {
  readonly #asked: AskedResponse;
  readonly #call: Call;
  readonly #door: Door;

  constructor(door: Door, asked: AskedResponse, call: Call) {
    this.#door = door;
    this.#asked = asked;
    this.#call = call;
  }

  async response(output: Output, end: ReturnType<Output["finish"]>, usage: FinishEvent["usage"]): Promise<Json> {
    const { reading, narrowing } = this.#asked;
    const { identity, ledger, clock } = this.#call;
    const state = {
      identity,
      echo: reading.echo,
      output: output.items,
      end,
      usage: ledger.usage() ?? usage,
      completedAt: Math.floor(clock.wall() / 1000),
    };
    const response = responseOf(state);
    if (reading.keeps) await this.#keep(response, output.kept);
    if (narrowing.expose === "none") return response;
    return { ...response, chorale: extensionOf(this.#call, narrowing.expose, clock.now()) };
  }

  async #keep(response: Json, output: readonly Json[] | undefined): Promise<void> {
    const { reading, entered } = this.#asked;
    const { identity } = this.#call;
    const digits = identity.id.slice("resp_".length);
    const input = reading.items.map((item, index) => listedItem(item, `${typeOf(item) === "message" ? "msg" : "item"}_${digits}i${index}`));
    try {
      await keptOf(this.#door, entered).put(identity.id, { response, input, output, previous: reading.asking.previous });
    } catch (thrown) {
      // The answer is there; only the next turn can not go on from it.
      this.#door.log.warn({ requestId: entered.requestId, cause: String(thrown) }, "a response could not be kept");
    }
  }
}

class ResponseTeller implements Teller {
  readonly #sse: SseResponse;
  readonly #frames: ResponseFrames;
  readonly #ending: Ending;
  readonly #call: Call;

  constructor(door: Door, { asked, call, sse }: { asked: AskedResponse; call: Call; sse: SseResponse }) {
    const { echo, asking } = asked.reading;
    this.#sse = sse;
    this.#call = call;
    this.#frames = new ResponseFrames({ identity: call.identity, echo }, asking.wants);
    this.#ending = new Ending(door, asked, call);
  }

  begin(): void {
    void this.#write(this.#frames.begin());
  }

  batch(event: BatchEvent): Promise<void> | undefined {
    return this.#write(this.#frames.deltas(event.deltas));
  }

  async finish(event: FinishEvent): Promise<void> {
    const { end, frames } = this.#frames.close();
    const response = await this.#ending.response(this.#frames.output, end, event.usage);
    this.#sse.end(`${frames}${lastWords(this.#call)}${this.#frames.last(response, end)}`);
  }

  fail(error: GatewayError): void {
    this.#sse.cut(this.#frames.fail(inOwnWords(error).wire));
  }

  idle(): string {
    return this.#frames.idle() || ": keep-alive\n\n";
  }

  #write(frames: string): Promise<void> | undefined {
    return frames === "" ? undefined : this.#sse.write(frames);
  }
}

async function whole(door: Door, asked: AskedResponse, call: Call, reply: ServerResponse): Promise<Outcome> {
  const { entry, request, reading, entered } = asked;
  const result = await complete(entry.model, request, rootCall(call, entry));
  if (!result.ok) throw result.error;
  const { completion } = result;
  const [choice] = completion.choices;
  if (!choice) throw new GatewayError("upstream_protocol", "The answer has no choices.");
  const output = new Output(call.identity.id.slice("resp_".length), reading.asking.wants, () => {});
  output.addAll(deltasOf(choice, 0));
  const response = await new Ending(door, asked, call).response(output, output.finish(), completion.usage);
  sendWhole(asked, call, { reply, pieces: [latin1Json(response)] });
  if (!entered.served.logContent) return { status: 200, stream: false };
  return { status: 200, stream: false, content: { messages: request.body.messages, answer: textOf(completion) } };
}

/** Answers with what reading has warned of; what the models blame gets the client's name for it. */
async function answered({ reading }: AskedResponse, call: Call, answer: () => Promise<Outcome>): Promise<Outcome> {
  call.trace.warnings.push(...reading.warnings);
  try {
    return await answer();
  } catch (thrown) {
    throw inOwnWords(toGatewayError(thrown, call.signal));
  }
}

/** `POST /v1/responses`: items inwards, items and typed events outwards, and answers that are kept for a day. */
export function responsesDialect(door: Door): Dialect<ResponseReading> {
  return {
    idPrefix: "resp_",
    read(body, entered) {
      const { body: parsed, source } = readJson(body);
      const asking = readAsking(parsed, source);
      refuseDuplicate(source);
      const looksUp = asking.previous !== undefined || asking.items.some((item) => typeOf(item) === "item_reference");
      if (!looksUp) return readingOf(asking, { history: [], items: asking.items }, entered);
      return lookUp(asking, keptOf(door, entered)).then((past) => readingOf(asking, past, entered));
    },
    whole: (asked, call, reply) => answered(asked, call, () => whole(door, asked, call, reply)),
    stream: (asked, call, reply) =>
      answered(asked, call, () => tellStream(asked, call, reply, (asked, call, sse) => new ResponseTeller(door, { asked, call, sse }))),
    fail: sendError,
  };
}

/** `GET /v1/responses/{id}`, for the key that asked. */
export async function getResponse(door: Door, entered: Entered, reply: ServerResponse, { id, query }: Place): Promise<void> {
  if (query.get("stream") === "true")
    throw new GatewayError("unsupported_parameter", "A kept response is not streamed again.", { param: "stream" });
  const { response } = await keptOf(door, entered).get(id);
  sendJson(reply, response, entered.headers);
}

interface Place {
  readonly id: string;
  readonly query: URLSearchParams;
}

/** `GET /v1/responses/{id}/input_items`: the items of that request itself. */
export async function listInputItems(door: Door, entered: Entered, reply: ServerResponse, { id, query }: Place): Promise<void> {
  const { input } = await keptOf(door, entered).get(id);
  sendJson(reply, itemPage(input, query), entered.headers);
}

/** `DELETE /v1/responses/{id}`. Later ones that went on from it can not go on any more. */
export async function deleteResponse(door: Door, entered: Entered, reply: ServerResponse, { id }: Place): Promise<void> {
  await keptOf(door, entered).delete(id);
  sendJson(reply, { id, object: "response", deleted: true }, entered.headers);
}
