import { hash } from "node:crypto";
import { change, type ChatRequest, type Message } from "../../model/request.ts";

interface Call {
  readonly id?: unknown;
}

function callsOf({ tool_calls: calls }: Message): readonly Call[] {
  return Array.isArray(calls) ? (calls as readonly Call[]) : [];
}

/** An id that every server takes, always the same for the same one. */
function shortened(id: string): string {
  return hash("sha256", id).slice(0, 9);
}

/**
 * Ids of calls that another server made, in a form that this one takes: its own are in that form already, so they stay. An agent's loop over
 * several servers brings the calls of all to each.
 */
export function ownCallIds(request: ChatRequest, form: RegExp): ChatRequest {
  const { messages } = request.body;
  const isForeign = (id: unknown): id is string => typeof id === "string" && !form.test(id);
  const isOdd = (message: Message) => isForeign(message["tool_call_id"]) || callsOf(message).some(({ id }) => isForeign(id));
  if (!messages.some(isOdd)) return request;
  const own = (id: unknown) => (isForeign(id) ? shortened(id) : id);
  const toOwn = (message: Message): Message => {
    const { tool_call_id: id, tool_calls: calls } = message;
    return {
      ...message,
      ...(id === undefined ? {} : { tool_call_id: own(id) }),
      ...(Array.isArray(calls) ? { tool_calls: callsOf(message).map((call) => ({ ...call, id: own(call.id) })) } : {}),
    };
  };
  return change(request, { messages: messages.map((message) => (isOdd(message) ? toOwn(message) : message)) });
}
