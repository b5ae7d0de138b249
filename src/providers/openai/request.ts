import type { Delivery } from "../../model/call.ts";
import { GatewayError } from "../../model/errors.ts";
import { change, isUntouched, renamedBytes, requestBytes, type ChatBody, type ChatRequest, type Message } from "../../model/request.ts";
import { withoutAnswerOnly } from "./answer-only.ts";
import { ownCallIds } from "./call-ids.ts";
import type { Dialect } from "./dialects.ts";
import { refuseFileUrls } from "./file-urls.ts";
import { foreignEdits } from "./foreign.ts";
import { withoutToolImages } from "./tool-images.ts";

export interface WireRequest {
  readonly bytes: Buffer;
  /** The client asked for a usage chunk. */
  readonly wantsUsage: boolean;
  /** Fields that were left out because the server refuses them. */
  readonly dropped: readonly string[];
}

type Edits = Record<string, unknown>;

/** What a dialect changes, decided once per provider: where nothing can change, a request costs no look at its fields. */
export interface RequestWriter {
  write(request: ChatRequest, model: string, delivery: Delivery): WireRequest;
}

/** Messages as this server takes them; undefined when they are so already. */
function writtenMessages({ systemOnly, unnamed }: Dialect, { messages }: ChatBody): readonly Message[] | undefined {
  const isOdd = ({ role, name }: Message) => (systemOnly && role === "developer") || (unnamed && name !== undefined);
  if (!messages.some(isOdd)) return undefined;
  return messages.map((message) => {
    if (!isOdd(message)) return message;
    const role = systemOnly && message.role === "developer" ? "system" : message.role;
    const written: Message = { ...message, role };
    if (!unnamed) return written;
    const { name: _, ...rest } = written;
    return rest;
  });
}

function dialectEdits(dialect: Dialect, body: ChatBody, upstream: string): { edits: Edits; dropped: string[] } {
  const edits: Edits = {};
  const dropped: string[] = [];
  for (const field of dialect.refuse ?? []) {
    const value = body[field];
    if (value === undefined || value === null || value === false) continue;
    throw new GatewayError("incapable", `${upstream} does not support "${field}".`, { param: field, upstream, attempts: 0 });
  }
  for (const field of dialect.drop ?? []) {
    if (body[field] === undefined) continue;
    edits[field] = undefined;
    if (body[field] !== null && field !== "stream_options") dropped.push(field);
  }
  for (const [from, to] of Object.entries(dialect.rename ?? {})) {
    if (body[from] === undefined || body[from] === null) continue;
    edits[to] = body[from];
    edits[from] = undefined;
  }
  if (dialect.dropNulls) for (const field of Object.keys(body)) if (body[field] === null) edits[field] = undefined;
  const messages = dialect.systemOnly || dialect.unnamed ? writtenMessages(dialect, body) : undefined;
  if (messages !== undefined) edits["messages"] = messages;
  if (dialect.unnamed && body.messages.some(({ name }) => typeof name === "string")) dropped.push("messages[].name");
  if (dialect.toolChoiceRequired !== undefined && body.tool_choice === "required") edits["tool_choice"] = dialect.toolChoiceRequired;
  return { edits, dropped };
}

/** OpenAI refuses the two limits at once, and servers differ in which one they take. */
function isLimitedTwice({ max_tokens: older, max_completion_tokens: limit }: ChatBody): boolean {
  return typeof limit === "number" && typeof older === "number";
}

function streamEdits(dialect: Dialect, body: ChatBody, delivery: Delivery): Edits {
  if (delivery === "unary") {
    // `stream: false` may stay; a `stream_options` without a stream is refused by strict servers.
    const edits: Edits = {};
    if (body.stream) edits["stream"] = undefined;
    if (body.stream_options !== undefined) edits["stream_options"] = undefined;
    return edits;
  }
  const edits: Edits = body.stream === true ? {} : { stream: true };
  if (dialect.usageOnRequest === false) return edits;
  if (body.stream_options?.include_usage !== true) edits["stream_options"] = { ...body.stream_options, include_usage: true };
  return edits;
}

const nothing: readonly string[] = [];
const changing: readonly (keyof Dialect)[] = ["drop", "refuse", "rename", "dropNulls", "systemOnly", "unnamed", "toolChoiceRequired"];

/** Of longer requests no bytes are kept: a waiting request would hold its body once more. */
const REMEMBERED_BYTES = 64 * 1024;

/** A request that was written, and for what. */
interface Written {
  readonly model: string;
  readonly delivery: Delivery;
  readonly wire: WireRequest;
}

/** Writes requests in a dialect: the client's bytes with the model's name spliced in, and what the dialect must change. */
export function requestWriter(dialect: Dialect, upstreamOf: (model: string) => string): RequestWriter {
  const changes = changing.some((key) => dialect[key] !== undefined);
  const strict = dialect.strict === true;
  /** Legs that ask one model the same, a retry or the runs of a panel, share the bytes that were made for it. */
  const written = new WeakMap<ChatRequest, Written>();

  function writeAnew(request: ChatRequest, model: string, delivery: Delivery, left: readonly string[]): WireRequest {
    const { body } = request;
    const { edits, dropped } = changes ? dialectEdits(dialect, body, upstreamOf(model)) : { edits: {} as Edits, dropped: [] };
    if (isLimitedTwice(body) && edits["max_tokens"] === undefined) edits["max_tokens"] = undefined;
    const bytes = requestBytes(request, { ...edits, ...streamEdits(dialect, body, delivery), chorale: undefined, model });
    return { bytes, wantsUsage: body.stream_options?.include_usage === true, dropped: [...left, ...dropped] };
  }

  return {
    write(given, model, delivery) {
      const known = written.get(given);
      if (known?.model === model && known.delivery === delivery) return known.wire;
      if (strict) refuseFileUrls(given.body, upstreamOf(model));
      const foreign = strict && given.foreign ? foreignEdits(given.foreign, given) : undefined;
      const asked = foreign ? change(given, foreign.edits) : given;
      const spared = dialect.answerOnly ? withoutAnswerOnly(dialect.answerOnly, asked.body) : undefined;
      const plain = spared ? change(asked, { messages: spared.messages }) : asked;
      const named = dialect.callIds ? ownCallIds(plain, dialect.callIds) : plain;
      const messages = dialect.textResults ? withoutToolImages(named.body.messages) : undefined;
      const request = messages ? change(named, { messages }) : named;
      const { body } = request;
      const isUnary = delivery === "unary" && !body.stream && body.stream_options === undefined;
      if (isUnary && !changes && !isLimitedTwice(body) && isUntouched(request))
        return { bytes: renamedBytes(request, model), wantsUsage: false, dropped: nothing };
      const wire = writeAnew(request, model, delivery, [...(foreign?.dropped ?? nothing), ...(spared?.dropped ?? nothing)]);
      if (wire.bytes.length <= REMEMBERED_BYTES) written.set(given, { model, delivery, wire });
      return wire;
    },
  };
}
