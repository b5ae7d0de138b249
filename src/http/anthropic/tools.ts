import { invalid, isObject, quoted, unsupported, type Json } from "../openai/responses/json.ts";
import { isGiven } from "./fields.ts";
import { hintOf } from "./parts.ts";

export interface ToolOptions {
  /** Leave out tools that a server would have to run, instead of refusing them. */
  readonly dropHosted: boolean;
  readonly warn: (warning: string) => void;
}

function isOurs(tool: unknown): boolean {
  return !isObject(tool) || !isGiven(tool["type"]) || tool["type"] === "custom";
}

function nameAt(value: unknown, at: string): string {
  return typeof value === "string" && value !== "" ? value : invalid(`${at}.name`, "it is required");
}

function refuseCallers({ allowed_callers: callers }: Json, at: string): void {
  if (!isGiven(callers)) return;
  const isDirect = Array.isArray(callers) && callers.every((caller) => caller === "direct");
  if (!isDirect) unsupported(`${at}.allowed_callers`, "a model calls its tools directly here");
}

function toolOf(tool: unknown, at: string, warn: ToolOptions["warn"]): Json {
  if (!isObject(tool)) invalid(at, "expected an object");
  const { type, name, description, input_schema: schema, strict, defer_loading: deferred, input_examples: examples } = tool;
  if (!isOurs(tool)) {
    if (typeof type !== "string") return invalid(`${at}.type`, "expected a string");
    return unsupported(
      `${at}.type`,
      `a tool of type ${quoted(type)} runs at Anthropic and not here; offer tools with an input_schema, or send the header ` +
        "x-chorale-hosted-tools: drop",
    );
  }
  if (!isObject(schema)) invalid(`${at}.input_schema`, "it is required");
  if (isGiven(description) && typeof description !== "string") invalid(`${at}.description`, "expected a string");
  if (isGiven(strict) && typeof strict !== "boolean") invalid(`${at}.strict`, "expected a boolean");
  if (deferred === true) unsupported(`${at}.defer_loading`, "tools are not searched here");
  refuseCallers(tool, at);
  if (isGiven(examples)) warn(`${at}.input_examples left out`);
  const fn = {
    name: nameAt(name, at),
    ...(isGiven(description) ? { description } : {}),
    parameters: schema,
    ...(isGiven(strict) ? { strict } : {}),
  };
  return { type: "function", function: fn, ...hintOf(tool, at) };
}

/**
 * What only leaves of this API are told of the tools, under their names. It changes nothing but how the arguments are streamed, so for other
 * servers it is not there.
 */
export function toolHints(tools: unknown): readonly Json[] {
  if (!Array.isArray(tools)) return [];
  return tools.flatMap((tool: unknown, index) => {
    if (!isObject(tool) || !isOurs(tool)) return [];
    const { name, eager_input_streaming: eager } = tool;
    if (!isGiven(eager)) return [];
    if (typeof eager !== "boolean") invalid(`tools[${index}].eager_input_streaming`, "expected a boolean");
    return [{ name, eager_input_streaming: eager }];
  });
}

/** The tools as a chat has them. */
export function toolsOf(tools: unknown, { dropHosted, warn }: ToolOptions): readonly Json[] {
  if (!isGiven(tools)) return [];
  if (!Array.isArray(tools)) invalid("tools", "expected an array");
  const kept: Json[] = [];
  for (const [index, tool] of tools.entries()) {
    if (dropHosted && !isOurs(tool)) warn(`tool of type ${quoted((tool as Json)["type"])} left out`);
    else kept.push(toolOf(tool, `tools[${index}]`, warn));
  }
  return kept;
}

const modes: Readonly<Record<string, string>> = { auto: "auto", any: "required", none: "none" };

/** The choice among the tools, and whether several may be called at once. Without tools there is nothing to choose. */
export function toolChoiceOf(choice: unknown, hasTools: boolean): Json {
  if (!isGiven(choice)) return {};
  if (!isObject(choice)) invalid("tool_choice", "expected an object with a type");
  const { type, name, disable_parallel_tool_use: single } = choice;
  const mode = typeof type === "string" && Object.hasOwn(modes, type) ? modes[type] : undefined;
  if (mode === undefined && type !== "tool") invalid("tool_choice.type", "expected one of auto, any, tool, none");
  if (isGiven(single) && typeof single !== "boolean") invalid("tool_choice.disable_parallel_tool_use", "expected a boolean");
  if (!hasTools && (mode === undefined || mode === "required")) invalid("tool_choice", "it needs tools");
  if (!hasTools) return {};
  return {
    tool_choice: mode ?? { type: "function", function: { name: nameAt(name, "tool_choice") } },
    ...(single === true ? { parallel_tool_calls: false } : {}),
  };
}
