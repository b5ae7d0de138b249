import OpenAI from "openai";
import OpenAI6 from "openai-6";
import * as helpers6 from "openai-6/helpers/zod";
import * as helpers from "openai/helpers/zod";
import type { RunnableToolFunctionWithParse } from "openai/lib/RunnableFunction";
import type { Response, ResponseInput } from "openai/resources/responses/responses";
import { answerSchema, sumSchema } from "./schemas.ts";
import { jsonQuestion, question, toolQuestion, versionOf, type Client, type Place, type Tooled } from "./client.ts";

/** One line of the library; version 6 has the same interface as far as it is used here. */
interface Line {
  readonly library: string;
  readonly OpenAI: typeof OpenAI;
  readonly helpers: Pick<typeof helpers, "zodResponseFormat" | "zodTextFormat">;
}

const errors = ["AuthenticationError", "NotFoundError", "BadRequestError"] as const;

const messages = (content: string) => [{ role: "user" as const, content }];

const description = "Adds two numbers.";
const parameters = {
  type: "object",
  properties: { a: { type: "number" }, b: { type: "number" } },
  required: ["a", "b"],
  additionalProperties: false,
};

function chat({ library, OpenAI, helpers }: Line): Client {
  const open = ({ baseURL, apiKey, maxRetries }: Place) => new OpenAI({ baseURL, apiKey, maxRetries }).chat.completions;
  return {
    id: `${library}-chat`,
    library: "`openai`",
    version: versionOf(library),
    api: "chat",
    errors,
    heeds: true,
    plain: async (place, signal) => {
      const request = { model: place.model, messages: messages(question) };
      const { choices, usage } = await open(place).create(request, { signal });
      return { text: choices[0]?.message.content ?? "", tokens: [usage?.prompt_tokens, usage?.completion_tokens] };
    },
    stream: async (place) => {
      const pieces: string[] = [];
      const stream = open(place).stream({ model: place.model, messages: messages(question) });
      stream.on("content", (delta) => pieces.push(delta));
      await stream.finalChatCompletion();
      return pieces;
    },
    tools: async (place, { add, stream }) => {
      const tool: RunnableToolFunctionWithParse<{ a: number; b: number }> = {
        type: "function",
        function: {
          name: "add",
          description,
          parameters,
          parse: (text) => sumSchema.parse(JSON.parse(text)),
          function: ({ a, b }) => String(add(a, b)),
        },
      };
      const request = { model: place.model, messages: messages(toolQuestion), tools: [tool] };
      const completions = open(place);
      const runner = stream ? completions.runTools({ ...request, stream: true }) : completions.runTools(request);
      return (await runner.finalContent()) ?? "";
    },
    parsed: async (place) => {
      const response_format = helpers.zodResponseFormat(answerSchema, "answer");
      const completion = await open(place).parse({ model: place.model, messages: messages(jsonQuestion), response_format });
      return completion.choices[0]?.message.parsed;
    },
    leave: async (place, { signal, onText }) => {
      const stream = await open(place).create({ model: place.model, messages: messages(question), stream: true }, { signal });
      for await (const { choices } of stream) if (choices[0]?.delta.content) onText();
    },
  };
}

async function respondToTools(responses: OpenAI["responses"], model: string, { add, stream }: Tooled): Promise<string> {
  const tools = [{ type: "function" as const, name: "add", description, parameters, strict: true }];
  let input: ResponseInput = messages(toolQuestion);
  let previous_response_id: string | null = null;
  for (;;) {
    const request = { model, input, tools, previous_response_id };
    const response: Response = stream ? await responses.stream(request).finalResponse() : await responses.create(request);
    const calls = response.output.filter((item) => item.type === "function_call");
    if (calls.length === 0) return response.output_text;
    input = calls.map(({ call_id, arguments: text }) => {
      const { a, b } = sumSchema.parse(JSON.parse(text));
      return { type: "function_call_output", call_id, output: String(add(a, b)) };
    });
    previous_response_id = response.id;
  }
}

function responses({ library, OpenAI, helpers }: Line): Client {
  const open = ({ baseURL, apiKey, maxRetries }: Place) => new OpenAI({ baseURL, apiKey, maxRetries }).responses;
  return {
    id: `${library}-responses`,
    library: "`openai`",
    version: versionOf(library),
    api: "responses",
    errors,
    heeds: true,
    plain: async (place, signal) => {
      const { output_text: text, usage } = await open(place).create({ model: place.model, input: question }, { signal });
      return { text, tokens: [usage?.input_tokens, usage?.output_tokens] };
    },
    stream: async (place) => {
      const pieces: string[] = [];
      const stream = open(place).stream({ model: place.model, input: question });
      stream.on("response.output_text.delta", ({ delta }) => pieces.push(delta));
      await stream.finalResponse();
      return pieces;
    },
    tools: (place, tooled) => respondToTools(open(place), place.model, tooled),
    parsed: async (place) => {
      const text = { format: helpers.zodTextFormat(answerSchema, "answer") };
      const response = await open(place).parse({ model: place.model, input: jsonQuestion, text });
      return response.output_parsed;
    },
    leave: async (place, { signal, onText }) => {
      const stream = await open(place).create({ model: place.model, input: question, stream: true }, { signal });
      for await (const event of stream) if (event.type === "response.output_text.delta") onText();
    },
  };
}

const seven: Line = { library: "openai", OpenAI, helpers };
// Classes of two copies of a package are never the same type.
const six: Line = { library: "openai-6", OpenAI: OpenAI6 as unknown as typeof OpenAI, helpers: helpers6 };

export const openaiClients: readonly Client[] = [seven, six].flatMap((line) => [chat(line), responses(line)]);
