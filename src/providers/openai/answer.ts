import { isAscii, isUtf8 } from "node:buffer";
import type { AssistantMessage, Choice, Completion, Logprobs } from "../../model/completion.ts";
import { GatewayError } from "../../model/errors.ts";
import { isJsonString } from "../../model/json-scan.ts";
import { inbandError } from "./errors.ts";
import { canonicalText, finishReason, isDraft, type Draft } from "./message.ts";
import { canonicalUsage, readUsage } from "./usage.ts";

/** How often whole answers went out unread, and how often they had to be made canonical. For metrics. */
export const answerPaths = { unread: 0, parsed: 0, canonical: 0 };

export interface AnswerContext {
  /** `provider/model`, for errors. */
  readonly upstream: string;
  /** Prefix of ids for tool calls that came without one. */
  readonly callId: string;
  readonly wallMs: () => number;
}

const standardTop = new Set(["id", "object", "created", "model", "choices", "usage"]);
const standardChoice = new Set(["index", "message", "finish_reason", "logprobs"]);

function canonicalCall(call: Draft, index: number, context: AnswerContext): boolean {
  let odd = false;
  if (typeof call["id"] !== "string" || call["id"] === "") {
    call["id"] = `call_${context.callId.slice(-24)}_${index}`;
    odd = true;
  }
  const custom = isDraft(call["custom"]);
  if (call["type"] !== "function" && call["type"] !== "custom") {
    call["type"] = custom ? "custom" : "function";
    odd = true;
  }
  const { function: fn } = call;
  if (!isDraft(fn)) return odd;
  const { arguments: given } = fn;
  if (typeof given === "string" && given !== "") return odd;
  fn["arguments"] = given === undefined || given === null || given === "" ? "{}" : JSON.stringify(given);
  return true;
}

function canonicalMessage(message: Draft, context: AnswerContext): boolean {
  let odd = canonicalText(message);
  if (message["role"] !== "assistant") {
    message["role"] = "assistant";
    odd = true;
  }
  if (message["content"] === undefined) {
    message["content"] = null;
    odd = true;
  }
  const { tool_calls: calls } = message;
  if (Array.isArray(calls)) {
    for (const [index, call] of calls.entries()) if (isDraft(call)) odd = canonicalCall(call, index, context) || odd;
  } else if (calls === null) {
    delete message["tool_calls"];
    odd = true;
  }
  return odd;
}

function canonicalChoice(choice: Draft, position: number, context: AnswerContext): boolean {
  let odd = false;
  if (typeof choice["index"] !== "number") {
    choice["index"] = position;
    odd = true;
  }
  if (!isDraft(choice["message"])) {
    throw new GatewayError("upstream_protocol", `${context.upstream} sent a choice without a message.`, { upstream: context.upstream });
  }
  const message = choice["message"];
  odd = canonicalMessage(message, context) || odd;
  const said = choice["finish_reason"];
  if (said === "error")
    throw inbandError(context.upstream, { error: choice["error"] ?? { message: "The upstream ended with an error." } }, context.wallMs());
  const calls = message["tool_calls"];
  const read = finishReason(said);
  const reason = read === "stop" && Array.isArray(calls) && calls.length > 0 ? "tool_calls" : read;
  choice["finish_reason"] = reason;
  return odd || reason !== said;
}

/** The fields beside the standard ones; undefined where there are none. */
function extraOf(fields: Draft, standard: ReadonlySet<string>): Record<string, unknown> | undefined {
  let extra: Record<string, unknown> | undefined;
  for (const key of Object.keys(fields)) {
    if (standard.has(key)) continue;
    extra ??= {};
    if (key !== "__proto__") extra[key] = fields[key];
    // A server may call a field so; by assignment it would be no field.
    else Object.defineProperty(extra, key, { value: fields[key], enumerable: true, configurable: true, writable: true });
  }
  return extra;
}

