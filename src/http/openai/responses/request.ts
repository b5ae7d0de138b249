import { chatRequest, readSource, type ChatRequest, type Source } from "../../../model/request.ts";
import { GatewayError, toGatewayError } from "../../../model/errors.ts";
import { checkChatBody } from "../check.ts";
import { checkFields, decisionOf } from "./fields.ts";
import { itemsOf, messagesOf, type Placed } from "./items.ts";
import { invalid, isObject, parseExact, type Json } from "./json.ts";
import { inOwnWords } from "./params.ts";
import { toolChoiceOf, toolsOf } from "./tools.ts";

/** What the answer may show. */
export interface Wants {
  /** Reasoning is told as a summary, not as the text that it is. */
  readonly summary: boolean;
  /** Reasoning items carry what is to be sent back. */
  readonly encrypted: boolean;
  readonly logprobs: boolean;
}

/** A checked body, before the items that it only names have been looked up. */
export interface Asking {
  /** Numbers that a double can not hold are raw JSON in it. */
  readonly body: Json;
  readonly items: readonly Json[];
  readonly previous: string | undefined;
  readonly wants: Wants;
}

function given(value: unknown): boolean {
  return value !== undefined && value !== null;
}

/** Checks a body and reads its items. `parsed` is the ordinary parse of `source`. */
export function readAsking(parsed: unknown, { buffer, scan }: Source): Asking {
  if (!isObject(parsed)) throw new GatewayError("invalid_request", "The request body must be a JSON object.");
  checkFields(parsed);
  const values = [...scan.spans].map(([key, [, from, to]]) => [key, parseExact(buffer.toString("utf8", from, to))] as const);
  const body = Object.fromEntries(values);
  const include = Array.isArray(parsed["include"]) ? (parsed["include"] as readonly unknown[]) : [];
  const reasoning = isObject(parsed["reasoning"]) ? parsed["reasoning"] : {};
  return {
    body,
    items: itemsOf(body["input"]),
    previous: (parsed["previous_response_id"] ?? undefined) as string | undefined,
    wants: {
      summary: given(reasoning["summary"]) || given(reasoning["generate_summary"]),
      encrypted: include.includes("reasoning.encrypted_content"),
      logprobs: include.includes("message.output_text.logprobs") || given(parsed["top_logprobs"]),
    },
  };
}

function formatOf(text: unknown): unknown {
  if (!given(text)) return undefined;
  if (!isObject(text)) invalid("text", "expected an object");
  const { format } = text;
  if (!given(format)) return undefined;
  if (!isObject(format)) invalid("text.format", "expected an object");
  const { type, ...schema } = format;
  if (type === "text") return undefined;
  if (type === "json_object") return { type };
  return type === "json_schema"
    ? { type, json_schema: schema }
    : invalid("text.format.type", "expected one of text, json_object, json_schema");
}

/** Fields of the chat, as far as they are not the request's own. */
function translated({ body, wants }: Asking, tools: readonly Json[]): Json {
  const { text, reasoning, top_logprobs: top } = body;
  const fields = {
    tools: tools.length > 0 ? tools : undefined,
    tool_choice: toolChoiceOf(body["tool_choice"], tools.length > 0),
    // Official servers refuse it where there are no tools, and agents send it always.
    parallel_tool_calls: tools.length > 0 ? body["parallel_tool_calls"] : undefined,
    response_format: formatOf(text),
    verbosity: isObject(text) ? text["verbosity"] : undefined,
    reasoning_effort: isObject(reasoning) ? reasoning["effort"] : undefined,
    max_completion_tokens: body["max_output_tokens"],
    logprobs: wants.logprobs ? true : undefined,
    top_logprobs: wants.logprobs ? top : undefined,
  };
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => given(value)));
}

export interface Translation {
  /** The conversation so far, oldest first, then the items of this request. */
  readonly items: readonly Placed[];
  /** Leave out tools that a server would have to run, instead of refusing them. */
  readonly dropHosted: boolean;
  readonly warn: (warning: string) => void;
}

/** The chat that a request is. */
export function toChat(asking: Asking, { items, dropHosted, warn }: Translation): ChatRequest {
  const { body } = asking;
  const tools = toolsOf(body["tools"], dropHosted, warn);
  if (body["truncation"] === "auto") warn("truncation: auto is not done here; a conversation that is too long is refused");
  const instructions = typeof body["instructions"] === "string" ? [{ role: "system", content: body["instructions"] }] : [];
  const messages = [...instructions, ...messagesOf(items, warn)];
  if (messages.length === 0) invalid("input", "nothing in it can be sent to a model");
  const kept = Object.entries(body).filter(
    ([key, value]) => given(value) && decisionOf(key) === "forwarded" && key !== "model" && key !== "parallel_tool_calls",
  );
  const chat = { model: body["model"], messages, ...Object.fromEntries(kept), ...translated(asking, tools) };
  const { body: read, source } = readSource(Buffer.from(JSON.stringify(chat), "utf8"));
  try {
    return chatRequest(checkChatBody(read), source);
  } catch (thrown) {
    throw inOwnWords(toGatewayError(thrown));
  }
}
