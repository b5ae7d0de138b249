/**
 * What conformant answers look like on the wire, by the rules that real clients enforce (conformance: OV, EV, ACC). Each check returns what it
 * found wrong, so that a test reads `expect(validateStream(...)).toEqual([])` and a failure says all of it.
 */

export interface StreamRules {
  /** Whether `stream_options.include_usage` was asked for. */
  readonly usage: boolean;
  /** How the stream is to end: complete, or cut with an error frame and no [DONE]. */
  readonly end?: "done" | "error";
  /** Further checks of each chunk, such as a schema. */
  readonly chunk?: (chunk: Fields) => readonly string[];
}

type Fields = Readonly<Record<string, unknown>>;

const reasons: ReadonlySet<unknown> = new Set(["stop", "length", "tool_calls", "content_filter", "function_call"]);

function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // Told by undefined, which is no JSON value.
    return undefined;
  }
}

/** The text of UTF-8 bytes; throws for others. A byte order mark stays, as it does for clients that choke on it. */
function decode(bytes: Uint8Array | string): string {
  return typeof bytes === "string" ? bytes : new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
}

/** Checks a whole event stream of a chat completion (OV). Empty when nothing is wrong. */
export function validateStream(bytes: Uint8Array | string, rules: StreamRules): readonly string[] {
  let text: string;
  try {
    text = decode(bytes);
  } catch {
    return ["it is not UTF-8"];
  }
  const found: string[] = [];
  const datas = readDatas(text, found);
  checkEnd(text, datas, { rules, found });
  const check = new StreamCheck(rules, found);
  for (const [at, data] of datas.entries()) {
    const isLast = at === datas.length - 1;
    if (data === "[DONE]" || (isLast && rules.end === "error")) continue;
    const chunk = parsed(data);
    if (isFields(chunk)) check.chunk(chunk);
    else found.push(`data is no JSON object: ${data.slice(0, 60)}`);
  }
  if (rules.end !== "error") check.end();
  return found;
}

/** The data of each event. Notes lines that clients do not survive. */
function readDatas(text: string, found: string[]): readonly string[] {
  const datas: string[] = [];
  let data: string[] = [];
  let isOpen = false;
  // Behind the last line break there is a line only if there is text.
  const lines = text.replace(/\r\n$|\n$|\r$/, "").split(/\r\n|\n|\r/);
  for (const line of lines) {
    if (line === "") {
      if (isOpen && data.length === 0) found.push("an event without data");
      if (data.length > 0) datas.push(data.join("\n"));
      data = [];
      isOpen = false;
    } else if (line.startsWith("data:")) {
      data.push(line.slice(line.startsWith("data: ") ? 6 : 5));
      isOpen = true;
    } else if (line.startsWith("event:")) isOpen = true;
    else if (!line.startsWith(":")) found.push(`a line that is not data:, event: or a comment: ${line.slice(0, 60)}`);
  }
  if (isOpen) found.push("the last event has no blank line after it");
  return datas;
}

function checkEnd(
  text: string,
  datas: readonly string[],
  { rules, found }: { readonly rules: StreamRules; readonly found: string[] },
): void {
  const dones = datas.filter((data) => data === "[DONE]").length;
  if (rules.end === "error") {
    if (dones > 0) found.push("[DONE] after an error");
    const last = parsed(datas.at(-1) ?? "");
    found.push(...(isFields(last) && isFields(last["error"]) ? checkErrorBody(last) : ["the last frame is no error"]));
    if (isFields(last) && "choices" in last) found.push("the error frame has choices");
    return;
  }
  if (dones !== 1) found.push(`[DONE] stands ${dones} times`);
  if (dones === 1 && datas.at(-1) !== "[DONE]") found.push("there is data after [DONE]");
  if (!text.endsWith("data: [DONE]\n\n")) found.push("the last bytes are not [DONE] and a blank line");
}