function readChoice(choice: Draft): Choice {
  const extra = extraOf(choice, standardChoice);
  return {
    index: choice["index"] as number,
    message: choice["message"] as AssistantMessage,
    finishReason: finishReason(choice["finish_reason"]),
    logprobs: (choice["logprobs"] as Logprobs | null | undefined) ?? null,
    ...(extra && { extra }),
  };
}

function toCompletion(body: Draft, bytes: Buffer | undefined): Completion {
  const extra = extraOf(body, standardTop);
  const usage = readUsage(body["usage"]);
  return {
    ...(typeof body["id"] === "string" ? { id: body["id"] } : {}),
    ...(typeof body["model"] === "string" ? { model: body["model"] } : {}),
    ...(typeof body["created"] === "number" ? { created: body["created"] } : {}),
    choices: (body["choices"] as Draft[]).map(readChoice),
    ...(usage ? { usage } : {}),
    ...(extra && { extra }),
    ...(bytes ? { bytes } : {}),
  };
}

/** Makes a parsed answer canonical in place; true when it was odd. Throws for an error body, and for an answer without choices. */
function canonicalBody(body: Draft, context: AnswerContext): boolean {
  if (body["error"] !== undefined && body["error"] !== null) throw inbandError(context.upstream, body, context.wallMs());
  let odd = "error" in body;
  delete body["error"];
  const { choices } = body;
  if (!Array.isArray(choices) || choices.length === 0) {
    if (body["object"] === "error" || "detail" in body) throw inbandError(context.upstream, body, context.wallMs());
    throw new GatewayError("upstream_protocol", `${context.upstream} sent an answer without choices.`, { upstream: context.upstream });
  }
  for (const [position, choice] of choices.entries()) if (isDraft(choice)) odd = canonicalChoice(choice, position, context) || odd;
  const { usage } = body;
  if (isDraft(usage) && readUsage(usage) && canonicalUsage(usage)) odd = true;
  if (body["object"] !== "chat.completion") {
    body["object"] = "chat.completion";
    odd = true;
  }
  if (typeof body["created"] !== "number") odd = true;
  return odd;
}

/** A flat head of plain values: what stands before the choices in the compact form. */
const plainHead = /^\{(?:"(?!error"|usage")[a-z_]+":(?:"[ !#-[\]-~]*"|0|[1-9]\d*|null),)+$/;
const choiceStart = '"choices":[{"index":0';
const shortest = `${choiceStart},"message":{"role":"assistant","content":"`;
const plainEnd =
  /"(?:,"refusal":null)?(?:,"annotations":\[\])?\},(?:"logprobs":null,)?"finish_reason":"(?:stop|length)"(?:,"logprobs":null)?\}\],$/;
/** More than `plainEnd` matches. */
const LONGEST_END = 120;
/** What stands behind the choices may be so long. */
const LONGEST_TAIL = 2000;
const noLogprobs = '"logprobs":null';
const usageKey = '"usage":';

/** The usage that most servers send, and the little that may follow it. */
const plainUsage =
  /^\{"prompt_tokens":(\d{1,9}),"completion_tokens":(\d{1,9}),"total_tokens":\d{1,9}(?:,"prompt_tokens_details":\{"cached_tokens":(\d{1,9})\})?\}(?:,"(?:system_fingerprint|service_tier)":(?:"[ !#-[\]-~]*"|null)){0,2}\}[ \t\r\n]*$/;

/** What must not stand behind the choices too. */
const decisive = ["object", "created", "choices", "error"];

function parsedObject(text: string): Draft | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isDraft(value) ? value : undefined;
  } catch {
    // Not what it looked like: the long way says what is wrong with it.
    return undefined;
  }
}

/**
 * The common answer, recognised without parsing its choices: one of plain text in the compact form, usage right after it. Looks at both ends; what
 * is between them has to be one JSON string. Returns its usage; undefined sends the answer the long way.
 */
