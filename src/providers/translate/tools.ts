import type { ChatBody } from "../../model/request.ts";
import { isRecord, isText, textOf, type Json } from "./json.ts";
import { unsupported } from "./unsupported.ts";

export interface Tool {
  readonly name: string;
  readonly description?: string;
  /** A JSON Schema; absent for a tool without parameters. */
  readonly parameters?: Json;
  readonly strict: boolean;
  /** The entry of `tools`, for fields beside the known ones. */
  readonly from: Json;
}

export type ToolChoice = { readonly mode: "none" | "auto" | "required" } | { readonly mode: "named"; readonly name: string };

/** What a request says of tools. */
export interface Tools {
  readonly tools: readonly Tool[];
  /** Entries of a type that is not OpenAI's: tools of the server's own, by its own names. */
  readonly native: readonly Json[];
  /** Absent when the request leaves it open. */
  readonly choice?: ToolChoice;
  /** Absent when the request leaves it open. */
  readonly parallel?: boolean;
}

function toolOf(fn: unknown, from: Json): Tool {
  const { name, description, parameters, strict } = isRecord(fn) ? fn : {};
  return {
    name: textOf(name),
    ...(isText(description) ? { description } : {}),
    ...(isRecord(parameters) ? { parameters } : {}),
    strict: strict === true,
    from,
  };
}

function choiceOf(choice: unknown, upstream: string): { readonly choice?: ToolChoice; readonly only?: readonly string[] } {
  if (choice === "none" || choice === "auto" || choice === "required") return { choice: { mode: choice } };
  if (!isRecord(choice)) return {};
  const { type, function: fn, allowed_tools: allowed, name } = choice;
  if (type === "function" || (type === undefined && isText(name))) {
    return { choice: { mode: "named", name: textOf(isRecord(fn) ? fn["name"] : name) } };
  }
  if (type !== "allowed_tools" || !isRecord(allowed)) {
    throw unsupported(upstream, "tool_choice", `a choice of type ${JSON.stringify(type ?? null)} is not known here`);
  }
  const listed = Array.isArray(allowed["tools"]) ? (allowed["tools"] as readonly unknown[]) : [];
  const only = listed.map((tool) => {
    if (!isRecord(tool) || tool["type"] !== "function") throw unsupported(upstream, "tool_choice", "only functions can be allowed there");
    return textOf(isRecord(tool["function"]) ? tool["function"]["name"] : tool["name"]);
  });
  return { choice: { mode: allowed["mode"] === "required" ? "required" : "auto" }, only };
}

/**
 * Reads tools and the choice among them, in the deprecated form of `functions` too. `allowed_tools` leaves out the others: no native API has
 * it, and what is not told can not be called. Throws `unsupported_parameter` for custom tools. `given` is the value of `tools`, where it was
 * read with its own digits.
 */
export function readTools(body: ChatBody, upstream: string, given: unknown = body.tools): Tools {
  const tools: Tool[] = [];
  const native: Json[] = [];
  for (const [index, entry] of (Array.isArray(given) ? (given as readonly unknown[]) : []).entries()) {
    const from = isRecord(entry) ? entry : {};
    if (from["type"] === "function") tools.push(toolOf(from["function"], from));
    else if (from["type"] === "custom" && isRecord(from["custom"]))
      throw unsupported(upstream, `tools[${index}].type`, "custom tools take free text");
    else native.push(from);
  }
  for (const fn of Array.isArray(body.functions) ? (body.functions as readonly unknown[]) : []) tools.push(toolOf(fn, {}));
  const { choice, only } = choiceOf(body.tool_choice ?? body["function_call"], upstream);
  const parallel = body["parallel_tool_calls"];
  return {
    tools: only ? tools.filter(({ name }) => only.includes(name)) : tools,
    native: only ? [] : native,
    ...(choice ? { choice } : {}),
    ...(typeof parallel === "boolean" ? { parallel } : {}),
  };
}
