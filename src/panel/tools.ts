import { enter, type Call } from "../model/call.ts";
import { GatewayError } from "../model/errors.ts";
import type { ModelEvent } from "../model/events.ts";
import type { Model } from "../model/model.ts";
import { change, type ChatRequest } from "../model/request.ts";

/** Who answers a turn that offers tools: one model, whole, or nobody. Never the panel, whose calls nobody could merge. */
export type ToolsRule = { readonly policy: "owner"; readonly owner: Model } | { readonly policy: "refuse" };

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

/** Hands a turn with tools to its owner, untouched: settings of its seat or of the writer do not apply. */
export async function* answerTools(rule: ToolsRule, request: ChatRequest, call: Call): AsyncGenerator<ModelEvent> {
  if (rule.policy === "refuse") {
    throw new GatewayError("unsupported_parameter", "This model does not take tools.", {
      param: request.body.tools?.length ? "tools" : "functions",
    });
  }
  call.span.decision = { tools: "owner", owner: rule.owner.name };
  yield* rule.owner.stream(request, enter(call, { label: "owner" }));
}
