import Anthropic, { type ClientOptions } from "@anthropic-ai/sdk";
import { onTestFinished } from "vitest";
import { clientKey, startPair, type PairOptions } from "../../support/gateway.ts";
import type { Scripts } from "../../support/upstream.ts";

export type Fields = Readonly<Record<string, unknown>>;

/** A gateway before a scripted upstream, and how to ask it for messages. */
export async function startMessages(scripts: Scripts, options: Omit<PairOptions, "onFinished"> = {}) {
  const pair = await startPair(scripts, { onFinished: onTestFinished, ...options });
  const send = (path: string, body: Fields | string, headers: Readonly<Record<string, string>> = {}) =>
    fetch(pair.gateway.url + path, {
      method: "POST",
      headers: { "content-type": "application/json", "x-api-key": clientKey, "anthropic-version": "2023-06-01", ...headers },
      body: typeof body === "string" ? body : JSON.stringify(body),
    });
  return {
    ...pair,
    send,
    /** Posts a request; `model`, `max_tokens` and `messages` have defaults. */
    ask: (body: Fields = {}, headers: Readonly<Record<string, string>> = {}) =>
      send("/messages", { model: "up/a", max_tokens: 100, messages: [{ role: "user", content: "What is 2+2?" }], ...body }, headers),
    /** The official client. Its base URL ends before `/v1`. */
    client: (options: ClientOptions = {}) => new Anthropic({ baseURL: pair.gateway.origin, apiKey: clientKey, maxRetries: 0, ...options }),
  };
}

/** A source that a text stands on. */
export const citation = {
  type: "char_location",
  cited_text: "x",
  document_index: 0,
  document_title: null,
  start_char_index: 0,
  end_char_index: 1,
};

/** One event of a stream. */
export interface MessageEvent {
  readonly type: string;
  readonly [field: string]: unknown;
}

/** The events of a stream. Throws when a frame is not `event:` and `data:` with the same type. */
export function messageEvents(text: string): readonly MessageEvent[] {
  if (!text.endsWith("\n\n")) throw new Error("the last frame is not whole");
  const frames = text
    .slice(0, -2)
    .split("\n\n")
    .filter((frame) => !frame.startsWith(":"));
  return frames.map((frame) => {
    const [, name, data] = /^event: (.*)\ndata: (.*)$/.exec(frame) ?? [];
    if (name === undefined || data === undefined) throw new Error(`not an event: ${frame}`);
    const event = JSON.parse(data) as MessageEvent;
    if (event.type !== name) throw new Error(`${name} has the type ${event.type}`);
    return event;
  });
}

const deltasOf: Readonly<Record<string, readonly string[]>> = {
  text: ["text_delta", "citations_delta"],
  thinking: ["thinking_delta", "signature_delta"],
  tool_use: ["input_json_delta"],
};

interface OpenBlock {
  readonly type: string;
  json: string;
}

/** What is wrong with the order and the parts of a whole stream's events; empty when nothing is. */
export function wrongEvents(all: readonly MessageEvent[]): readonly string[] {
  const events = all.filter(({ type }) => type !== "ping");
  const wrong: string[] = [];
  let open: OpenBlock | undefined;
  let blocks = 0;
  const [first] = events;
  if (first?.type !== "message_start") wrong.push(`begins with ${first?.type}`);
  else wrong.push(...wrongMessage(first["message"] as Fields, true));
  for (const event of events.slice(1, -2)) {
    const { type, index, content_block: block, delta } = event;
    if (type === "content_block_start") {
      if (open) wrong.push(`block ${blocks - 1} is still open`);
      if (index !== blocks) wrong.push(`block ${String(index)} is not ${blocks}`);
      blocks += 1;
      open = { type: String((block as Fields)["type"]), json: "" };
    } else if (!open || index !== blocks - 1) wrong.push(`${type} for a block that is not open`);
    else if (type === "content_block_delta") {
      const said = delta as Fields;
      if (!deltasOf[open.type]?.includes(String(said["type"]))) wrong.push(`${String(said["type"])} in ${open.type}`);
      if (said["type"] === "input_json_delta") open.json += String(said["partial_json"]);
    } else if (type === "content_block_stop") open = undefined;
    else wrong.push(`${type} in the middle`);
  }
  if (open) wrong.push("the last block is not closed");
  const [told, stop] = events.slice(-2);
  if (told?.type !== "message_delta" || stop?.type !== "message_stop") wrong.push(`ends with ${told?.type}, ${stop?.type}`);
  const { stop_reason: reason } = (told?.["delta"] ?? {}) as Fields;
  if (typeof reason !== "string") wrong.push(`stop_reason is ${String(reason)}`);
  wrong.push(...wrongUsage(told?.["usage"] as Fields | undefined));
  return wrong;
}

function wrongUsage(usage: Fields = {}): readonly string[] {
  const counts = ["input_tokens", "output_tokens", "cache_creation_input_tokens", "cache_read_input_tokens"];
  return counts.filter((key) => !Number.isInteger(usage[key]) || Number(usage[key]) < 0).map((key) => `${key} is ${String(usage[key])}`);
}

const required = "id type role model content stop_reason stop_sequence stop_details container diagnostics usage".split(" ");
const usageKeys = (
  "input_tokens output_tokens cache_creation cache_creation_input_tokens cache_read_input_tokens inference_geo output_tokens_details " +
  "server_tool_use service_tier speed"
).split(" ");
const blockKeys: Readonly<Record<string, readonly string[]>> = {
  text: ["text", "citations"],
  thinking: ["thinking", "signature"],
  redacted_thinking: ["data"],
  tool_use: ["id", "name", "input", "caller"],
};

/** What is wrong with a message as the official types have it; `begins` is the one that opens a stream. */
export function wrongMessage(message: Fields, begins = false): readonly string[] {
  const usage = (message["usage"] ?? {}) as Fields;
  const wrong = [
    ...required.filter((key) => !(key in message)).map((key) => `no ${key}`),
    ...usageKeys.filter((key) => !(key in usage)).map((key) => `no usage.${key}`),
    ...wrongUsage(usage),
  ];
  if (message["type"] !== "message" || message["role"] !== "assistant") wrong.push("no message");
  if (!/^msg_\w+$/.test(String(message["id"]))) wrong.push("the id is not one of a message");
  if ((message["stop_reason"] === null) !== begins) wrong.push(`stop_reason is ${String(message["stop_reason"])}`);
  for (const block of message["content"] as readonly Fields[]) {
    const keys = blockKeys[String(block["type"])];
    if (!keys?.every((key) => key in block)) wrong.push(`a block is ${JSON.stringify(block)}`);
  }
  return wrong;
}

/** What is wrong with an error of this API; empty when nothing is. */
export function wrongError(text: string, headers: Headers): readonly string[] {
  const { type, error, request_id: id } = JSON.parse(text) as Fields;
  const { type: kind, message } = (error ?? {}) as Fields;
  const wrong: string[] = [];
  if (type !== "error") wrong.push(`type is ${String(type)}`);
  if (typeof kind !== "string" || !kind.endsWith("_error")) if (kind !== "request_too_large") wrong.push(`error.type is ${String(kind)}`);
  if (typeof message !== "string" || message === "") wrong.push("no message");
  if (typeof id !== "string" || id !== headers.get("request-id") || id !== headers.get("x-request-id"))
    wrong.push(`request_id is ${String(id)}`);
  return wrong;
}
