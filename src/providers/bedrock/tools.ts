import { GatewayError } from "../../model/errors.ts";
import type { ChatBody } from "../../model/request.ts";
import type { Json } from "../translate/json.ts";
import { subsetOf, type SchemaSubset } from "../translate/schema-subset.ts";
import { readTools, type Tool, type ToolChoice } from "../translate/tools.ts";
import { unsupported } from "../translate/unsupported.ts";
import { cachePoint } from "./messages.ts";

/** What structured outputs enforce there: https://docs.aws.amazon.com/bedrock/latest/userguide/structured-output.html, 2026-11. */
export const enforced: SchemaSubset = {
  known: new Set(
    "type enum const title description format properties required items anyOf allOf $ref $defs additionalProperties".split(" "),
  ),
  closed: true,
};

const nothing: Json = { type: "object", properties: {} };

function specOf({ name, description, parameters = nothing, strict }: Tool): Json {
  const schema = Object.keys(parameters).length === 0 ? nothing : parameters;
  return {
    name,
    ...(description === undefined ? {} : { description }),
    inputSchema: { json: strict ? subsetOf(schema, enforced) : schema },
    ...(strict ? { strict } : {}),
  };
}

const modes: Readonly<Record<Exclude<ToolChoice["mode"], "named">, Json>> = {
  none: {},
  auto: { toolChoice: { auto: {} } },
  required: { toolChoice: { any: {} } },
};

function chosen(choice: ToolChoice, tools: readonly Tool[]): Json {
  if (choice.mode !== "named") return modes[choice.mode];
  if (tools.some(({ name }) => name === choice.name)) return { toolChoice: { tool: { name: choice.name } } };
  throw new GatewayError("invalid_request", "Invalid 'tool_choice': it names a function that is not in `tools`.", { param: "tool_choice" });
}

export interface ToolOptions {
  readonly upstream: string;
  /** The value of `tools` with its own digits. */
  readonly given: unknown;
  /** Names of the tools that the conversation has called. */
  readonly called: ReadonlySet<string>;
  readonly dropped: Set<string>;
}

/** `toolConfig`, and whether a call is forced. */
export interface ToolSettings {
  readonly toolConfig?: Json;
  readonly isForced: boolean;
}

/** A conversation with calls in it needs `toolConfig` even where none may be made any more: it is refused without. */
export function toolSettings(body: ChatBody, { upstream, given, called, dropped }: ToolOptions): ToolSettings {
  const { tools, native, choice, parallel } = readTools(body, upstream, given);
  const [foreign] = native;
  if (foreign && Array.isArray(given))
    throw unsupported(upstream, `tools[${given.indexOf(foreign)}].type`, "only functions can be declared there");
  if (called.size === 0 && (tools.length === 0 || choice?.mode === "none")) return { isForced: false };
  // There is no word for "none": the tools have to be there, and the model may call them.
  if (choice?.mode === "none") dropped.add("tool_choice");
  // Nor is there one for a single call at a time.
  if (parallel === false && tools.length > 0) dropped.add("parallel_tool_calls");
  const known = new Set(tools.map(({ name }) => name));
  const past = tools.length > 0 ? [] : [...called].filter((name) => !known.has(name));
  const specs = [
    ...tools.flatMap((tool) => [{ toolSpec: specOf(tool) }, ...cachePoint(tool.from)]),
    ...past.map((name) => ({ toolSpec: { name, inputSchema: { json: nothing } } })),
  ];
  return {
    toolConfig: { tools: specs, ...(choice ? chosen(choice, tools) : {}) },
    isForced: choice?.mode === "required" || choice?.mode === "named",
  };
}
