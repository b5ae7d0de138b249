import { isAscii } from "node:buffer";
import { decodeKey, scanJsonObject, skipSpace, type JsonScan } from "./json-scan.ts";
import { latin1Json, latin1Quoted } from "./latin1.ts";

/** A message in the wire's own shape: members get the client's list unchanged, so nothing here is re-modelled. */
export interface Message {
  readonly role: string;
  readonly content?: unknown;
  readonly [field: string]: unknown;
}

/** The request body in the wire's own shape. Known fields are typed where the gateway reads them; unknown ones travel. */
export interface ChatBody {
  readonly model: string;
  readonly messages: readonly Message[];
  readonly stream?: boolean | null;
  readonly n?: number | null;
  readonly seed?: number | null;
  readonly temperature?: number | null;
  readonly max_tokens?: number | null;
  readonly max_completion_tokens?: number | null;
  readonly logprobs?: boolean | null;
  readonly top_logprobs?: number | null;
  readonly tools?: readonly unknown[] | null;
  readonly tool_choice?: unknown;
  readonly functions?: readonly unknown[] | null;
  readonly response_format?: {
    readonly type?: string;
    readonly json_schema?: Readonly<Record<string, unknown>>;
  } | null;
  readonly stream_options?: { readonly include_usage?: boolean | null } | null;
  readonly [field: string]: unknown;
}

/** The bytes that a body was parsed from, with the place of each top-level value. */
export interface Source {
  readonly buffer: Buffer;
  /** The latin1 reading of the buffer. */
  readonly text: string;
  readonly scan: JsonScan;
}

/** Its text is read anew for who edits: kept, each waiting request would hold its body once more. */
class BytesRead implements Source {
  readonly buffer: Buffer;
  readonly scan: JsonScan;

  constructor(buffer: Buffer, scan: JsonScan) {
    this.buffer = buffer;
    this.scan = scan;
  }

  get text(): string {
    return this.buffer.toString("latin1");
  }
}

/** Names of what a request of another API brought along for leaves of that API. Servers that refuse what they do not know get none of it. */
export interface Foreign {
  /** Of the body. */
  readonly fields: readonly string[];
  /** Of messages, their parts and calls, and of tools. */
  readonly inner: readonly string[];
  /** Fields in the words of that API, where the body has them in others that say less. They are no part of the body: no other server gets them. */
  readonly native?: Readonly<Record<string, unknown>>;
}

/**
 * A chat request: a parsed body, and the client's own bytes with the edits made since. What no edit names is forwarded byte for byte, so
 * digits beyond 2^53, key order and unknown fields survive every strategy.
 */
export interface ChatRequest {
  readonly body: ChatBody;
  readonly source: Source;
  /** Top-level keys that differ from `source`; undefined means removed. */
  readonly edits: Readonly<Record<string, unknown>>;
  readonly foreign?: Foreign;
}

/** A key of a scan over latin1 text. Its UTF-8 is read before its escapes: both may stand in one key. */
function decodeUtf8Key(raw: string): string {
  return decodeKey(Buffer.from(raw, "latin1").toString("utf8"));
}

/**
 * The body as the upstream will read it. V8 takes some keys with escapes for other ones (https://github.com/nodejs/node/issues/63785,
 * open in Node 24 and 26), so that a limit on `n` could be passed by writing it as `\u006e`; then every value is parsed by itself.
 */
function checkedBody(body: unknown, { buffer, scan }: Source): unknown {
  if (typeof body !== "object" || body === null) return body;
  for (const key of scan.spans.keys()) {
    if (Object.hasOwn(body, key)) continue;
    const values = [...scan.spans].map(([name, [, from, to]]) => [name, JSON.parse(buffer.toString("utf8", from, to))] as const);
    return Object.fromEntries(values);
  }
  return body;
}

/** Reads a body's bytes. Throws a SyntaxError for what is not JSON; the caller checks that `body` is what it wants. */
export function readSource(buffer: Buffer): { readonly body: unknown; readonly source: Source } {
  const text = buffer.toString("latin1");
  const ascii = isAscii(buffer);
  const body: unknown = JSON.parse(ascii ? text : buffer.toString("utf8"));
  const source = new BytesRead(buffer, ascii ? scanJsonObject(text) : scanJsonObject(text, decodeUtf8Key));
  return { body: checkedBody(body, source), source };
}

