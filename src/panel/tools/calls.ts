/** What an answer calls, and whether the client can use it: read once for each candidate of a panel whose members all see the tools. */
import { textOf, type Completion } from "../../model/completion.ts";
import { change, type ChatRequest } from "../../model/request.ts";
import { jsonKey } from "../answers/json.ts";
import { validatorOf, type Validator } from "../schema.ts";
import { emptiness, isRefusal } from "../usable.ts";

/** One call: a function's arguments as JSON, a custom tool's input as it is. */
export interface ToolUse {
  readonly name: string;
  readonly custom: boolean;
  readonly text: string;
}

type Fields = Readonly<Record<string, unknown>>;

function fieldsOf(value: unknown): Fields {
  return typeof value === "object" && value !== null ? (value as Fields) : {};
}

function stringOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}

/** The calls of the first choice, in its order; a legacy `function_call` is one. */
export function usesOf({ choices }: Completion): readonly ToolUse[] {
  const message = choices[0]?.message;
  const calls = (message?.tool_calls ?? []).map(({ type, function: fn, custom }): ToolUse => {
    if (type === "custom") return { name: custom?.name ?? "", custom: true, text: custom?.input ?? "" };
    return { name: fn?.name ?? "", custom: false, text: fn?.arguments ?? "" };
  });
  const legacy = fieldsOf(message?.["function_call"]);
  const { name, arguments: text } = legacy;
  return typeof name === "string" ? [...calls, { name, custom: false, text: stringOf(text) }] : calls;
}

/** An empty text is what some servers write for no arguments. */
function argumentsOf({ text }: ToolUse): string {
  return text.trim() === "" ? "{}" : text;
}

/**
 * Equal for calls that do the same: arguments are compared by value (order of keys, spaces and forms of numbers do not count, digits beyond
 * 2^53 do), a custom tool's input, and what is no JSON, as it is written.
 */
export function useKey(use: ToolUse): string {
  const value = use.custom ? undefined : jsonKey(argumentsOf(use));
  return JSON.stringify([use.custom ? "custom" : "function", use.name, value ?? use.text]);
}

/** The names that are called, each as often as it is, whatever their order. */
export function namesKey(uses: readonly ToolUse[]): string {
  return uses
    .map(({ name }) => name)
    .sort()
    .join(" + ");
}

/** The calls together, whatever their order: the client runs them side by side. */
export function usesKey(uses: readonly ToolUse[]): string {
  return uses.map(useKey).sort().join(" + ");
}

/** Calls as a person writes them, for judges and records: `add({"a": 2})`. */
export function shownUses(uses: readonly ToolUse[]): string {
  return uses.map((use) => `${use.name}(${use.custom ? JSON.stringify(use.text) : argumentsOf(use)})`).join("\n");
}

interface Tool {
  readonly name: string;
  readonly custom: boolean;
  readonly parameters: unknown;
}

function toTool(entry: unknown): Tool {
  const fields = fieldsOf(entry);
  const custom = fields["type"] === "custom";
  const { name, parameters } = fieldsOf(fields[custom ? "custom" : "function"]);
  return { name: stringOf(name), custom, parameters };
}

/** A function and a custom tool may have one name. */
function toolKey({ name, custom }: Pick<Tool, "name" | "custom">): string {
  return `${custom ? "custom" : "function"} ${name}`;
}

/** The tools of a request; a legacy function is one. */
function toolsOf({ body }: ChatRequest): readonly Tool[] {
  const functions = (body.functions ?? []).map((entry) => toTool({ type: "function", function: entry }));
  return [...(body.tools ?? []).map(toTool), ...functions];
}

/** What `tool_choice` or the legacy `function_call` demands. */
interface Demand {
  readonly required: boolean;
  /** Only these, by their keys, may be called; undefined is all. */
  readonly names?: ReadonlySet<string>;
}

function demandOf({ body }: ChatRequest): Demand {
  const { tool_choice: choice, function_call: legacy } = body;
  if (choice === "required") return { required: true };
  const fields = fieldsOf(choice ?? legacy);
  const { type, name } = fields;
  if (type === "allowed_tools") {
    const { mode, tools } = fieldsOf(fields["allowed_tools"]);
    const listed: readonly unknown[] = Array.isArray(tools) ? tools : [];
    return { required: mode === "required", names: new Set(listed.map((tool) => toolKey(toTool(tool)))) };
  }
  if (type === "function" || type === "custom") return { required: true, names: new Set([toolKey(toTool(fields))]) };
  return typeof name === "string" ? { required: true, names: new Set([toolKey({ name, custom: false })]) } : { required: false };
}

/** Checks arguments against the schema of their tool. One that can not be used checks nothing: that is for the model's server to say. */
function schemaCheck({ parameters: schema }: Tool, request: ChatRequest): Validator {
  const anything: Validator = () => undefined;
  if (schema === undefined || schema === null) return anything;
  try {
    return validatorOf(change(request, { response_format: { type: "json_schema", json_schema: { schema } } })) ?? anything;
  } catch {
    return anything;
  }
}

/** What one request lets its answers call. */
export interface Toolbox {
  /** Why an answer does not count: it breaks what the request demands. */
  unusable(completion: Completion): string | undefined;
  /** Why a call's arguments are wrong: such an answer counts only when there is no better one. */
  fault(uses: readonly ToolUse[]): string | undefined;
}

export function toolboxOf(request: ChatRequest, refusals: "unusable" | "usable"): Toolbox {
  const tools = new Map(toolsOf(request).map((tool) => [toolKey(tool), tool]));
  const demand = demandOf(request);
  const single = request.body["parallel_tool_calls"] === false;
  const validator = validatorOf(request);
  const checks = new Map<string, Validator>();
  const checkOf = (tool: Tool): Validator => {
    const known = checks.get(toolKey(tool)) ?? schemaCheck(tool, request);
    checks.set(toolKey(tool), known);
    return known;
  };
  const badCall = (use: ToolUse): string | undefined => {
    if (!tools.has(toolKey(use))) return "it calls a tool that is not offered";
    return demand.names?.has(toolKey(use)) === false ? "it calls a tool that this turn does not allow" : undefined;
  };
  const badText = (completion: Completion): string | undefined => {
    const empty = emptiness(completion, refusals);
    if (empty !== undefined || isRefusal(completion)) return empty;
    const reason = validator?.(textOf(completion));
    return reason === undefined ? undefined : `it does not satisfy the schema (${reason})`;
  };
  return {
    unusable(completion) {
      const uses = usesOf(completion);
      if (uses.length === 0 && demand.required && !isRefusal(completion)) return "it calls no tool";
      if (uses.length === 0) return badText(completion);
      if (isRefusal(completion)) return "it is a refusal";
      if (single && uses.length > 1) return "it calls several tools at once";
      return uses.map(badCall).find((why) => why !== undefined);
    },
    fault(uses) {
      for (const use of uses) {
        const tool = tools.get(toolKey(use));
        if (use.custom || tool === undefined) continue;
        const text = argumentsOf(use);
        const why = jsonKey(text)?.startsWith("{") ? checkOf(tool)(text) : "they are no JSON object";
        if (why !== undefined) return `its arguments can not be used (${use.name}: ${why})`;
      }
      return undefined;
    },
  };
}
