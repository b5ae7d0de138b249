import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { ChatOpenAI } from "@langchain/openai";
import { generateText } from "ai";
import type { ChatCompletionCreateParamsNonStreaming } from "openai/resources/chat/completions";
import { expect, onTestFinished, test } from "vitest";
import { clientKey, messages, startPair } from "../support/gateway.ts";
import { completionJson, json } from "../support/upstream.ts";

const extra = { foo: { deep: [1, null] }, chat_template_kwargs: { enable_thinking: false }, top_k: 5 } as const;

test.each(["up/a", "exam"])("A-SDK-04 what clients add to a request for %s reaches the upstream", async (model) => {
  const { gateway, upstream } = await startPair(
    { "*": json(200, completionJson("4")) },
    { onFinished: onTestFinished, config: { models: { exam: { kind: "vote", members: ["up/a", "up/b"] } } } },
  );
  const sent = () => upstream.requests.at(-1)?.json;
  const body: ChatCompletionCreateParamsNonStreaming & typeof extra = { model, messages: [...messages], ...extra };
  await gateway.client().chat.completions.create(body);
  expect(sent()).toMatchObject(extra);
  const provider = createOpenAICompatible({ name: "chorale", baseURL: gateway.url, apiKey: clientKey });
  await generateText({
    model: provider(model),
    prompt: "2+2?",
    maxRetries: 0,
    providerOptions: { chorale: { ...extra, foo: { deep: [1, null] } } },
  });
  expect(sent()).toMatchObject(extra);
  const chat = new ChatOpenAI({ model, apiKey: clientKey, configuration: { baseURL: gateway.url }, maxRetries: 0, modelKwargs: extra });
  await chat.invoke("2+2?");
  expect(sent()).toMatchObject(extra);
});
