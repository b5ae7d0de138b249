import { change, chatRequest, type ChatBody, type ChatRequest, type Source } from "../../../model/request.ts";
import { checkChatBody } from "../check.ts";
import { checkBody, fail, isCount, isObject, isPresent, unsupported, type Json } from "../passage-body.ts";

/** What the OpenAI API takes at once. */
const MOST_PROMPTS = 2048;
/** Chats for one request: as many as `n` may be. */
const MOST_CHATS = 128;

const likeChat = [
  "temperature",
  "top_p",
  "n",
  "stop",
  "max_completion_tokens",
  "frequency_penalty",
  "presence_penalty",
  "logit_bias",
  "seed",
  "stream",
  "stream_options",
  "user",
] as const;

/** Of a chat, whose answers a text completion can not say. */
const chatOnly = ["tools", "tool_choice", "functions", "function_call", "audio", "modalities", "top_logprobs"] as const;

export interface TextAsked {
  /** The client's body, for a server that completes text by itself. */
  readonly request: ChatRequest;
  /** How many prompts there are. */
  readonly prompts: number;
  /** The prompts; undefined for tokens. */
  readonly texts: readonly string[] | undefined;
  /** Answers to each prompt. */
  readonly n: number;
  /** How many alternatives to each token; undefined for no log-probabilities. */
  readonly top: number | undefined;
}

function isTokens(value: unknown): boolean {
  return Array.isArray(value) && value.length > 0 && value.every((token) => isCount(token, 0));
}

function readPrompt({ prompt, messages }: Json): { readonly count: number; readonly texts: readonly string[] | undefined } {
  if (!isPresent(prompt)) {
    if (isPresent(messages)) fail("prompt", "this is /v1/completions; a body with `messages` belongs to /v1/chat/completions");
    fail("prompt", "it is required");
  }
  if (typeof prompt === "string") return { count: 1, texts: [prompt] };
  if (!Array.isArray(prompt) || prompt.length === 0) fail("prompt", "expected a string, an array of strings, or arrays of tokens");
  if (isTokens(prompt)) return { count: 1, texts: undefined };
  const rows: readonly unknown[] = prompt;
  if (rows.every((row) => typeof row === "string")) return { count: rows.length, texts: rows };
  const wrong = rows.findIndex((row) => !isTokens(row));
  if (wrong >= 0) fail(`prompt[${wrong}]`, "expected strings alone, or arrays of tokens alone");
  return { count: rows.length, texts: undefined };
}

function checkNumbers(body: Json, n: number): void {
  const { max_tokens: tokens, logprobs, best_of: best } = body;
  if (isPresent(tokens) && !isCount(tokens, 0)) fail("max_tokens", "expected an integer of at least 0");
  if (isPresent(logprobs) && (!isCount(logprobs, 0) || logprobs > 5)) fail("logprobs", "expected an integer from 0 to 5");
  if (isPresent(best) && (!isCount(best, 1) || best > 20)) fail("best_of", "expected an integer from 1 to 20");
  if (isCount(best, 1) && best < n) fail("best_of", "expected at least n");
  if (isCount(best, 1) && best > 1 && best > n && body["stream"] === true) fail("best_of", "a stream can not be the best of several");
}

/** Reads the body of a text completion. Throws `invalid_request` with `param`; unknown fields travel. */
export function readText(parsed: unknown, source: Source): TextAsked {
  const body = checkBody(parsed, likeChat);
  const { count, texts } = readPrompt(body);
  const { n: wanted, stream, stream_options: options, echo, suffix } = body;
  const n = isCount(wanted, 1) ? wanted : 1;
  checkNumbers(body, n);
  if (isPresent(echo) && typeof echo !== "boolean") fail("echo", "expected a boolean");
  if (isPresent(suffix) && typeof suffix !== "string") fail("suffix", "expected a string");
  if (isObject(options) && stream !== true) fail("stream_options", "it needs stream: true");
  const told = isObject(options) ? options["include_usage"] : undefined;
  if (isPresent(told) && typeof told !== "boolean") fail("stream_options.include_usage", "expected a boolean");
  if (count > MOST_PROMPTS) fail("prompt", `expected at most ${MOST_PROMPTS} prompts`);
  // Limits count answers; what goes out is the client's bytes.
  const inner = { ...body, messages: [], n: count * n } as unknown as ChatBody;
  const { logprobs: top } = body;
  return { request: chatRequest(inner, source), prompts: count, texts, n, top: isCount(top, 0) ? top : undefined };
}

/** What a chat can not do with a prompt. */
function refuseNative(body: Json, n: number, name: string): void {
  const why = `'${name.slice(0, 200)}' answers as a chat, and only a server that completes text by itself can do this`;
  const { suffix, echo, best_of: best, max_tokens: tokens } = body;
  if (isPresent(suffix) && suffix !== "") unsupported("suffix", why);
  if (echo === true) unsupported("echo", why);
  if (isCount(best, n + 1)) unsupported("best_of", why);
  if (tokens === 0) unsupported("max_tokens", why);
  for (const field of chatOnly)
    if (isPresent(body[field])) unsupported(field, "the answer of this endpoint is text alone; use /v1/chat/completions");
}

/** One chat for each prompt: the prompt as what the user says, all else as it was. Throws by name what a chat can not say. */
export function toChats({ request, texts, n, top }: TextAsked, name: string): readonly ChatRequest[] {
  const { source } = request;
  const { n: _, ...body } = request.body;
  refuseNative(body, n, name);
  if (!texts) unsupported("prompt", `'${name.slice(0, 200)}' answers as a chat, which takes text and no tokens`);
  if (texts.length * n > MOST_CHATS)
    unsupported("prompt", `'${name.slice(0, 200)}' answers each prompt as a chat, and takes at most ${MOST_CHATS} in a request`);
  const own = chatRequest(n === 1 ? body : { ...body, n }, source);
  const edits = {
    prompt: undefined,
    suffix: undefined,
    echo: undefined,
    best_of: undefined,
    logprobs: top === undefined ? undefined : true,
    top_logprobs: top,
  };
  const chats = texts.map((content) => change(own, { ...edits, messages: [{ role: "user", content }] }));
  checkChatBody(chats[0]?.body);
  return chats;
}