interface ChoiceState {
  role: boolean;
  ended: boolean;
  cut: boolean;
  readonly calls: { readonly custom: boolean; text: string }[];
}

/** Follows one stream, chunk by chunk. */
class StreamCheck {
  readonly #rules: StreamRules;
  readonly #found: string[];
  readonly #choices = new Map<unknown, ChoiceState>();
  #identity: string | undefined;
  #usageAt = -1;
  #chunks = 0;

  constructor(rules: StreamRules, found: string[]) {
    this.#rules = rules;
    this.#found = found;
  }

  chunk(chunk: Fields): void {
    this.#chunks += 1;
    this.#checkHead(chunk);
    this.#checkUsage(chunk);
    this.#found.push(...(this.#rules.chunk?.(chunk) ?? []));
    for (const choice of listOf(chunk["choices"])) {
      if (isFields(choice)) this.#choice(choice);
      else this.#found.push("a choice is no object");
    }
  }

  end(): void {
    const { usage } = this.#rules;
    if (this.#choices.size === 0) this.#found.push("there is no choice");
    for (const [index, state] of this.#choices) {
      if (!state.role) this.#found.push(`choice ${String(index)} has no role`);
      if (!state.ended) this.#found.push(`choice ${String(index)} has no finish_reason`);
      for (const { custom, text } of state.calls) {
        if (!custom && !state.cut && parsed(text) === undefined) this.#found.push(`arguments are no JSON: ${text.slice(0, 60)}`);
      }
    }
    if (usage && this.#usageAt < 0) this.#found.push("the usage chunk is missing");
    if (usage && this.#usageAt >= 0 && this.#usageAt !== this.#chunks) this.#found.push("the usage chunk is not the last");
  }

  #checkHead(chunk: Fields): void {
    const { id, object, created, model, choices } = chunk;
    const found = this.#found;
    if (typeof id !== "string" || id === "") found.push("id is no text");
    if (object !== "chat.completion.chunk") found.push("object is not chat.completion.chunk");
    if (!Number.isInteger(created)) found.push("created is no integer");
    if (typeof model !== "string" || model === "") found.push("model is no text");
    if (!Array.isArray(choices)) found.push("choices is no list");
    if ("error" in chunk) found.push("a chunk has the key error");
    const identity = JSON.stringify([id, created, model]);
    this.#identity ??= identity;
    if (identity !== this.#identity) found.push("id, created or model changes");
  }

  #checkUsage(chunk: Fields): void {
    const { usage } = chunk;
    if (!this.#rules.usage && "usage" in chunk) this.#found.push("a chunk has a usage that was not asked for");
    if (usage === undefined || usage === null) {
      if (listOf(chunk["choices"]).length === 0) this.#found.push("a chunk without choices is no usage chunk");
      return;
    }
    if (this.#usageAt >= 0) this.#found.push("there are two usage chunks");
    this.#usageAt = this.#chunks;
    if (listOf(chunk["choices"]).length > 0) this.#found.push("the usage chunk has choices");
    this.#found.push(...checkUsage(usage));
  }

  #choice(choice: Fields): void {
    const { index, delta, finish_reason: reason, logprobs } = choice;
    const found = this.#found;
    if (!Number.isInteger(index)) found.push("a choice has no index");
    if (this.#choices.size === 0 && index !== 0) found.push("the first choice is not that with index 0");
    const state = this.#choices.get(index) ?? { role: false, ended: false, cut: false, calls: [] };
    this.#choices.set(index, state);
    if (logprobs !== undefined && logprobs !== null && !isFields(logprobs)) found.push("logprobs is no object");
    if (isFields(delta)) this.#delta(delta, state);
    else found.push("a choice has no delta");
    if (reason === null) return;
    if (!reasons.has(reason)) found.push(`finish_reason is ${JSON.stringify(reason)}`);
    if (state.ended) found.push(`choice ${String(index)} has two finish_reasons`);
    state.ended = true;
    state.cut = reason === "length";
  }

  #delta(delta: Fields, state: ChoiceState): void {
    const found = this.#found;
    if (state.ended && Object.values(delta).some((value) => value !== null && value !== ""))
      found.push("there is content after a finish_reason");
    if ("role" in delta) {
      if (state.role) found.push("a role stands twice");
      if (delta["role"] !== "assistant") found.push("a role is not assistant");
      state.role = true;
    } else if (!state.role && Object.keys(delta).length > 0) found.push("there is content before the role");
    for (const key of ["content", "refusal", "reasoning", "reasoning_content"]) {
      const value = delta[key];
      if (value !== undefined && value !== null && typeof value !== "string") found.push(`${key} is no text`);
    }
    for (const call of listOf(delta["tool_calls"])) {
      if (isFields(call)) this.#toolCall(call, state);
      else found.push("a tool call is no object");
    }
  }

  /** Calls come one after another, numbered from 0; what names a call stands in its first fragment and nowhere else. */
  #toolCall(call: Fields, { calls }: ChoiceState): void {
    const found = this.#found;
    const { index, id, type } = call;
    const custom = isFields(call["custom"]);
    const body = isFields(call["function"]) ? call["function"] : isFields(call["custom"]) ? call["custom"] : {};
    const text = body["arguments"] ?? body["input"];
    if (text !== undefined && typeof text !== "string") found.push("arguments are no text");
    const piece = typeof text === "string" ? text : "";
    if (index === calls.length) {
      if (typeof id !== "string" || id === "") found.push(`tool call ${index} has no id`);
      if (type !== "function" && type !== "custom") found.push(`tool call ${index} has no type`);
      if (typeof body["name"] !== "string" || body["name"] === "") found.push(`tool call ${index} has no name`);
      if (text === undefined) found.push(`tool call ${index} starts without arguments`);
      calls.push({ custom, text: piece });
      return;
    }
    const last = calls.at(-1);
    if (!last || index !== calls.length - 1) {
      found.push(
        typeof index === "number" && index < calls.length
          ? "tool calls are interleaved"
          : `the index of a tool call is ${JSON.stringify(index)}`,
      );
      return;
    }
    if ("id" in call || "type" in call || "name" in body) found.push(`tool call ${index} is named twice`);
    last.text += piece;
  }
}

function checkUsage(usage: unknown): readonly string[] {
  if (!isFields(usage)) return ["usage is no object"];
  const { prompt_tokens: prompt, completion_tokens: completion, total_tokens: total } = usage;
  if (![prompt, completion, total].every(Number.isInteger)) return ["usage lacks a count"];
  return Number(prompt) + Number(completion) === total ? [] : ["total_tokens is not the sum"];
}

/** What no error may tell a client. */
const leaks: readonly (readonly [RegExp, string])[] = [
  [/<\/?[a-z!][^>]*>/i, "HTML"],
  [/\n\s+at |\bat \S+ \(|node:internal|\.[cm]?[jt]s:\d+/, "a stack"],
  [/(?:^|[\s"'(])\/(?:home|root|usr|opt|var|tmp|app|work|src|etc)\//, "a path"],
  [/\b(?:\d{1,3}\.){3}\d{1,3}\b|\blocalhost\b|\bhttps?:\/\//i, "a host"],
  [/\bsk-[\w-]{6,}|\bAIza[\w-]{10,}|\bbearer [\w.-]{8,}/i, "a key"],
];

function checkErrorBody(body: Fields, secrets: readonly string[] = []): readonly string[] {
  const { error } = body;
  if (!isFields(error)) return ["there is no error object"];
  const found: string[] = [];
  const { message, type, param, code } = error;
  if (typeof message !== "string" || message === "") found.push("message is no text");
  if (typeof type !== "string") found.push("type is no text");
  for (const [name, value] of Object.entries({ param, code }))
    if (value !== null && typeof value !== "string") found.push(`${name} is neither text nor null`);
  const more = Object.keys(error).filter((key) => !["message", "type", "param", "code"].includes(key));
  if (more.length > 0) found.push(`the error has further keys: ${more.join(", ")}`);
  const told = typeof message === "string" ? message : "";
  for (const [pattern, what] of leaks) if (pattern.test(told)) found.push(`message tells ${what}`);
  for (const secret of secrets) if (told.includes(secret)) found.push(`message tells ${secret}`);
  return found;
}

/** Headers as `fetch`, `node:http` or a plain object have them. */
export type AnyHeaders = Headers | Readonly<Record<string, string | readonly string[] | number | undefined>>;

function headerOf(headers: AnyHeaders, name: string): string {
  if (headers instanceof Headers) return headers.get(name) ?? "";
  const entry = Object.entries(headers).find(([key]) => key.toLowerCase() === name);
  return entry?.[1] === undefined ? "" : String(entry[1]);
}

/** Checks an error response (EV). `body` is its text, or what that was parsed to; `secrets` are texts that it must not hold, such as the upstream's host. */
export function validateError(body: unknown, headers: AnyHeaders, secrets: readonly string[] = []): readonly string[] {
  const found: string[] = [];
  if (!headerOf(headers, "content-type").startsWith("application/json")) found.push("content-type is not application/json");
  if (headerOf(headers, "x-request-id") === "") found.push("x-request-id is missing");
  const value = body instanceof Uint8Array ? parsed(decode(body)) : typeof body === "string" ? parsed(body) : body;
  return [...found, ...(isFields(value) ? checkErrorBody(value, secrets) : ["the body is no JSON object"])];
}

type Mutable = Record<string, unknown>;

/** A streamed answer as openai-python's helper has it at the end. */
export interface Accumulated {
  readonly id: unknown;
  readonly choices: readonly {
    readonly index: number;
    readonly message: Fields;
    readonly finish_reason: unknown;
    readonly logprobs?: unknown;
  }[];
  readonly usage?: unknown;
  readonly [field: string]: unknown;
}

/** Folds a stream as `.stream()` of openai-python 3.54 does (ACC), and throws where it throws: of all clients it forgives the least, and says twice what it is sent twice. */
export function accumulate(bytes: Uint8Array | string): Accumulated {
  let snapshot: Mutable | undefined;
  for (const data of pythonEvents(decode(bytes))) {
    if (data.startsWith("[DONE]")) break;
    const chunk = JSON.parse(data) as Mutable;
    if (chunk["error"]) throw new Error(`APIError: ${JSON.stringify(chunk["error"])}`);
    if (chunk["object"] !== "chat.completion.chunk") continue;
    if (snapshot) addChunk(snapshot, chunk);
    else snapshot = firstSnapshot(chunk);
  }
  if (!snapshot) throw new Error("the stream has no chunk");
  return snapshot as unknown as Accumulated;
}

/** The data of each event as its SSE decoder dispatches it: an id once seen stays, and makes an event of every blank line; a tail without one is dropped. */
function pythonEvents(text: string): readonly string[] {
  const datas: string[] = [];
  let data: string[] = [];
  let pending = false;
  let lastId = "";
  const lines = text.split(/\r\n|\n|\r/);
  for (const line of lines.slice(0, -1)) {
    if (line === "") {
      if (pending || data.length > 0 || lastId !== "") datas.push(data.join("\n"));
      data = [];
      pending = false;
      continue;
    }
    if (line.startsWith(":")) continue;
    const [, field = "", value = ""] = /^([^:]*):? ?(.*)$/s.exec(line) ?? [];
    if (field === "data") data.push(value);
    else if (field === "id" && !value.includes("\0")) lastId = value;
    else if (field === "event") pending ||= value !== "";
    else if (field === "retry") pending ||= /^\s*\d+\s*$/.test(value);
  }
  return datas;
}

function choicesOf(chunk: Mutable): Mutable[] {
  if (!Array.isArray(chunk["choices"])) throw new TypeError("choices is not iterable");
  return chunk["choices"] as Mutable[];
}

function toChoice({ delta, ...choice }: Mutable): Mutable {
  return { ...choice, message: addDelta({}, delta as Mutable) };
}

function firstSnapshot(chunk: Mutable): Mutable {
  const choices: Mutable[] = [...choicesOf(chunk)];
  for (const choice of choicesOf(chunk)) {
    const index = Number(choice["index"]);
    if (index >= choices.length) throw new RangeError("IndexError: list assignment index out of range");
    choices[index] = toChoice(choice);
  }
  const { obfuscation: _, ...rest } = chunk;
  return { ...rest, object: "chat.completion", choices };
}

function addChunk(snapshot: Mutable, chunk: Mutable): void {
  const choices = choicesOf(snapshot);
  for (const choice of choicesOf(chunk)) {
    let known = choices[Number(choice["index"])];
    if (known) known["message"] = addDelta(known["message"] as Mutable, choice["delta"] as Mutable);
    else {
      known = toChoice(choice);
      choices.push(known);
    }
    if (choice["finish_reason"]) known["finish_reason"] = choice["finish_reason"];
    for (const call of listOf((choice["delta"] as Mutable)["tool_calls"]) as Mutable[]) {
      const calls = listOf((known["message"] as Mutable)["tool_calls"]);
      if (!calls[Number(call["index"])]) throw new RangeError("IndexError: list index out of range");
    }
    addLogprobs(known, choice["logprobs"]);
  }
  snapshot["usage"] = chunk["usage"];
  snapshot["system_fingerprint"] = chunk["system_fingerprint"];
}

function addLogprobs(choice: Mutable, more: unknown): void {
  if (!isFields(more)) return;
  const known = isFields(choice["logprobs"]) ? choice["logprobs"] : {};
  const joined = (key: string) => (known[key] || more[key] ? [...listOf(known[key]), ...listOf(more[key])] : null);
  choice["logprobs"] = { content: joined("content"), refusal: joined("refusal") };
}

/** Texts and numbers add up, `index` and `type` are replaced, lists are merged by the index of their items. */
function addDelta(known: Mutable, delta: Mutable): Mutable {
  const sum = { ...known };
  for (const [key, value] of Object.entries(delta)) {
    const before = sum[key] ?? (hasIndexed(value) ? [] : undefined);
    if (before === undefined || key === "index" || key === "type") sum[key] = structuredClone(value);
    else if (typeof before === "string" && typeof value === "string") sum[key] = before + value;
    else if (typeof before === "number" && typeof value === "number") sum[key] = before + value;
    else if (isFields(before) && isFields(value)) sum[key] = addDelta(before, value);
    else if (Array.isArray(before) && Array.isArray(value)) sum[key] = addItems(before, value);
  }
  return sum;
}

function hasIndexed(value: unknown): boolean {
  return listOf(value).some((entry) => isFields(entry) && "index" in entry);
}

function addItems(before: readonly unknown[], more: readonly unknown[]): readonly unknown[] {
  const isPlain = before.every((item) => typeof item === "string" || typeof item === "number");
  if (isPlain && (before.length > 0 || !hasIndexed(more))) return [...before, ...more];
  const items = [...before];
  for (const entry of more) {
    if (!isFields(entry)) throw new TypeError("Unexpected list delta entry is not a dictionary");
    const { index } = entry;
    if (index === undefined) throw new Error("RuntimeError: Expected list delta entry to have an `index` key");
    if (!Number.isInteger(index)) throw new TypeError("Unexpected, list delta entry `index` value is not an integer");
    const at = Number(index);
    const known = items[at];
    if (known === undefined) items.splice(at, 0, structuredClone(entry));
    else if (isFields(known)) items[at] = addDelta(known, entry);
    else throw new TypeError("not handled yet");
  }
  return items;
}
