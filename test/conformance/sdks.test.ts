import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { ChatOpenAI } from "@langchain/openai";
import { generateText, streamText } from "ai";
import type { AIMessageChunk } from "@langchain/core/messages";
import { describe, expect, onTestFinished, test } from "vitest";
import { clientKey, startPair } from "../support/gateway.ts";

// Their tool loops, structured output and errors, over leaf, panel and every kind: `test/clients`. Here: what a stream says of itself at its end.

async function start() {
  const { gateway } = await startPair(
    {},
    {
      onFinished: onTestFinished,
      config: {
        providers: { demo: { kind: "demo", firstTokenMs: 0, tokensPerSecond: 0 } },
        models: { exam: { kind: "fuse", members: ["demo/alto", "demo/tenor"], writer: "demo/bass" } },
      },
    },
  );
  return { baseURL: gateway.url, apiKey: clientKey };
}

const models = ["demo/alto", "exam"];

describe.each(models)("over %s", (model) => {
  test("A-SDK-02 the AI SDK reads usage and finish reason, whole and streamed", async () => {
    const settings = await start();
    const compatible = createOpenAICompatible({ name: "chorale", ...settings, includeUsage: true });
    for (const opened of [compatible(model), createOpenAI(settings).chat(model)]) {
      const asked = { model: opened, prompt: "What is 2+3?", maxRetries: 0 };
      const whole = await generateText(asked);
      const streamed = streamText(asked);
      expect(await streamed.text).toBe(whole.text);
      expect([whole.finishReason, await streamed.finishReason]).toEqual(["stop", "stop"]);
      const told = { inputTokens: expect.any(Number), outputTokens: expect.any(Number) };
      expect([whole.usage, await streamed.usage]).toMatchObject([told, told]);
    }
  });

  test("A-SDK-03 LangChain reads usage and finish reason, whole and streamed", async () => {
    const settings = await start();
    const chat = new ChatOpenAI({ model, apiKey: settings.apiKey, configuration: { baseURL: settings.baseURL }, maxRetries: 0 });
    const whole = await chat.invoke("What is 2+3?");
    let streamed: AIMessageChunk | undefined;
    for await (const chunk of await chat.stream("What is 2+3?")) streamed = streamed?.concat(chunk) ?? chunk;
    expect(streamed?.text).toBe(whole.text);
    const told = { input_tokens: expect.any(Number), output_tokens: expect.any(Number) };
    expect([whole.usage_metadata, streamed?.usage_metadata]).toMatchObject([told, told]);
    expect(streamed?.response_metadata).toMatchObject({ finish_reason: "stop" });
  });
});
