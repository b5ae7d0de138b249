import type { ChatRequest } from "../../model/request.ts";
import { exactField, isRecord, type Json } from "../translate/json.ts";
import { readTools, type Tool, type ToolChoice } from "../translate/tools.ts";
import { cacheHint } from "./blocks.ts";
import { enforceable } from "./schema.ts";

/** What the body says of tools. */
export interface ToolFields {
  readonly tools?: readonly Json[];
  readonly tool_choice?: Json;
}

/** A call of the answer is forced. */
export function isForced({ tool_choice: choice }: ToolFields): boolean {
  return choice?.["type"] === "any" || choice?.["type"] === "tool";
}

/** What a client of the same API says of its tools beside the chat's fields, by their names. */
function hintsOf({ foreign }: ChatRequest): ReadonlyMap<unknown, Json> {
  const hints = foreign?.native?.["tools"];
  return new Map((Array.isArray(hints) ? (hints as readonly unknown[]) : []).filter(isRecord).map((hint) => [hint["name"], hint]));
}

function toolOf({ name, description, parameters, strict, from }: Tool, enforces: boolean): Json {
  // The API refuses a schema of another type, or of none.
  const schema = { ...parameters, type: "object" };
  const isStrict = strict && enforces;
  return {
    name,
    ...(description === undefined ? {} : { description }),
    input_schema: isStrict ? enforceable(schema) : schema,
    ...(isStrict ? { strict: true } : {}),
    ...cacheHint({ ...(from["function"] as Json | undefined), ...from }),
  };
}

const modes = { none: "none", auto: "auto", required: "any" } as const;

function choiceOf(choice: ToolChoice | undefined, parallel: boolean | undefined): Json | undefined {
  const single = parallel === false ? { disable_parallel_tool_use: true } : {};
  if (!choice) return parallel === false ? { type: "auto", ...single } : undefined;
  if (choice.mode === "named") return { type: "tool", name: choice.name, ...single };
  // Nothing is called, so nothing in parallel either.
  return { type: modes[choice.mode], ...(choice.mode === "none" ? {} : single) };
}

/**
 * Tools and the choice among them. `called` are the tools that the conversation knows: without tools of its own a request that tells of calls
 * is refused there, so they are declared, and not to be called. `enforces` says that the model keeps to strict schemas.
 */
export function toolFields(
  request: ChatRequest,
  upstream: string,
  { called, enforces }: { readonly called: readonly string[]; readonly enforces: boolean },
): ToolFields {
  const { tools, native, choice, parallel } = readTools(request.body, upstream, exactField(request, "tools"));
  const hints = hintsOf(request);
  const all = [...tools.map((tool) => ({ ...toolOf(tool, enforces), ...hints.get(tool.name) })), ...native];
  if (all.length > 0) {
    const said = choiceOf(choice, parallel);
    return { tools: all, ...(said ? { tool_choice: said } : {}) };
  }
  if (called.length === 0) return {};
  return { tools: called.map((name) => ({ name, input_schema: { type: "object" } })), tool_choice: { type: "none" } };
}
