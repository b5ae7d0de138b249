import type { ChatBody } from "../model/request.ts";
import { GatewayError } from "../model/errors.ts";
import { fill, type Hints } from "./demo-schema.ts";

/** A tool that a request offers. */
interface Tool {
  readonly name: string;
  readonly custom: boolean;
  /** The JSON schema of a function's arguments. */
  readonly parameters: unknown;
}

/** A call of one tool: a function's arguments as JSON, a custom tool's input as it is. */
export interface Invocation {
  readonly name: string;
  readonly custom: boolean;
  readonly text: string;
}

interface Choice {
  readonly mode: "none" | "auto" | "required";
  /** Only these may be called; undefined is all. */
  readonly names?: readonly string[];
}

type Fields = Readonly<Record<string, unknown>>;

function fieldsOf(value: unknown): Fields {
  return typeof value === "object" && value !== null ? (value as Fields) : {};
}

function toTool(entry: unknown): Tool {
  const fields = fieldsOf(entry);
  const custom = fields["type"] === "custom";
  const inner = fieldsOf(fields[custom ? "custom" : "function"]);
  const name = typeof inner["name"] === "string" ? inner["name"] : "";
  return { name, custom, parameters: { type: "object", ...fieldsOf(inner["parameters"]) } };
}

function toChoice(value: unknown): Choice {
  if (value === "none" || value === "required") return { mode: value };
  const fields = fieldsOf(value);
  if (fields["type"] === "allowed_tools") {
    const allowed = fieldsOf(fields["allowed_tools"]);
    const tools: readonly unknown[] = Array.isArray(allowed["tools"]) ? allowed["tools"] : [];
    return { mode: allowed["mode"] === "required" ? "required" : "auto", names: tools.map((tool) => toTool(tool).name) };
  }
  if (fields["type"] === "function" || fields["type"] === "custom") return { mode: "required", names: [toTool(value).name] };
  return { mode: "auto" };
}

/**
 * The tools that an answer calls: those that the message names, or where a call is required and it names none, the first. A turn that brings
 * the results of tools is answered in words, unless a call is required.
 */
export function callsOf(body: ChatBody, said: string, seed: string): readonly Invocation[] {
  const choice = toChoice(body.tool_choice ?? "auto");
  if (choice.mode === "none") return [];
  const offered = (body.tools ?? []).map(toTool).filter(({ name }) => choice.names?.includes(name) ?? true);
  const words = toWords(said.slice(0, MAX_READ));
  const named = offered.filter(({ name }) => words.includes(toWords(name)));
  if (choice.mode === "required") {
    const [first] = offered;
    if (!first)
      throw new GatewayError("upstream_invalid", "tool_choice demands a tool that is not among the tools.", { param: "tool_choice" });
    return [invoke(named[0] ?? first, said, seed)];
  }
  if (body.messages.at(-1)?.role !== "user") return [];
  return named.slice(0, body["parallel_tool_calls"] === false ? 1 : MOST_CALLS).map((tool) => invoke(tool, said, seed));
}

const MOST_CALLS = 8;

/** A message is searched for names so far, in characters. */
const MAX_READ = 10_000;

/** `get_weather` and `getWeather` are named by themselves and by "get weather". */
function toWords(text: string): string {
  const words =
    text
      .replaceAll(/([a-z])([A-Z])/g, "$1 $2")
      .toLowerCase()
      .match(/[a-z0-9]+/g) ?? [];
  return ` ${words.join(" ")} `;
}

function invoke(tool: Tool, said: string, seed: string): Invocation {
  const { name, custom } = tool;
  const subject = subjectOf(said.slice(0, MAX_READ));
  if (custom) return { name, custom, text: subject };
  const hints: Hints = { answer: subject, reason: said.slice(0, 200), labels: [], confidence: 0.8, seed: `${seed} ${name}` };
  return { name, custom, text: JSON.stringify(fill(tool.parameters, hints)) };
}

/** What a message is about: a quotation, else the last name in it, else its last number, else its beginning. */
function subjectOf(said: string): string {
  const quoted = /["“'`]([^"”'`\n]{1,80})["”'`]/.exec(said)?.[1];
  const names = said.match(/(?<=[\p{L},] )\p{Lu}[\p{L}'-]+(?: \p{Lu}[\p{L}'-]+){0,3}/gu);
  const number = said.match(/-?\d+(?:\.\d+)?/g)?.at(-1);
  return quoted ?? names?.at(-1) ?? number ?? said.slice(0, 80);
}
