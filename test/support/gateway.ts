/** The real gateway in this process, on a free port, and what a test asks of it. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import OpenAI from "openai";
import { stringify } from "yaml";
import { serve } from "../../src/serve.ts";
import { startUpstream, type OnFinished, type Scripts, type Upstream } from "./upstream.ts";

/** The key that tests send. */
export const clientKey = "sk-chorale-client-0123456789";
/** The key that the gateway sends upstream. Nobody but the upstream may see it. */
export const upstreamKey = "sk-canary-upstream-9876543210";

type Fields = Readonly<Record<string, unknown>>;

export interface Gateway {
  /** Up to and with `/v1`. */
  readonly url: string;
  readonly origin: string;
  readonly port: number;
  /** Log lines so far, parsed. */
  readonly logs: readonly Fields[];
  /** The lines of requests that may ask a model. */
  readonly requestLogs: readonly Fields[];
  /** The lines of all others: refused at the door, or about lists and records. */
  readonly accessLogs: readonly Fields[];
  /** Every server that tells what its models can do was asked once. */
  readonly probed: Promise<void>;
  close(): Promise<void>;
  /** Posts a chat request with the client's key. A string or bytes go out as they are; `model` and `messages` have defaults. */
  chat(body: Fields | string | Uint8Array, init?: RequestInit): Promise<Response>;
  /** Asks any path under the origin with the client's key. */
  get(path: string, init?: RequestInit): Promise<Response>;
  /** The official client. */
  client(options?: ConstructorParameters<typeof OpenAI>[0]): OpenAI;
}

export const messages = [{ role: "user", content: "What is 2+2?" }] as const;

/** Starts a gateway over a config. Store in memory, port free, one key; `config` wins over each of these sections. */
async function startGateway(config: Fields, onFinished: OnFinished): Promise<Gateway> {
  const folder = mkdtempSync(join(tmpdir(), "chorale-gateway-"));
  const path = join(folder, "chorale.yaml");
  const { server, ...rest } = config;
  const whole = {
    server: { host: "127.0.0.1", port: 0, heartbeatMs: 200, drainMs: 100, ...(server as object | undefined) },
    keys: [{ name: "team-a", key: clientKey }],
    store: { kind: "memory" },
    ...rest,
  };
  writeFileSync(path, stringify(whole));
  const lines: string[] = [];
  const write = (text: string) => lines.push(...text.split("\n").filter((line) => line !== ""));
  const running = await serve({ env: {}, config: path, probe: async () => undefined, logTo: { write } });
  onFinished(async () => {
    await running.close();
    rmSync(folder, { recursive: true });
  });
  const logs = () => lines.map((line) => JSON.parse(line) as Fields);
  const authorization = `Bearer ${clientKey}`;
  const body = (given: Fields | string | Uint8Array) =>
    typeof given === "string" || given instanceof Uint8Array ? Buffer.from(given) : JSON.stringify({ model: "up/a", messages, ...given });
  return {
    url: `${running.url}/v1`,
    origin: running.url,
    port: Number(new URL(running.url).port),
    get logs() {
      return logs();
    },
    get requestLogs() {
      return logs().filter(({ msg, path }) => msg === "request" && path === undefined);
    },
    get accessLogs() {
      return logs().filter(({ msg, path }) => msg === "request" && path !== undefined);
    },
    get probed() {
      return running.probed;
    },
    close: () => running.close(),
    chat: (given, init = {}) =>
      fetch(`${running.url}/v1/chat/completions`, {
        method: "POST",
        ...init,
        body: body(given),
        headers: { "content-type": "application/json", authorization, ...(init.headers as Record<string, string> | undefined) },
      }),
    get: (path, init = {}) =>
      fetch(running.url + path, { ...init, headers: { authorization, ...(init.headers as Record<string, string> | undefined) } }),
    client: (options = {}) => new OpenAI({ baseURL: `${running.url}/v1`, apiKey: clientKey, maxRetries: 0, ...options }),
  };
}

export interface Pair {
  readonly upstream: Upstream;
  readonly gateway: Gateway;
}

export interface PairOptions {
  readonly onFinished: OnFinished;
  /** Further options of the provider `up`. */
  readonly provider?: Fields;
  /** Further sections of the config. */
  readonly config?: Fields;
}

/** A scripted upstream behind a gateway as the provider `up`, asked once for each request, and for nothing else. */
export async function startPair(scripts: Scripts, { onFinished, provider = {}, config = {} }: PairOptions): Promise<Pair> {
  const upstream = await startUpstream(scripts, onFinished);
  const up = { kind: "openai", baseUrl: upstream.url, apiKey: upstreamKey, retry: { attempts: 1 }, probe: false, ...provider };
  const { providers, ...rest } = config;
  const gateway = await startGateway({ providers: { up, ...(providers as object | undefined) }, ...rest }, onFinished);
  return { upstream, gateway };
}

/** Timeouts that a test can wait for. */
export const quick = { connectMs: 300, firstTokenMs: 1000, idleMs: 1000, totalMs: 5000 } as const;

/** What came over the wire, piece by piece, until the response ends or its connection breaks. */
export interface Pieces {
  readonly text: string;
  readonly pieces: readonly { readonly atMs: number; readonly text: string }[];
  readonly endMs: number;
  readonly broken: boolean;
}

/** Reads a response as it comes. */
export async function readPieces(response: Response): Promise<Pieces> {
  const pieces: { atMs: number; text: string }[] = [];
  const decoder = new TextDecoder();
  let broken = false;
  try {
    for await (const bytes of response.body ?? []) pieces.push({ atMs: performance.now(), text: decoder.decode(bytes, { stream: true }) });
  } catch {
    broken = true;
  }
  return { text: pieces.map(({ text }) => text).join(""), pieces, endMs: performance.now(), broken };
}

/** The parsed data of each event but `[DONE]`. */
export function events(text: string): readonly Fields[] {
  return text
    .split("\n\n")
    .filter((event) => event.startsWith("data: ") && event !== "data: [DONE]")
    .map((event) => JSON.parse(event.slice(6)) as Fields);
}

/** Sends bytes over a plain socket and resolves with all that comes back until the other side closes. */
export function sendRaw(port: number, parts: readonly (string | Uint8Array)[]): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    const chunks: Buffer[] = [];
    socket.on("data", (chunk: Buffer) => chunks.push(chunk));
    socket.on("error", () => {});
    socket.once("close", () => resolve(Buffer.concat(chunks).toString("latin1")));
    for (const part of parts) socket.write(part);
  });
}

/** Status, headers and body of a raw answer that ended with its connection. */
export function parseRaw(text: string): {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
} {
  const [head = "", ...rest] = text.split("\r\n\r\n");
  const [line = "", ...fields] = head.split("\r\n");
  const headers = Object.fromEntries(
    fields.map((field) => [field.slice(0, field.indexOf(":")).toLowerCase(), field.slice(field.indexOf(":") + 1).trim()]),
  );
  return { status: Number(line.split(" ")[1]), headers, body: rest.join("\r\n\r\n") };
}
