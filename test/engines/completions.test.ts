/** A real server that completes text by itself, asked through the gateway and directly. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { stringify } from "yaml";
import { engineAvailable, type Llama, startLlama } from "../../engines/llama.ts";
import { type Running, serve } from "../../src/serve.ts";
import { readText } from "../http/text.ts";

// Without the engine nothing is run here, except in CI, where its absence is a failure.
const describeEngine = describe.skipIf(!engineAvailable() && !process.env["CI"]);

interface Told {
  readonly object: string;
  readonly choices: readonly {
    readonly text: string;
    readonly index: number;
    readonly finish_reason: string;
    readonly logprobs: { readonly content: readonly { readonly token: string; readonly logprob: number }[] } | null;
  }[];
  readonly usage: { readonly prompt_tokens: number; readonly completion_tokens: number };
}

interface ToldColumns {
  readonly choices: readonly { readonly logprobs: { readonly tokens: readonly string[]; readonly token_logprobs: readonly number[] } }[];
}

const question = { prompt: "The capital of France is", temperature: 0, max_tokens: 6 };

describeEngine("a llama server that completes text", () => {
  let folder: string;
  let llama: Llama;
  let gateway: Running;
  beforeAll(async () => {
    llama = await startLlama({ threads: 1 });
    folder = mkdtempSync(join(tmpdir(), "chorale-completions-"));
    const config = join(folder, "chorale.yaml");
    const server = { kind: "openai", baseUrl: `${llama.url}/v1`, models: [llama.model], probe: false };
    const providers = { text: { ...server, dialect: "llama.cpp" }, chat: { ...server, dialect: "generic" } };
    writeFileSync(config, stringify({ server: { host: "127.0.0.1", port: 0 }, keys: [], store: { kind: "memory" }, providers }));
    gateway = await serve({ env: {}, config, probe: async () => undefined, logTo: { write: () => {} } });
  }, 60_000);
  afterAll(async () => {
    await gateway?.close();
    await llama?.close();
    if (folder) rmSync(folder, { recursive: true });
  });

  const post = (url: string, body: object) =>
    fetch(url, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
  const direct = (body: object = {}) => post(`${llama.url}/v1/completions`, { model: llama.model, ...question, ...body });
  const ask = (body: object = {}, provider = "text") =>
    post(`${gateway.url}/v1/completions`, { model: `${provider}/${llama.model}`, ...question, ...body });
  const whole = async (response: Promise<Response>) => (await (await response).json()) as Told;

  const told = ({ object, choices, usage }: Told) => ({
    object,
    choices: choices.map(({ text, index, finish_reason: end }) => [index, text, end]),
    usage: [usage.prompt_tokens, usage.completion_tokens],
  });

  test.each([
    ["up to its bound", {}],
    ["up to a stop", { stop: ["."] }],
    ["of two prompts", { prompt: ["One, two,", "A, B,"] }],
    ["of tokens", { prompt: [504, 3575, 282, 4649, 314] }],
    ["in two choices", { n: 2 }],
  ])("an answer %s is the server's own, whole and streamed", async (_, body) => {
    const own = told(await whole(direct(body)));
    expect(own.choices[0]?.[1]).not.toBe("");
    expect(told(await whole(ask(body)))).toEqual(own);
    const { texts, ends, wrong } = readText(await (await ask({ ...body, stream: true })).text());
    expect(wrong).toEqual([]);
    expect(texts.map((text, index) => [index, text, ends[index]])).toEqual(own.choices);
  });

  test("a stream is the server's own to the byte, but for its identity and where usage stands", async () => {
    const frames = async (response: Promise<Response>) =>
      (await (await response).text())
        .replaceAll(/"id":"[^"]*"|"created":\d+|"model":"[^"]*"/g, "")
        .split("\n")
        .filter((line) => line.startsWith("data: "));
    const usage = { stream: true, stream_options: { include_usage: true } };
    const own = await frames(direct(usage));
    const ours = await frames(ask(usage));
    expect(ours.slice(0, own.length - 2)).toEqual(own.slice(0, -2));
    expect(ours).toHaveLength(own.length + 1);
    expect(ours.at(-2)).toContain('"choices":[],');
    expect(ours.at(-2)).toMatch(/"prompt_tokens":5,"completion_tokens":6,/);
  });

  test("log-probabilities are the server's own, in columns", async () => {
    const own = (await whole(direct({ logprobs: 2 }))).choices[0]?.logprobs?.content ?? [];
    expect(own.length).toBe(6);
    const { choices } = (await (await ask({ logprobs: 2 })).json()) as ToldColumns;
    expect(choices[0]?.logprobs.tokens).toEqual(own.map(({ token }) => token));
    for (const [at, { logprob }] of own.entries()) expect(choices[0]?.logprobs.token_logprobs[at]).toBeCloseTo(logprob, 3);
  });

  test("over a chat, a prompt gets the answer of that chat", async () => {
    const { prompt, ...rest } = question;
    const messages = [{ role: "user", content: prompt }];
    const chat = await post(`${llama.url}/v1/chat/completions`, { model: llama.model, ...rest, messages });
    const own = (await chat.json()) as { choices: { message: { content: string } }[] };
    expect((await whole(ask({}, "chat"))).choices[0]?.text).toBe(own.choices[0]?.message.content);
  });
});
