/** A real server of the Messages API: behind the provider beside its OpenAI API, and itself beside the gateway's own Messages API. */
import Anthropic from "@anthropic-ai/sdk";
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

  describe("the gateway's own Messages API", () => {
    const asked = { max_tokens: 48, system: "Be brief.", messages: question.messages.slice(1), temperature: 0 };

    /** Of a message, whole or as the official client folds its events. */
    const said = async (baseURL: string, model: string, body: object, stream: boolean) => {
      const { messages } = new Anthropic({ baseURL, apiKey: "none", maxRetries: 0 });
      const request = { model, ...asked, ...body } as Anthropic.MessageCreateParamsNonStreaming;
      const message = stream ? await messages.stream(request).finalMessage() : await messages.create(request);
      const { content, stop_reason: reason, usage } = message;
      const blocks = content.map((block) =>
        block.type === "text" ? block.text : block.type === "tool_use" ? [block.name, block.input] : block.type,
      );
      // The server counts the tokens that it still has of a prompt beside the rest.
      const input = usage.input_tokens + (usage.cache_read_input_tokens ?? 0);
      return { blocks, reason, usage: [input, usage.output_tokens] };
    };

    const tools = [
      {
        name: "add",
        description: "Adds two numbers.",
        input_schema: { type: "object", properties: { a: { type: "integer" } }, required: ["a"] },
      },
    ];

    test.each([
      ["to its end", {}],
      ["up to its bound", { max_tokens: 5 }],
      ["with blocks and hints", { system: [{ type: "text", text: "Be brief.", cache_control: { type: "ephemeral" } }] }],
      ["with a tool that is forced", { tools, tool_choice: { type: "any" } }],
    ])("an answer %s is the server's own, whole and streamed, by either provider", async (_, body) => {
      const direct = await said(llama.url, llama.model, body, false);
      expect(direct.blocks).toHaveLength(1);
      for (const provider of ["openai", "anthropic"]) {
        for (const stream of [false, true]) expect(await said(gateway.url, `${provider}/${llama.model}`, body, stream)).toEqual(direct);
      }
    });
  });

  test("the text that an answer stopped at is told where the upstream tells it", async () => {
    const stopping = async (baseURL: string, model: string) => {
      const { messages } = new Anthropic({ baseURL, apiKey: "none", maxRetries: 0 });
      const turns = [{ role: "user", content: "Tell me about water." }];
      // The client's types no longer have a temperature.
      const request = { model, max_tokens: 48, messages: turns, stop_sequences: [" is"], temperature: 0 };
      const message = await messages.create(request as Anthropic.MessageCreateParamsNonStreaming);
      const { content, stop_reason: reason, stop_sequence: sequence } = message;
      return { text: content.map((block) => (block.type === "text" ? block.text : "")).join(""), ending: [reason, sequence] };
    };
    const direct = await stopping(llama.url, llama.model);
    // The server names the text and calls it an end of the turn all the same.
    expect(direct.ending[1]).toBe(" is");
    expect(await stopping(gateway.url, `anthropic/${llama.model}`)).toEqual({ ...direct, ending: ["stop_sequence", " is"] });
    expect(await stopping(gateway.url, `openai/${llama.model}`)).toEqual({ ...direct, ending: ["end_turn", null] });
  });

  test("a prompt that is too long is refused as one", async () => {
    const long = { messages: [{ role: "user", content: "word ".repeat(4000) }], max_tokens: 8 };
    const response = await ask("anthropic", long);
    expect([response.status, await response.json()]).toMatchObject([400, { error: { code: "context_length_exceeded" } }]);
  });
});
