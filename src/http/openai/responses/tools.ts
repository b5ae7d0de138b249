import { invalid, isObject, quoted, unsupported, type Json } from "./json.ts";

const own = new Set(["type", "name", "description", "parameters", "strict"]);
/** When and by whom a tool may be called at OpenAI: a chat has no word for it, and offers each tool to the model at once. */
const hints = new Set(["async", "allowed_callers", "defer_loading", "output_schema"]);

function given(fields: Json): Json {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined && value !== null));
}

function nameOf(tool: Json, at: string): string {
  const { name } = tool;
  return typeof name === "string" && name !== "" ? name : invalid(`${at}.name`, "it is required");
}

/** Both APIs describe a grammar, one of them a level deeper. */
function formatOf(format: unknown): unknown {
  if (!isObject(format) || format["type"] !== "grammar") return format;
  const { type, ...grammar } = format;
  return { type, grammar };
}

function toolOf(tool: unknown, at: string): Json {
  if (!isObject(tool)) invalid(at, "expected an object");
  const { type, description, parameters, strict, format } = tool;
  if (type === "function") {
    const more = Object.fromEntries(Object.entries(tool).filter(([key]) => !own.has(key) && !hints.has(key)));
    return { type, function: { name: nameOf(tool, at), ...given({ description, parameters, strict, ...more }) } };
  }
  if (type === "custom") return { type, custom: { name: nameOf(tool, at), ...given({ description, format: formatOf(format) }) } };
  if (typeof type !== "string") invalid(`${at}.type`, "expected a string");
  return unsupported(
    `${at}.type`,
    `a tool of type ${quoted(type)} runs at OpenAI and not here; offer function or custom tools, or send the header ` +
      "x-chorale-hosted-tools: drop",
  );
}

const isOurs = (tool: unknown) => !isObject(tool) || typeof tool["type"] !== "string" || ["function", "custom"].includes(tool["type"]);

/** The tools as a chat has them. `drop` leaves out those that a server would have to run, and tells `warn`. */
export function toolsOf(tools: unknown, drop: boolean, warn: (warning: string) => void): readonly Json[] {
  if (tools === undefined || tools === null) return [];
  if (!Array.isArray(tools)) invalid("tools", "expected an array");
  const kept: Json[] = [];
  for (const [index, tool] of tools.entries()) {
    if (drop && !isOurs(tool)) warn(`tool of type ${quoted((tool as Json)["type"])} left out`);
    else kept.push(toolOf(tool, `tools[${index}]`));
  }
  return kept;
}

function namedOf(choice: Json, at: string): Json {
  const { type } = choice;
  if (type === "function" || type === "custom") return { type, [type]: { name: nameOf(choice, at) } };
  return typeof type === "string"
    ? unsupported(`${at}.type`, `a tool of type ${quoted(type)} runs at OpenAI and not here`)
    : invalid(`${at}.type`, "expected a string");
}

/** The choice as a chat has it; undefined where the request offers no tools and asks for none. */
export function toolChoiceOf(choice: unknown, hasTools: boolean): unknown {
  const isFree = choice === undefined || choice === null || choice === "auto" || choice === "none";
  if (isFree) return hasTools ? (choice ?? undefined) : undefined;
  if (!hasTools) invalid("tool_choice", "it needs tools");
  if (choice === "required") return choice;
  if (!isObject(choice)) invalid("tool_choice", "expected none, auto, required or an object with a type");
  if (choice["type"] !== "allowed_tools") return namedOf(choice, "tool_choice");
  const { mode, tools } = choice;
  if (mode !== "auto" && mode !== "required") invalid("tool_choice.mode", "expected one of auto, required");
  if (!Array.isArray(tools)) invalid("tool_choice.tools", "expected an array");
  const named = tools.map((tool, index) => namedOf(isObject(tool) ? tool : {}, `tool_choice.tools[${index}]`));
  return { type: "allowed_tools", allowed_tools: { mode, tools: named } };
}

/** A tool as the answer shows it: strict clients want both fields. */
export function shownTool(tool: unknown): unknown {
  return isObject(tool) && tool["type"] === "function" ? { parameters: null, strict: null, ...tool } : tool;
}
