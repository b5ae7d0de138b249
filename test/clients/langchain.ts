import { HumanMessage, type AIMessageChunk, type BaseMessage, type UsageMetadata } from "@langchain/core/messages";
import { tool } from "@langchain/core/tools";
import { ChatOpenAI } from "@langchain/openai";
import { answerSchema, sumSchema } from "./schemas.ts";
import { jsonQuestion, question, toolQuestion, versionOf, type Client, type Place } from "./client.ts";

/** A whole answer, read as a stream where that is asked for. */
async function answer(
  model: { invoke(input: BaseMessage[]): Promise<AIMessageChunk>; stream(input: BaseMessage[]): Promise<AsyncIterable<AIMessageChunk>> },
  input: BaseMessage[],
  stream: boolean,
): Promise<AIMessageChunk> {
  if (!stream) return model.invoke(input);
  let whole: AIMessageChunk | undefined;
  for await (const chunk of await model.stream(input)) whole = whole?.concat(chunk) ?? chunk;
  if (!whole) throw new Error("an empty stream");
  return whole;
}

function client(api: "chat" | "responses"): Client {
  const open = ({ baseURL, apiKey, model, maxRetries }: Place) =>
    new ChatOpenAI({ model, apiKey, maxRetries, configuration: { baseURL }, useResponsesApi: api === "responses" });
  return {
    id: `langchain-${api}`,
    library: "`@langchain/openai`",
    version: versionOf("@langchain/openai"),
    api,
    errors: ["AuthenticationError", "NotFoundError", "ContextOverflowError"],
    heeds: false,
    plain: async (place, signal) => {
      const { text, usage_metadata } = await open(place).invoke(question, signal ? { signal } : {});
      const usage = usage_metadata as UsageMetadata | undefined;
      return { text, tokens: [usage?.input_tokens, usage?.output_tokens] };
    },
    stream: async (place) => {
      const pieces: string[] = [];
      for await (const { text } of await open(place).stream(question)) if (text !== "") pieces.push(text);
      return pieces;
    },
    tools: async (place, { add, stream }) => {
      const sum = tool(({ a, b }) => String(add(a, b)), { name: "add", description: "Adds two numbers.", schema: sumSchema });
      const model = open(place).bindTools([sum]);
      const messages: BaseMessage[] = [new HumanMessage(toolQuestion)];
      for (;;) {
        const message = await answer(model, messages, stream);
        const calls = message.tool_calls ?? [];
        if (calls.length === 0) return message.text;
        messages.push(message);
        for (const call of calls) messages.push(await sum.invoke({ ...call, type: "tool_call" }));
      }
    },
    parsed: (place) => open(place).withStructuredOutput(answerSchema, { name: "answer", method: "jsonSchema" }).invoke(jsonQuestion),
    leave: async (place, { signal, onText }) => {
      for await (const { text } of await open(place).stream(question, { signal })) if (text !== "") onText();
    },
  };
}

export const langchainClients: readonly Client[] = [client("chat"), client("responses")];
