import Anthropic from "@anthropic-ai/sdk";
import { betaZodTool } from "@anthropic-ai/sdk/helpers/beta/zod";
import { zodOutputFormat } from "@anthropic-ai/sdk/helpers/zod";
import { answerSchema, sumSchema } from "./schemas.ts";
import { jsonQuestion, question, toolQuestion, versionOf, type Client, type Place } from "./client.ts";

type Message = Anthropic.Message | Anthropic.Beta.BetaMessage;

function textOf({ content }: Pick<Message, "content">): string {
  return content.map((block) => (block.type === "text" ? block.text : "")).join("");
}

/** Its base URL ends before `/v1`. */
function open({ baseURL, apiKey, maxRetries }: Place): Anthropic {
  return new Anthropic({ baseURL: baseURL.replace(/\/v1$/, ""), apiKey, maxRetries });
}

function ask({ model }: Place, content: string) {
  return { model, max_tokens: 200, messages: [{ role: "user" as const, content }] };
}

export const anthropicClients: readonly Client[] = [
  {
    id: "anthropic-messages",
    library: "`@anthropic-ai/sdk`",
    version: versionOf("@anthropic-ai/sdk"),
    api: "messages",
    errors: ["AuthenticationError", "NotFoundError", "BadRequestError"],
    heeds: true,
    plain: async (place, signal) => {
      const message = await open(place).messages.create(ask(place, question), { signal });
      return { text: textOf(message), tokens: [message.usage.input_tokens, message.usage.output_tokens] };
    },
    stream: async (place) => {
      const pieces: string[] = [];
      const stream = open(place).messages.stream(ask(place, question));
      stream.on("text", (delta) => pieces.push(delta));
      await stream.finalMessage();
      return pieces;
    },
    tools: async (place, { add, stream }) => {
      const run = ({ a, b }: { a: number; b: number }) => String(add(a, b));
      const sum = betaZodTool({ name: "add", description: "Adds two numbers.", inputSchema: sumSchema, run });
      const request = { ...ask(place, toolQuestion), tools: [sum] };
      const { messages } = open(place).beta;
      if (!stream) return textOf(await messages.toolRunner(request).runUntilDone());
      return textOf(await messages.toolRunner({ ...request, stream: true }).runUntilDone());
    },
    parsed: async (place) => {
      const output_config = { format: zodOutputFormat(answerSchema) };
      return (await open(place).messages.parse({ ...ask(place, jsonQuestion), output_config })).parsed_output;
    },
    leave: async (place, { signal, onText }) => {
      const stream = await open(place).messages.create({ ...ask(place, question), stream: true }, { signal });
      for await (const event of stream) if (event.type === "content_block_delta") onText();
    },
  },
];
