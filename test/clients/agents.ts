import { Agent, OpenAIChatCompletionsModel, OpenAIResponsesModel, run, setTracingDisabled, tool, type Model } from "@openai/agents";
import OpenAI from "openai";
import { answerSchema, sumSchema } from "./schemas.ts";
import { jsonQuestion, question, toolQuestion, versionOf, type Client, type Place } from "./client.ts";

// Traces would go to OpenAI.
setTracingDisabled(true);

function client(api: string, open: (client: OpenAI, model: string) => Model): Client {
  const modelOf = ({ model, baseURL, apiKey, maxRetries }: Place) => open(new OpenAI({ baseURL, apiKey, maxRetries }), model);
  const agent = (place: Place) => new Agent({ name: "asker", model: modelOf(place) });
  return {
    id: `agents-${api}`,
    library: "`@openai/agents`",
    version: versionOf("@openai/agents"),
    api,
    errors: ["AuthenticationError", "NotFoundError", "BadRequestError"],
    heeds: true,
    plain: async (place, signal) => {
      const { finalOutput, rawResponses } = await run(agent(place), question, signal ? { signal } : {});
      const usage = rawResponses[0]?.usage;
      return { text: finalOutput ?? "", tokens: [usage?.inputTokens, usage?.outputTokens] };
    },
    stream: async (place) => {
      const result = await run(agent(place), question, { stream: true });
      const pieces: string[] = [];
      for await (const text of result.toTextStream() as AsyncIterable<string>) pieces.push(text);
      await result.completed;
      return pieces;
    },
    tools: async (place, { add, stream }) => {
      const execute = ({ a, b }: { a: number; b: number }) => String(add(a, b));
      const sum = tool({ name: "add", description: "Adds two numbers.", parameters: sumSchema, execute });
      const adder = new Agent({ name: "adder", model: modelOf(place), tools: [sum] });
      if (!stream) return (await run(adder, toolQuestion)).finalOutput ?? "";
      const result = await run(adder, toolQuestion, { stream: true });
      await result.completed;
      return result.finalOutput ?? "";
    },
    parsed: async (place) => {
      const asker = new Agent({ name: "asker", model: modelOf(place), outputType: answerSchema });
      return (await run(asker, jsonQuestion)).finalOutput;
    },
    leave: async (place, { signal, onText }) => {
      const result = await run(agent(place), question, { stream: true, signal });
      for await (const _ of result.toTextStream() as AsyncIterable<string>) onText();
      await result.completed;
    },
  };
}

export const agentsClients: readonly Client[] = [
  client("chat", (openai, model) => new OpenAIChatCompletionsModel(openai, model)),
  client("responses", (openai, model) => new OpenAIResponsesModel(openai, model)),
];
