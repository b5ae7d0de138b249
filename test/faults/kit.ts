/** A gateway in this process over scripted upstreams, and what every fault test asks of an answer. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished } from "vitest";
import { serve } from "../../src/serve.ts";
import { chunkStream, completionJson, json, sse, type OnFinished, type Script, type Upstream } from "../support/upstream.ts";

export interface Member {
  readonly label: string;
  readonly model: string;
  readonly status: string;
  readonly error?: { readonly code: string; readonly message: string };
  readonly usage?: { readonly prompt_tokens: number; readonly completion_tokens: number; readonly total_tokens: number };
  readonly estimated?: boolean;
  readonly usd?: number;
}

/** `GET /v1/chorale/requests/{id}`. */
export interface Kept {
  readonly status: number;
  readonly usage?: { readonly prompt_tokens: number; readonly completion_tokens: number; readonly total_tokens: number };
  readonly members: readonly Member[];
  readonly degraded: readonly string[];
  readonly decision?: Readonly<Record<string, unknown>>;
  readonly costUsd: number;
  readonly costCoverage: number;
  readonly error?: { readonly message: string; readonly code: string | null };
}

interface Choice {
  readonly index: number;
  readonly message?: { readonly content: string | null };
  readonly delta?: { readonly content?: string | null };
  readonly finish_reason: string | null;
}

interface Wire {
  readonly choices?: readonly Choice[];
  readonly error?: { readonly message: string; readonly type: string; readonly param: string | null; readonly code: string | null };
  readonly usage?: Kept["usage"] | null;
}

/** An answer, whole or streamed, read to its end. */
export interface Answered {
  readonly status: number;
  readonly headers: Headers;
  readonly raw: string;
  /** Text of choice 0. */
  readonly text: string;
  readonly texts: readonly string[];
  /** Finish reason of choice 0. */
  readonly finish: string | undefined;
  readonly error: Wire["error"];
  readonly usage: Kept["usage"] | null | undefined;
  /** A stream ended with `[DONE]`; of a whole answer true. */
  readonly done: boolean;
  readonly id: string;
}

export interface Gateway {
  readonly url: string;
  readonly log: readonly Readonly<Record<string, unknown>>[];
  ask(body: object, init?: { readonly headers?: Readonly<Record<string, string>>; readonly signal?: AbortSignal }): Promise<Answered>;
  /** The record of a request, as soon as it is there. */
  kept(answered: Answered, key?: string): Promise<Kept>;
  close(): Promise<void>;
}

function read(response: Response, raw: string): Answered {
  const { status, headers } = response;
  const isStream = headers.get("content-type")?.startsWith("text/event-stream") === true;
  const data = isStream ? [...raw.matchAll(/^data: (.*)$/gm)].map(([, text]) => text ?? "") : [raw];
  const wires = data.filter((text) => text !== "[DONE]").map((text) => JSON.parse(text) as Wire);
  const texts: string[] = [];
  let finish: string | undefined;
  for (const choice of wires.flatMap(({ choices }) => choices ?? [])) {
    texts[choice.index] = (texts[choice.index] ?? "") + (choice.message?.content ?? choice.delta?.content ?? "");
    if (choice.index === 0) finish = choice.finish_reason ?? finish;
  }
  return {
    status,
    headers,
    raw,
    text: texts[0] ?? "",
    texts,
    finish,
    error: wires.find(({ error }) => error)?.error,
    usage: wires.findLast(({ usage }) => usage)?.usage,
    done: !isStream || data.at(-1) === "[DONE]",
    id: headers.get("x-request-id") ?? "",
  };
}

export const user = (content = "What is 6 times 7?") => [{ role: "user", content }];

