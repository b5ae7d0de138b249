/** Scripts of an upstream of the OpenAI API that answers in the form that it is asked for. */
import { chunkStream, completionJson, json, sse, type Script, type StreamOptions } from "./upstream.ts";

/** An upstream of the OpenAI API that answers with this text, whole or streamed as it is asked. */
export function says(text: string, options: StreamOptions = {}): Script {
  const streamed = sse(chunkStream(text.match(/.{1,4}/gsu) ?? [], { usage: true, ...options }));
  const { reasoning, usage } = options;
  const message = reasoning ? { message: { reasoning_content: reasoning.join("") } } : {};
  const counted = typeof usage === "object" ? { usage } : {};
  const whole = json(200, completionJson(text, { ...message, ...counted, choice: { finish_reason: options.finish ?? "stop" } }));
  return (exchange) => (exchange.request.json["stream"] === true ? streamed(exchange) : whole(exchange));
}

/** An upstream of the OpenAI API that answers with calls of functions. */
export function calls(...tools: readonly { readonly id: string; readonly name: string; readonly arguments: string }[]): Script {
  const pieces = tools.map((tool) => ({ ...tool, arguments: tool.arguments.match(/.{1,3}/gsu) ?? [] }));
  const streamed = sse(chunkStream([], { usage: true, tools: pieces }));
  const tool_calls = tools.map(({ id, name, arguments: text }) => ({ id, type: "function", function: { name, arguments: text } }));
  const whole = json(200, completionJson(null, { message: { tool_calls }, choice: { finish_reason: "tool_calls" } }));
  return (exchange) => (exchange.request.json["stream"] === true ? streamed(exchange) : whole(exchange));
}