function unreadUsage(text: string): Completion["usage"] {
  const at = text.indexOf(shortest);
  if (at < 0 || at > 300) return undefined;
  const head = text.slice(0, at);
  if (!plainHead.test(head) || !head.includes('"object":"chat.completion",') || !/"created":\d/.test(head)) return undefined;
  const start = at + shortest.length;
  const told = text.lastIndexOf(`${usageKey}{`);
  if (told < start || text.length - told > LONGEST_TAIL) return undefined;
  const from = Math.max(start, told - LONGEST_END);
  const found = plainEnd.exec(text.slice(from, told));
  if (!found || !isJsonString(text.slice(start - 1, from + found.index + 1))) return undefined;
  const rest = text.slice(told + usageKey.length);
  const counted = plainUsage.exec(rest);
  if (counted) {
    const [, prompt, completion, cached] = counted;
    const usage = { promptTokens: Number(prompt), completionTokens: Number(completion) };
    return cached === undefined ? usage : { ...usage, cachedTokens: Number(cached) };
  }
  const tail = rest.includes('"error"') ? undefined : parsedObject(`{"usage":${rest}`);
  if (!tail || decisive.some((key) => key in tail)) return undefined;
  const { usage } = tail;
  return isDraft(usage) && !canonicalUsage(usage) ? readUsage(usage) : undefined;
}

/** A whole answer whose choices are parsed when somebody looks, once. */
class UnreadCompletion implements Completion {
  readonly bytes: Buffer;
  readonly latin1: string;
  readonly usage: NonNullable<Completion["usage"]>;
  #read: Completion | undefined;

  constructor(bytes: Buffer, latin1: string, usage: NonNullable<Completion["usage"]>) {
    this.bytes = bytes;
    this.latin1 = latin1;
    this.usage = usage;
  }

  #parsed(): Completion {
    this.#read ??= toCompletion(JSON.parse(isAscii(this.bytes) ? this.latin1 : this.bytes.toString("utf8")) as Draft, this.bytes);
    return this.#read;
  }

  get choices(): readonly Choice[] {
    return this.#parsed().choices;
  }

  /** Its form is known: one choice, and usage right behind it. Undefined where the log-probabilities that it has not are not told once. */
  get unread(): readonly string[] | undefined {
    const from = this.latin1.indexOf(choiceStart) + choiceStart.length;
    const rest = this.latin1.slice(from, this.latin1.lastIndexOf(`],${usageKey}{`));
    const end = rest.slice(-LONGEST_END);
    const told = end.indexOf(noLogprobs);
    return told < 0 || end.includes(noLogprobs, told + 1) ? undefined : [rest];
  }

  get id(): string {
    return this.#parsed().id ?? "";
  }

  get model(): string {
    return this.#parsed().model ?? "";
  }

  get created(): number {
    return this.#parsed().created ?? 0;
  }

  get extra(): Readonly<Record<string, unknown>> {
    return this.#parsed().extra ?? {};
  }
}

/** Reads a whole answer: canonical bytes are kept as they are, odd ones are made canonical. Throws a GatewayError for what is no answer. */
export function readAnswer(bytes: Buffer, context: AnswerContext): Completion {
  const valid = isUtf8(bytes);
  const latin1 = bytes.toString("latin1");
  const usage = valid ? unreadUsage(latin1) : undefined;
  if (usage) {
    answerPaths.unread += 1;
    return new UnreadCompletion(bytes, latin1, usage);
  }
  let body: unknown;
  try {
    body = JSON.parse(isAscii(bytes) ? latin1 : bytes.toString("utf8"));
  } catch (thrown) {
    throw new GatewayError("upstream_protocol", `${context.upstream} sent an answer that is not JSON.`, {
      upstream: context.upstream,
      cause: thrown,
    });
  }
  if (!isDraft(body))
    throw new GatewayError("upstream_protocol", `${context.upstream} sent an answer that is not an object.`, {
      upstream: context.upstream,
    });
  const odd = canonicalBody(body, context);
  if (odd || !valid) answerPaths.canonical += 1;
  else answerPaths.parsed += 1;
  // Written anew as a whole, so that no field is lost that nobody here knows.
  return toCompletion(body, odd || !valid ? Buffer.from(JSON.stringify(body)) : bytes);
}