/** Starts a gateway on this config, in YAML's JSON subset; the store is in memory and the port free. It ends with the test unless told otherwise. */
export async function startGateway(config: Readonly<Record<string, unknown>>, onFinished: OnFinished = onTestFinished): Promise<Gateway> {
  const folder = mkdtempSync(join(tmpdir(), "chorale-faults-"));
  const file = join(folder, "chorale.yaml");
  const { server, ...rest } = config;
  writeFileSync(
    file,
    JSON.stringify({ store: { kind: "memory" }, ...rest, server: { host: "127.0.0.1", port: 0, ...(server as object | undefined) } }),
  );
  const log: Readonly<Record<string, unknown>>[] = [];
  const running = await serve({
    env: {},
    config: file,
    probe: async () => undefined,
    logTo: { write: (line: string) => void log.push(JSON.parse(line) as Record<string, unknown>) },
  });
  onFinished(async () => {
    await running.close();
    rmSync(folder, { recursive: true });
  });
  const ask: Gateway["ask"] = async (body, init = {}) => {
    const response = await fetch(`${running.url}/v1/chat/completions`, {
      method: "POST",
      headers: { "content-type": "application/json", ...init.headers },
      body: JSON.stringify({ messages: user(), ...body }),
      ...(init.signal ? { signal: init.signal } : {}),
    });
    return read(response, await response.text());
  };
  const kept: Gateway["kept"] = async ({ id }, key) => {
    const get = async () =>
      fetch(`${running.url}/v1/chorale/requests/${id}`, key === undefined ? {} : { headers: { authorization: `Bearer ${key}` } });
    let response = await get();
    await expect.poll(async () => (response.ok ? 200 : (response = await get()).status), { timeout: 5000 }).toBe(200);
    return (await response.json()) as Kept;
  };
  return { url: running.url, log, ask, kept, close: () => running.close() };
}

/** A provider without retries over an upstream, or over a base URL. */
export function provider(upstream: Upstream | string, more: object = {}): object {
  return { kind: "openai", baseUrl: typeof upstream === "string" ? upstream : upstream.url, retry: { attempts: 1 }, ...more };
}

/** The script on a connection that ends with its answer, so that `upstream.open` counts requests. */
export function once(script: Script): Script {
  return (exchange) => {
    exchange.response.shouldKeepAlive = false;
    return script(exchange);
  };
}

/** An answer in the form that was asked for, whole or streamed, always with usage 7 + 3. */
export function say(text: string, { logprob }: { readonly logprob?: boolean } = {}): Script {
  const pieces = text.length > 1 ? [text.slice(0, 1), text.slice(1)] : [text];
  const streamed = sse(chunkStream(pieces, { usage: true, ...(logprob ? { logprobs: true } : {}) }));
  const logprobs = { content: [{ token: text, logprob: -0.25, bytes: null, top_logprobs: [] }], refusal: null };
  const whole = json(200, completionJson(text, logprob ? { choice: { logprobs } } : {}));
  return once((exchange) => (exchange.request.json["stream"] === true ? streamed(exchange) : whole(exchange)));
}

/** What must hold of every answer, good or bad: never a cut answer that looks whole, never an address. */
export function expectHonest(answered: Answered, upstreams: readonly Upstream[]): void {
  const { status, error, finish, done, raw } = answered;
  if (error) {
    expect(finish, raw).toBeUndefined();
    if (status === 200) expect(done, raw).toBe(false);
  } else {
    expect(status, raw).toBe(200);
    expect([finish, done], raw).toEqual(["stop", true]);
  }
  expect(raw).not.toMatch(/127\.0\.0\.1|localhost|https?:\/\/|<html|nginx|secret-marker/);
  for (const { port } of upstreams) expect(raw).not.toContain(String(port));
}

/** The sum of what the members are said to have used. */
export function summed(members: readonly Member[]): { readonly prompt: number; readonly completion: number } {
  return {
    prompt: members.reduce((sum, { usage }) => sum + (usage?.prompt_tokens ?? 0), 0),
    completion: members.reduce((sum, { usage }) => sum + (usage?.completion_tokens ?? 0), 0),
  };
}

/** The record tells every call that the upstreams saw, and its usage is the sum of theirs. */
export function expectBooked(kept: Kept, calls: number): void {
  expect(kept.members.length, JSON.stringify(kept.members)).toBe(calls);
  const { prompt, completion } = summed(kept.members);
  expect([kept.usage?.prompt_tokens ?? 0, kept.usage?.completion_tokens ?? 0]).toEqual([prompt, completion]);
}

/** Every connection to the upstream is closed soon. */
export async function expectClosed(upstream: Upstream, timeout = 2000): Promise<void> {
  await expect.poll(() => upstream.open, { timeout, interval: 5 }).toBe(0);
}
