import { hash } from "node:crypto";
import { GatewayError, toGatewayError } from "../../model/errors.ts";
import { chatRequest, readSource, type ChatRequest, type Source } from "../../model/request.ts";
import { checkChatBody } from "../openai/check.ts";
import { invalid, isObject, parseExact, unsupported, type Json } from "../openai/responses/json.ts";
import { checkFields, decisionOf, foreign, isGiven } from "./fields.ts";
import { messagesOf } from "./messages.ts";
import { textContentOf } from "./parts.ts";
import { inOwnWords } from "./params.ts";
import { thinkingOf } from "./thinking.ts";
import { toolChoiceOf, toolHints, toolsOf } from "./tools.ts";

export interface ReadOptions {
  /** The request only counts tokens: it bounds no answer. */
  readonly counts: boolean;
  /** Leave out tools that a server would have to run, instead of refusing them. */
  readonly dropHosted: boolean;
}

/** A request as a chat, and what its answer has to know of it. */
export interface MessagesRequest {
  readonly request: ChatRequest;
  /** Texts that end the answer. */
  readonly stops: readonly string[];
  readonly showsThinking: boolean;
  readonly warnings: readonly string[];
}

/** A field's value with its own digits. */
function exactly(source: Source, body: Json, key: string): unknown {
  const span = source.scan.spans.get(key);
  if (!span || !isGiven(body[key])) return undefined;
  return parseExact(Buffer.from(source.text.slice(span[1], span[2]), "latin1").toString("utf8"));
}

function configOf(value: unknown): Json {
  if (!isGiven(value)) return {};
  return isObject(value) ? value : invalid("output_config", "expected an object");
}

/** `name` is the client's for the format: it has had two. */
function formatOf(format: unknown, name: string): Json {
  if (!isGiven(format)) return {};
  if (!isObject(format)) invalid(name, "expected an object");
  if (format["type"] !== "json_schema") invalid(`${name}.type`, "expected json_schema");
  if (!isObject(format["schema"])) invalid(`${name}.schema`, "it is required");
  return { response_format: { type: "json_schema", json_schema: { name: "answer", schema: format["schema"], strict: true } } };
}

const tiers: Readonly<Record<string, string>> = { auto: "auto", standard_only: "default" };

/** OpenAI refuses a longer name of a user; Claude Code has one. */
const LONGEST_USER = 64;

function userOf({ metadata }: Json): string | undefined {
  const user = isObject(metadata) ? metadata["user_id"] : undefined;
  return typeof user === "string" ? user : undefined;
}

function smallFields(body: Json): Json {
  const { service_tier: tier, stop_sequences: stops, max_tokens: bound } = body;
  const user = userOf(body);
  return {
    ...(isGiven(bound) ? { max_completion_tokens: bound } : {}),
    ...(Array.isArray(stops) && stops.length > 0 ? { stop: stops as unknown } : {}),
    ...(user === undefined ? {} : { user: user.length > LONGEST_USER ? hash("sha256", user) : user }),
    ...(typeof tier === "string" ? { service_tier: tiers[tier] } : {}),
  };
}

/** What a chat says in other words, and not all of it, as leaves of this API get it. */
function nativeOf(body: Json, config: Json): Json {
  const { thinking } = body;
  const { effort } = config;
  const user = userOf(body);
  const hints = toolHints(body["tools"]);
  return {
    ...(hints.length > 0 ? { tools: hints } : {}),
    ...(isGiven(thinking) ? { thinking } : {}),
    ...(isGiven(effort) ? { output_config: { effort } } : {}),
    ...(user !== undefined && user.length > LONGEST_USER ? { metadata: { user_id: user } } : {}),
  };
}

/** What is not ours to translate, with its own digits. What says only what is so anyway is left out: not every server knows it. */
function forwarded(source: Source, body: Json): Json {
  const kept = Object.keys(body).filter((key) => isGiven(body[key]) && decisionOf(key) === "forwarded" && body[key] !== "standard");
  return Object.fromEntries(kept.map((key) => [key, exactly(source, body, key)]));
}

function systemOf(system: unknown): readonly Json[] {
  if (!isGiven(system)) return [];
  const content = textContentOf(system, "system");
  return content.length === 0 ? [] : [{ role: "system", content }];
}

function messagesText({ scan, text }: Source): string {
  const span = scan.spans.get("messages");
  return span ? text.slice(span[1], span[2]) : "";
}

/** Reads a parsed body and its bytes as a chat. Throws an error that names the client's own field. */
export function readMessages(body: unknown, source: Source, { counts, dropHosted }: ReadOptions): MessagesRequest {
  if (!isObject(body)) throw new GatewayError("invalid_request", "The request body must be a JSON object.");
  checkFields(body, counts);
  const warnings = Object.keys(body).flatMap((key) => (isGiven(body[key]) && decisionOf(key) === "leftOut" ? [`"${key}" left out`] : []));
  const messages = [...systemOf(body["system"]), ...messagesOf(body["messages"], messagesText(source))];
  if (messages.length === 0) invalid("messages", "nothing in it can be sent to a model");
  const tools = toolsOf(exactly(source, body, "tools"), { dropHosted, warn: (warning) => warnings.push(warning) });
  const config = configOf(exactly(source, body, "output_config"));
  if (isGiven(config["format"]) && isGiven(body["output_format"])) unsupported("output_format", "output_config.format says it already");
  const thinking = thinkingOf(body["thinking"], config, body["max_tokens"]);
  const chat = {
    ...forwarded(source, body),
    messages,
    ...(tools.length > 0 ? { tools } : {}),
    ...toolChoiceOf(body["tool_choice"], tools.length > 0),
    ...thinking.fields,
    ...formatOf(config["format"], "output_config.format"),
    ...formatOf(exactly(source, body, "output_format"), "output_format"),
    ...smallFields(body),
  };
  const read = readSource(Buffer.from(JSON.stringify(chat), "utf8"));
  const { stop_sequences: stops } = body;
  try {
    return {
      request: { ...chatRequest(checkChatBody(read.body), read.source), foreign: { ...foreign, native: nativeOf(body, config) } },
      stops: Array.isArray(stops) ? (stops as readonly string[]) : [],
      showsThinking: thinking.isShown,
      warnings,
    };
  } catch (thrown) {
    throw inOwnWords(toGatewayError(thrown));
  }
}
