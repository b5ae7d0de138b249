/** A scripted upstream on real sockets. Everything that a test wants an upstream to do wrong is here; so are all delays. */
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from "node:http";
import { connect, createServer as createTcpServer, type AddressInfo, type Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { constants, createBrotliCompress, createGzip } from "node:zlib";

/** One request as it came in. Times are those of `performance.now()`. */
interface UpstreamRequest {
  readonly method: string;
  /** With its query. */
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  /** The body's bytes as they came. */
  readonly body: Buffer;
  /** The body parsed. Throws when it is not JSON. */
  readonly json: Readonly<Record<string, unknown>>;
  /** From the body, else from a path such as `/models/<name>:generate`. */
  readonly model: string | undefined;
  readonly atMs: number;
  /** Number of the connection, from 0: two requests with the same one shared it. */
  readonly connection: number;
  /** When each write of the answer was made, the head not counted. */
  readonly writesMs: readonly number[];
  /** Resolves when the socket closes, whoever closed it; on a kept-alive connection that is long after the answer. */
  readonly closed: Promise<SocketClose>;
}

interface SocketClose {
  readonly atMs: number;
  /** The answer had been written to its end before. False is what a cancelled leg looks like. */
  readonly complete: boolean;
}

/** What a script works with: the request, the raw response, and waiting that ends with the socket. */
interface Exchange {
  readonly request: UpstreamRequest;
  readonly response: ServerResponse;
  readonly socket: Socket;
  /** Aborted when the socket closes. */
  readonly signal: AbortSignal;
  /** Waits; false when the socket closed first. */
  wait(ms: number): Promise<boolean>;
  /** Writes bytes of the body and notes the time; false when the socket is closed. Waits for a slow reader. */
  write(bytes: string | Uint8Array): Promise<boolean>;
}

/** What the upstream does with one request. Returning without an end leaves the connection hanging. */
export type Script = (exchange: Exchange) => void | Promise<void>;

/** By the body's `model`, or by `METHOD /path`; `*` is for what nothing else names. Of a list each request takes one, the last repeats. */
export type Scripts = Readonly<Record<string, Script | readonly [Script, ...Script[]]>>;

export interface Upstream extends AsyncDisposable {
  /** Up to and with `/v1`. */
  readonly url: string;
  readonly origin: string;
  readonly port: number;
  /** In the order of their arrival; a request is here when its body is complete. */
  readonly requests: readonly UpstreamRequest[];
  /** Connections open now. */
  readonly open: number;
  /** Connections that were ever made. */
  readonly connections: number;
  /** The request with this index, as soon as it is here. */
  request(index: number): Promise<UpstreamRequest>;
  /** Replaces the scripts of some names. */
  script(scripts: Scripts): void;
  /** Closes the listener and every socket. */
  close(): Promise<void>;
}

/** What vitest's `onTestFinished` and `afterAll` take. */
export type OnFinished = (close: () => Promise<void>) => void;

/** Starts an upstream on a free port of 127.0.0.1. `GET /v1/models` lists the scripts; a name without one is a 404 of the OpenAI shape. */
export async function startUpstream(scripts: Scripts = {}, onFinished?: OnFinished): Promise<Upstream> {
  const known = new Map(Object.entries(scripts));
  const taken = new Map<string, number>();
  const requests: UpstreamRequest[] = [];
  const arrivals = new Set<() => void>();
  const sockets = new Map<Socket, number>();
  let connections = 0;

  const next = (name: string): Script | undefined => {
    const found = known.get(name);
    if (typeof found !== "object") return found;
    const turn = taken.get(name) ?? 0;
    taken.set(name, turn + 1);
    return found[Math.min(turn, found.length - 1)];
  };
  const scriptOf = ({ method, path, model }: UpstreamRequest): Script => {
    const route = `${method} ${path.split("?", 1)[0]}`;
    const own = next(route);
    if (own) return own;
    if (route === "GET /v1/models") return json(200, modelList([...known.keys()].filter((name) => name !== "*" && !name.includes(" "))));
    const script = (model === undefined ? undefined : next(model)) ?? next("*");
    if (script) return script;
    return json(404, errorJson(`The upstream has no script for "${model ?? route}".`, { code: "model_not_found" }));
  };

  const server = createServer({ keepAliveTimeout: 60_000 }, (incoming, response) => {
    void receive(incoming, response, sockets.get(incoming.socket) ?? -1).then(async (exchange) => {
      if (!exchange) return;
      requests.push(exchange.request);
      for (const arrival of arrivals) arrival();
      try {
        await scriptOf(exchange.request)(exchange);
      } catch (thrown) {
        if (exchange.signal.aborted) return;
        console.error("An upstream script failed:", thrown);
        exchange.socket.destroy();
      }
    });
  });
  server.on("connection", (socket: Socket) => {
    sockets.set(socket, connections);
    connections += 1;
    // Each request of a kept-alive connection listens for its close.
    socket.setMaxListeners(0);
    socket.on("error", () => {});
    socket.once("close", () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));

  const { port } = server.address() as AddressInfo;
  const close = async () => {
    if (!server.listening) return;
    const closed = new Promise((resolve) => server.close(resolve));
    for (const socket of sockets.keys()) socket.destroy();
    await closed;
  };
  onFinished?.(close);
  const origin = `http://127.0.0.1:${port}`;
  return {
    url: `${origin}/v1`,
    origin,
    port,
    requests,
    get open() {
      return sockets.size;
    },
    get connections() {
      return connections;
    },
    request: (index) =>
      new Promise((resolve) => {
        const check = () => {
          const request = requests[index];
          if (!request) return;
          arrivals.delete(check);
          resolve(request);
        };
        arrivals.add(check);
        check();
      }),
    script: (scripts) => {
      for (const [name, script] of Object.entries(scripts)) {
        known.set(name, script);
        taken.delete(name);
      }
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** Reads a request to its end; undefined when the client left before. */
async function receive(incoming: IncomingMessage, response: ServerResponse, connection: number): Promise<Exchange | undefined> {
  const atMs = performance.now();
  const { socket } = incoming;
  const closing = new AbortController();
  const closed = new Promise<SocketClose>((resolve) => {
    socket.once("close", () => {
      resolve({ atMs: performance.now(), complete: response.writableFinished });
      closing.abort();
    });
  });
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of incoming as AsyncIterable<Buffer>) chunks.push(chunk);
  } catch {
    // The client closed its socket while it wrote the body: there is no request to record.
    return undefined;
  }
  const writesMs: number[] = [];
  const { method = "", url: path = "", headers } = incoming;
  const request = toRequest({ method, path, headers, body: Buffer.concat(chunks), atMs, connection, writesMs, closed });
  const { signal } = closing;
  const wait = (ms: number) => delay(ms, true, { signal }).catch(() => false);
  const write = async (bytes: string | Uint8Array) => {
    if (signal.aborted || response.destroyed) return false;
    writesMs.push(performance.now());
    if (response.write(bytes)) return true;
    return new Promise<boolean>((resolve) => {
      response.once("drain", () => resolve(true));
      signal.addEventListener("abort", () => resolve(false), { once: true });
    });
  };
  return { request, response, socket, signal, wait, write };
}

function toRequest(request: Omit<UpstreamRequest, "json" | "model">): UpstreamRequest {
  const parsed = () => JSON.parse(request.body.toString("utf8")) as Readonly<Record<string, unknown>>;
  return {
    ...request,
    model: modelOf(request.path, parsed),
    get json() {
      return parsed();
    },
  };
}

function modelOf(path: string, parsed: () => Readonly<Record<string, unknown>>): string | undefined {
  const inPath = /\/models?\/([^/:?]+)/.exec(path)?.[1];
  if (inPath !== undefined) return decodeURIComponent(inPath);
  try {
    const { model } = parsed();
    return typeof model === "string" ? model : undefined;
  } catch {
    // A body that is no JSON names no model.
    return undefined;
  }
}

/** A piece of a body, or a pause before the next, in milliseconds. */
export type Write = string | Uint8Array | number;

export interface Answer {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly writes?: readonly Write[];
  /** A pause before each write, milliseconds. */
  readonly everyMs?: number;
  /** Cuts the bytes of all writes anew: after every so many, or at these offsets. */
  readonly split?: number | readonly number[];
  /** Encodes the body; each write is flushed through the encoder. */
  readonly encoding?: "gzip" | "br";
  /** How it ends: as HTTP does; not at all; by a closed socket in mid body; by a reset one. */
  readonly ending?: "whole" | "stall" | "cut" | "reset";
}

/** The script under all others: a head and writes, with pauses, split anywhere, ended in any way. */
export function answer({ status = 200, headers = {}, writes = [], everyMs = 0, split, encoding, ending = "whole" }: Answer): Script {
  return async (exchange) => {
    const { response, socket } = exchange;
    response.writeHead(status, encoding === undefined ? headers : { ...headers, "content-encoding": encoding });
    response.flushHeaders();
    for await (const piece of encoded(split === undefined ? writes : splitAt(writes, split), encoding)) {
      const pause = typeof piece === "number" ? piece : everyMs;
      if (pause > 0 && !(await exchange.wait(pause))) return;
      if (typeof piece !== "number" && !(await exchange.write(piece))) return;
    }
    if (ending === "stall") return;
    if (ending === "whole") {
      response.end();
      return;
    }
    // A destroyed socket drops what it still holds: the writes shall arrive first.
    while (socket.writableLength > 0 && (await exchange.wait(1)));
    if (ending === "cut") socket.destroy();
    else socket.resetAndDestroy();
  };
}

/** The writes cut anew; pauses are lost. */
function splitAt(writes: readonly Write[], split: number | readonly number[]): readonly Uint8Array[] {
  const bytes = Buffer.concat(writes.filter((write) => typeof write !== "number").map((write) => Buffer.from(write)));
  const every = (size: number) => Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) => i * size);
  const starts = typeof split === "number" ? every(split) : [0, ...split];
  return starts.map((start, i) => bytes.subarray(start, starts[i + 1])).filter((piece) => piece.length > 0);
}

/** The writes through an encoder, each flushed so that its bytes leave when it does. */
async function* encoded(writes: readonly Write[], encoding: Answer["encoding"]): AsyncGenerator<Write> {
  if (encoding === undefined) {
    yield* writes;
    return;
  }
  const encoder =
    encoding === "gzip" ? createGzip({ flush: constants.Z_SYNC_FLUSH }) : createBrotliCompress({ flush: constants.BROTLI_OPERATION_FLUSH });
  for (const write of writes) {
    if (typeof write === "number") yield write;
    else {
      await new Promise((resolve) => encoder.write(write, resolve));
      const piece: unknown = encoder.read();
      if (piece instanceof Buffer) yield piece;
    }
  }
  encoder.end();
  for await (const piece of encoder as AsyncIterable<Buffer>) yield piece;
}

/** A whole JSON answer. A string is sent as it is, so it need not be JSON. */
export function json(status: number, body: unknown, headers: Readonly<Record<string, string>> = {}): Script {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  return whole(status, text, { "content-type": "application/json", ...headers });
}

/** A page of HTML, as proxies answer. */
export function html(
  status: number,
  body = `<html><head><title>${status}</title></head><body><h1>${status} nginx</h1></body></html>`,
): Script {
  return whole(status, body, { "content-type": "text/html" });
}

function whole(status: number, text: string, headers: Readonly<Record<string, string>>): Script {
  return answer({ status, headers: { "content-length": String(Buffer.byteLength(text)), ...headers }, writes: [text] });
}

/** An event stream of these writes. */
export function sse(writes: readonly Write[], options: Omit<Answer, "writes"> = {}): Script {
  return answer({ ...options, writes, headers: { "content-type": "text/event-stream", ...options.headers } });
}

/** Never answers: no head, or with `after: "head"` a head of an event stream and no body. Stalls in mid stream are `sse(..., {ending: "stall"})`. */
export function stall({ after }: { readonly after?: "head" } = {}): Script {
  return after === "head" ? sse([], { ending: "stall" }) : () => {};
}

/** Writes the first `count` and closes the socket without an end. */
export function cut(writes: readonly Write[], count: number, options: Omit<Answer, "writes"> = {}): Script {
  return sse(writes.slice(0, count), { ...options, ending: "cut" });
}

/** Resets the connection before a head. */
export function reset(): Script {
  return ({ socket }) => void socket.resetAndDestroy();
}

/** Closes the connection before a head. */
export function hangUp(): Script {
  return ({ socket }) => void socket.destroy();
}

/** Waits, then does as `script` does. */
export function after(ms: number, script: Script): Script {
  return async (exchange) => {
    if (await exchange.wait(ms)) await script(exchange);
  };
}

/** Writes raw bytes to the socket in place of an HTTP response, then closes it. */
export function raw(bytes: string | Uint8Array): Script {
  return ({ socket }) => void socket.end(bytes);
}

/** The base URL of a port that refuses connections: the local end of a connection is held there, so nobody can listen on it meanwhile. */
export async function refusedUrl(onFinished: OnFinished): Promise<string> {
  const server = createTcpServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const held = connect((server.address() as AddressInfo).port, "127.0.0.1");
  await new Promise((resolve) => held.once("connect", resolve));
  onFinished(async () => {
    held.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  return `http://127.0.0.1:${held.localPort}/v1`;
}

const identity = { id: "chatcmpl-upstream", created: 1_790_000_000, model: "upstream-model" };

/** The usage that the builders report. */
export const usage = { prompt_tokens: 7, completion_tokens: 3, total_tokens: 10 };

/** The body of a model list. */
function modelList(ids: readonly string[]): object {
  return { object: "list", data: ids.map((id) => ({ id, object: "model", created: identity.created, owned_by: "upstream" })) };
}

/** The body of an OpenAI error. */
export function errorJson(
  message: string,
  { type = "invalid_request_error", param = null, code = null }: Partial<Record<"type" | "param" | "code", string | null>> = {},
): object {
  return { error: { message, type, param, code } };
}

/** The body of a chat completion. `extra` goes to its top level, `choice` to its only choice, `message` to the message. */
export function completionJson(
  text: string | null,
  { choice = {}, message = {}, ...extra }: { readonly choice?: object; readonly message?: object; readonly [field: string]: unknown } = {},
): object {
  return {
    ...identity,
    object: "chat.completion",
    choices: [
      {
        index: 0,
        message: { role: "assistant", content: text, refusal: null, ...message },
        logprobs: null,
        finish_reason: "stop",
        ...choice,
      },
    ],
    usage,
    ...extra,
  };
}

/** How a stream is written, when not as OpenAI does. */
export interface StreamStyle {
  readonly newline?: "\n" | "\r\n" | "\r";
  /** False writes `data:{...}`. */
  readonly space?: boolean;
  /** A comment before each frame. */
  readonly comments?: boolean;
  /** JSON over several lines, so `data:` over several lines. */
  readonly pretty?: boolean;
}

export interface StreamOptions extends StreamStyle {
  readonly id?: string;
  readonly model?: string;
  readonly created?: number;
  /** A role with each chunk, as Ollama does, or with none. */
  readonly roles?: "first" | "every" | "none";
  /** Each choice gets all the texts. */
  readonly n?: number;
  /** Null leaves the end out. */
  readonly finish?: string | null;
  /** True adds the usage chunk, and `"usage": null` to all others; an object is used in its place. */
  readonly usage?: boolean | object;
  readonly done?: boolean;
  /** A frame with this error in place of the end, the usage and [DONE]. */
  readonly error?: object;
  /** Reasoning, told before the texts. */
  readonly reasoning?: readonly string[];
  readonly reasoningField?: "reasoning" | "reasoning_content";
  /** Calls told after the texts, their arguments in these pieces. */
  readonly tools?: readonly { readonly id: string; readonly name: string; readonly arguments: readonly string[] }[];
  /** A log-probability for each text. */
  readonly logprobs?: boolean;
}

/** The frames of a streamed chat completion as OpenAI writes it: role, texts, finish reason, usage when asked, [DONE]. One string a frame. */
export function chunkStream(texts: readonly string[], options: StreamOptions = {}): readonly string[] {
  const {
    n = 1,
    finish = options.tools ? "tool_calls" : "stop",
    roles = "first",
    reasoningField = "reasoning_content",
    done = true,
  } = options;
  const head = {
    id: options.id ?? identity.id,
    object: "chat.completion.chunk",
    created: options.created ?? identity.created,
    model: options.model ?? identity.model,
  };
  const rest = options.usage ? { usage: null } : {};
  const chunk = (index: number, delta: object, more: object = {}) => {
    const role = roles === "every" ? { role: "assistant" } : {};
    return frame(
      { ...head, choices: [{ index, delta: { ...role, ...delta }, logprobs: null, finish_reason: null, ...more }], ...rest },
      options,
    );
  };
  const each = (make: (index: number) => string) => Array.from({ length: n }, (_, index) => make(index));
  const frames: string[] = [];
  if (roles === "first")
    frames.push(...each((index) => chunk(index, { role: "assistant", content: options.tools && texts.length === 0 ? null : "" })));
  for (const text of options.reasoning ?? []) frames.push(...each((index) => chunk(index, { [reasoningField]: text })));
  for (const text of texts)
    frames.push(...each((index) => chunk(index, { content: text }, options.logprobs ? { logprobs: logprobsOf(text) } : {})));
  for (const [at, { id, name, arguments: pieces }] of (options.tools ?? []).entries()) {
    frames.push(chunk(0, { tool_calls: [{ index: at, id, type: "function", function: { name, arguments: "" } }] }));
    for (const piece of pieces) frames.push(chunk(0, { tool_calls: [{ index: at, function: { arguments: piece } }] }));
  }
  if (options.error) return [...frames, frame({ error: options.error }, options)];
  if (finish !== null) frames.push(...each((index) => chunk(index, {}, { finish_reason: finish })));
  if (options.usage) frames.push(frame({ ...head, choices: [], usage: options.usage === true ? usage : options.usage }, options));
  return done ? [...frames, frame("[DONE]", options)] : frames;
}

function logprobsOf(token: string): object {
  const entry = { token, logprob: -0.25, bytes: [...Buffer.from(token)] };
  return { content: [{ ...entry, top_logprobs: [entry] }], refusal: null };
}

/** One SSE event with this data, an object as JSON. */
export function frame(data: unknown, { newline = "\n", space = true, comments = false, pretty = false }: StreamStyle = {}): string {
  const text = typeof data === "string" ? data : JSON.stringify(data, null, pretty ? 2 : undefined);
  const lines = text.split("\n").map((line) => `data:${space ? " " : ""}${line}`);
  return [...(comments ? [": upstream is at work", ""] : []), ...lines, "", ""].join(newline);
}
