import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateObject, generateText, stepCountIs, streamText, tool, type LanguageModel } from "ai";
import { answerSchema, sumSchema } from "./schemas.ts";
import { jsonQuestion, question, toolQuestion, versionOf, type Client, type Leaving, type Place } from "./client.ts";

const settings = ({ baseURL, apiKey }: Place) => ({ baseURL, apiKey });

/** The texts of a stream. Errors are parts of it, so that nobody has to read them; here they are thrown. */
async function* texts(parts: AsyncIterable<{ readonly type: string; readonly text?: string; readonly error?: unknown }>) {
  for await (const { type, text, error } of parts) {
    if (type === "error") throw error;
    if (type === "text-delta" && text) yield text;
  }
}

async function all(texts: AsyncIterable<string>): Promise<readonly string[]> {
  const found: string[] = [];
  for await (const text of texts) found.push(text);
  return found;
}

function client(library: string, api: string, open: (place: Place) => LanguageModel): Client {
  const ask = (place: Place, prompt: string) => ({ model: open(place), prompt, maxRetries: place.maxRetries });
  const quietly = { onError: () => {} };
  return {
    id: `${library.replace("@ai-sdk/", "ai-")}-${api}`,
    library: `\`ai\` ${versionOf("ai")} with \`${library}\``,
    version: versionOf(library),
    api,
    errors: ["AI_APICallError", "AI_APICallError", "AI_APICallError"],
    heeds: false,
    plain: async (place, signal) => {
      const { text, usage } = await generateText({ ...ask(place, question), ...(signal ? { abortSignal: signal } : {}) });
      return { text, tokens: [usage.inputTokens, usage.outputTokens] };
    },
    stream: (place) => all(texts(streamText({ ...ask(place, question), ...quietly }).fullStream)),
    tools: async (place, { add, stream }) => {
      const sum = tool({ description: "Adds two numbers.", inputSchema: sumSchema, execute: ({ a, b }) => add(a, b) });
      const looped = { ...ask(place, toolQuestion), tools: { add: sum }, stopWhen: stepCountIs(4) };
      if (!stream) return (await generateText(looped)).text;
      return (await all(texts(streamText({ ...looped, ...quietly }).fullStream))).join("");
    },
    parsed: async (place) => (await generateObject({ ...ask(place, jsonQuestion), schema: answerSchema })).object,
    leave: async (place, { signal, onText }: Leaving) => {
      const { fullStream } = streamText({ ...ask(place, question), ...quietly, abortSignal: signal });
      for await (const _ of texts(fullStream)) onText();
    },
  };
}

export const aiClients: readonly Client[] = [
  client("@ai-sdk/openai", "chat", (place) => createOpenAI(settings(place)).chat(place.model)),
  client("@ai-sdk/openai", "responses", (place) => createOpenAI(settings(place)).responses(place.model)),
  client("@ai-sdk/openai-compatible", "chat", (place) =>
    createOpenAICompatible({ name: "chorale", ...settings(place), includeUsage: true, supportsStructuredOutputs: true })(place.model),
  ),
];
