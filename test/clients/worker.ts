/** The model behind every client: what it does stands in the name that it is asked by. */
import { chunkStream, completionJson, cut, errorJson, json, sse, stall, type Script } from "../support/upstream.ts";

export const answers = { text: "The sum is 5.", tool: "add says 5.", json: { answer: 5 } } as const;

/** As the API words it: some clients know the failure by its words alone. */
const tooLong = "This model's maximum context length is 8 tokens. However, your messages resulted in 12 tokens.";

const call = { id: "call_1", name: "add", arguments: '{"a": 2,"b":3}' };

/** What a worker does otherwise than answer. Panels ask three of them at once: only the writer, or who stands alone, breaks off or stalls. */
export type Deed = "answer" | "break" | "stall" | "limit" | "fail" | "refuse";

/** `<deed>-<case>`, and for a member of a panel `-a` or `-b`. */
export function worker(): Script {
  const asked = new Map<string, number>();
  return (exchange) => {
    const { model = "", json: body } = exchange.request;
    const turn = asked.get(model) ?? 0;
    asked.set(model, turn + 1);
    const deed = model.split("-", 1)[0] as Deed;
    const isLast = !/-[ab]$/.test(model);
    if (deed === "limit" && turn === 0)
      return json(429, errorJson("Slow down.", { code: "rate_limit_exceeded" }), { "retry-after-ms": "20" })(exchange);
    if (deed === "fail") return json(500, errorJson("Broken.", { type: "server_error" }))(exchange);
    if (deed === "refuse") return json(400, errorJson(tooLong, { code: "context_length_exceeded", param: "messages" }))(exchange);
    const { text, called } = answerTo(body);
    const pieces = text.match(/.{1,4}/gsu) ?? [];
    if (body["stream"] !== true) {
      if (isLast && deed === "stall") return stall()(exchange);
      const message = called
        ? { tool_calls: [{ id: call.id, type: "function", function: { name: call.name, arguments: call.arguments } }] }
        : {};
      const choice = { finish_reason: called ? "tool_calls" : "stop" };
      return json(200, completionJson(called ? null : text, { message, choice }))(exchange);
    }
    const tools = called ? { tools: [{ ...call, arguments: call.arguments.match(/.{1,3}/gsu) ?? [] }] } : {};
    const frames = chunkStream(called ? [] : pieces, { usage: true, ...tools });
    if (isLast && deed === "break") return cut(frames, 3)(exchange);
    if (isLast && deed === "stall") return sse(frames.slice(0, 2), { ending: "stall" })(exchange);
    return sse(frames)(exchange);
  };
}

/** A call while there is a tool without a result, JSON where a format is asked for, else a sentence. */
function answerTo(body: Readonly<Record<string, unknown>>): { readonly text: string; readonly called: boolean } {
  const messages = body["messages"] as readonly { readonly role: string }[];
  if (messages.at(-1)?.role === "tool") return { text: answers.tool, called: false };
  if (Array.isArray(body["tools"]) && body["tools"].length > 0) return { text: "", called: true };
  return { text: body["response_format"] ? JSON.stringify(answers.json) : answers.text, called: false };
}
