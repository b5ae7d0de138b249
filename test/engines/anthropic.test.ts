/** A real server of the Messages API behind the provider, beside the same server by its OpenAI API. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { stringify } from "yaml";
import { engineAvailable, type Llama, startLlama } from "../../engines/llama.ts";
import { type Running, serve } from "../../src/serve.ts";
import { accumulate, validateStream } from "../support/stream-validator.ts";

// Without the engine nothing is run here, except in CI, where its absence is a failure.
const describeEngine = describe.skipIf(!engineAvailable() && !process.env["CI"]);

interface Told {
  readonly choices: readonly { readonly finish_reason: string; readonly message: { readonly content: string } }[];
  readonly usage: { readonly prompt_tokens: number; readonly completion_tokens: number; readonly total_tokens: number };
}

const question = {
  messages: [
    { role: "system", content: "Be brief." },
    { role: "user", content: "What is 2+2?" },
    { role: "assistant", content: "4" },
    { role: "user", content: "And 3+3?" },
  ],
  temperature: 0,
};

describeEngine("a llama server by its Messages API", () => {
  let folder: string;
  let llama: Llama;
  let gateway: Running;
  beforeAll(async () => {
    llama = await startLlama();
    folder = mkdtempSync(join(tmpdir(), "chorale-anthropic-"));
    const config = join(folder, "chorale.yaml");
    const baseUrl = `${llama.url}/v1`;
    const providers = {
      openai: { kind: "openai", dialect: "llama.cpp", baseUrl, models: [llama.model] },
      anthropic: { kind: "anthropic", baseUrl, models: [llama.model] },
    };
    writeFileSync(config, stringify({ server: { host: "127.0.0.1", port: 0 }, keys: [], store: { kind: "memory" }, providers }));
    gateway = await serve({ env: {}, config, probe: async () => undefined, logTo: { write: () => {} } });
  }, 60_000);
  afterAll(async () => {
    await gateway?.close();
    await llama?.close();
    if (folder) rmSync(folder, { recursive: true });
  });

  const ask = (provider: string, body: object) =>
    fetch(`${gateway.url}/v1/chat/completions`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ model: `${provider}/${llama.model}`, ...question, ...body }),
    });

  const told = ({ choices, usage }: Told) => ({
    text: choices[0]?.message.content,
    reason: choices[0]?.finish_reason,
    usage: [usage.prompt_tokens, usage.completion_tokens, usage.total_tokens],
  });

  test.each([
    ["to its end", { max_tokens: 48 }],
    ["up to its bound", { max_tokens: 5 }],
    ["up to a stop", { max_tokens: 48, stop: ["."] }],
  ])("an answer %s is the one of the OpenAI API, whole and streamed", async (_, bound) => {
    const direct = told((await (await ask("openai", bound)).json()) as Told);
    expect(direct.text).not.toBe("");
    expect(told((await (await ask("anthropic", bound)).json()) as Told)).toEqual(direct);
    const text = await (await ask("anthropic", { ...bound, stream: true, stream_options: { include_usage: true } })).text();
    expect(validateStream(text, { usage: true })).toEqual([]);
    expect(told(accumulate(text) as unknown as Told)).toEqual(direct);
  });

  test("a prompt that is too long is refused as one", async () => {
    const long = { messages: [{ role: "user", content: "word ".repeat(4000) }], max_tokens: 8 };
    const response = await ask("anthropic", long);
    expect([response.status, await response.json()]).toMatchObject([400, { error: { code: "context_length_exceeded" } }]);
  });
});
