import { GatewayError } from "../../model/errors.ts";
import { change, type ChatRequest } from "../../model/request.ts";

const isNone = (choice: unknown): boolean => choice === "none";

/** Whether this turn may call a tool. A history of tool calls alone does not make it one. */
export function offersTools({ body }: ChatRequest): boolean {
  if (body.tools && body.tools.length > 0 && !isNone(body.tool_choice)) return true;
  return Boolean(body.functions && body.functions.length > 0 && !isNone(body["function_call"]));
}

const TOOL_FIELDS = ["tools", "tool_choice", "parallel_tool_calls", "functions", "function_call"];

/** The request without its tools, for a step of ours that must not call any. */
export function withoutTools(request: ChatRequest): ChatRequest {
  const present = TOOL_FIELDS.filter((field) => request.body[field] !== undefined);
  return present.length > 0 ? change(request, Object.fromEntries(present.map((field) => [field, undefined]))) : request;
}

/** What a turn with tools is told under `policy: refuse`. */
export function refusedTools({ body }: ChatRequest): GatewayError {
  return new GatewayError("unsupported_parameter", "This model does not take tools.", {
    param: body.tools?.length ? "tools" : "functions",
  });
}