/** The edits of a request that nobody has changed. */
const untouched: ChatRequest["edits"] = Object.freeze({});

/** A request over bytes that were read and checked. */
export function chatRequest(body: ChatBody, source: Source): ChatRequest {
  return { body, source, edits: untouched };
}

/** A copy without a field: an object from which one was deleted is slow for everybody who reads it later. */
function without(body: Readonly<Record<string, unknown>>, field: string): Record<string, unknown> {
  const { [field]: _, ...rest } = body;
  return rest;
}

/** A copy with some top-level fields replaced; a field set to undefined is removed. The only way to alter a request. */
export function change(request: ChatRequest, edits: Readonly<Record<string, unknown>>): ChatRequest {
  let body: Record<string, unknown> = { ...request.body };
  for (const [key, value] of Object.entries(edits)) {
    if (value === undefined) body = without(body, key);
    else body[key] = value;
  }
  const { source, foreign } = request;
  const changed = { body: body as ChatBody, source, edits: { ...request.edits, ...edits } };
  return foreign ? { ...changed, foreign } : changed;
}

/** A request made by a strategy from a body of its own, without client bytes behind it. */
export function ownRequest(body: ChatBody): ChatRequest {
  return chatRequest(body, readSource(Buffer.from(JSON.stringify(body))).source);
}

/** Where the next member begins behind a value that ends at `end`; the place of the closing brace when there is none. */
function nextMember(text: string, end: number): number {
  const after = skipSpace(text, end);
  return text[after] === "," ? skipSpace(text, after + 1) : after;
}

/** Text without the comma and the white space that stood before a last member. */
function withoutComma(text: string): string {
  const end = text.trimEnd();
  return end.endsWith(",") ? end.slice(0, -1) : end;
}

/** The client's text with values replaced in place, members left out, and new members in front; the rest stays as it was to the byte. */
function spliced(source: Source, edits: Readonly<Record<string, unknown>>): string {
  const { text, scan } = source;
  const open = text.indexOf("{") + 1;
  let out = text.slice(0, open);
  const added: string[] = [];
  for (const key in edits) {
    if (edits[key] !== undefined && !scan.spans.has(key)) added.push(`${latin1Json(key)}:${latin1Json(edits[key])}`);
  }
  if (added.length > 0) out += added.join(",") + (scan.keys > 0 ? "," : "");
  let at = open;
  let leftLast = false;
  for (const [key, [from, value, to]] of scan.spans) {
    leftLast = false;
    if (!Object.hasOwn(edits, key)) continue;
    if (edits[key] !== undefined) {
      out += text.slice(at, value) + latin1Json(edits[key]);
      at = to;
      continue;
    }
    out += text.slice(at, from);
    at = nextMember(text, to);
    leftLast = true;
  }
  const rest = text.slice(at);
  return (leftLast ? withoutComma(out) : out) + rest;
}

/** The client's own bytes for another model: all that most requests need. */
export function renamedBytes({ source }: ChatRequest, model: string): Buffer {
  const { buffer, scan } = source;
  const [, from, to] = scan.spans.get("model") ?? [0, 0, 0];
  const name = latin1Quoted(model);
  const out = Buffer.allocUnsafe(buffer.length - (to - from) + name.length);
  buffer.copy(out, 0, 0, from);
  out.write(name, from, "latin1");
  buffer.copy(out, from + name.length, to);
  return out;
}

/** True when `renamedBytes` says all that there is to say: nothing was edited, and the field of the gateway itself is not there. */
export function isUntouched({ edits, source }: ChatRequest): boolean {
  const { spans } = source.scan;
  return edits === untouched && spans.has("model") && !spans.has("chorale");
}

/**
 * Writes a request as bytes: the client's own, with only the edited top-level values replaced, removed or added.
 * `extra` are edits of the leaf (the upstream's model name, dialect data) on top of the request's own.
 */
export function requestBytes(request: ChatRequest, extra: Readonly<Record<string, unknown>>): Buffer {
  const { source } = request;
  const edits = request.edits === untouched ? extra : { ...request.edits, ...extra };
  return Buffer.from(spliced(source, edits), "latin1");
}
