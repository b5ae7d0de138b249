import type { Message } from "../../model/request.ts";
import { CallNumbers } from "./call-numbers.ts";
import { isRecord, textOf, type Json } from "./json.ts";
import { readParts, type Part } from "./parts.ts";
import { unsupported } from "./unsupported.ts";

/** A call of a tool, as the assistant made it. */
export interface Called {
  /** No other call of the conversation has it. */
  readonly id: string;
  readonly name: string;
  /** JSON text as the client wrote it; may be empty, and may be no JSON. */
  readonly arguments: string;
  /** The entry of `tool_calls`, for fields beside the known ones. */
  readonly from: Json;
}

export interface Result {
  readonly id: string;
  /** The name of the tool that was called. */
  readonly name: string;
  readonly parts: readonly Part[];
  readonly isError: boolean;
  /** The tool message. */
  readonly from: Json;
}

/** What one side says until the other one does, in the order of the conversation. Consecutive messages of one role are one turn. */
export type Turn =
  | { readonly role: "system"; readonly parts: readonly Part[] }
  /** The results of the calls before come first, as every native API wants them: all in one turn. */
  | { readonly role: "user"; readonly results: readonly Result[]; readonly parts: readonly Part[] }
  | {
      readonly role: "assistant";
      readonly parts: readonly Part[];
      readonly calls: readonly Called[];
      /** The messages behind it, for reasoning and fields that are not known here. */
      readonly from: readonly Json[];
    };

function calledOf(call: unknown, at: string, upstream: string): Called {
  const from = isRecord(call) ? call : {};
  const fn = from["function"];
  if (!isRecord(fn)) throw unsupported(upstream, `${at}.type`, "only calls of functions can be told there");
  const { name, arguments: text } = fn;
  return {
    id: textOf(from["id"]),
    name: textOf(name),
    arguments: typeof text === "string" ? text : JSON.stringify(text ?? {}),
    from,
  };
}

/** The calls of a message, those of the deprecated `function_call` among them; that one has no id, so its name stands for one. */
function callsOf(message: Json, at: string, upstream: string): readonly Called[] {
  const { tool_calls: calls, function_call: legacy } = message;
  if (Array.isArray(calls)) return calls.map((call, index) => calledOf(call, `${at}.tool_calls[${index}]`, upstream));
  return isRecord(legacy) ? [calledOf({ id: legacyId(legacy["name"]), function: legacy }, `${at}.function_call`, upstream)] : [];
}

function legacyId(name: unknown): string {
  return `function_${textOf(name)}`;
}

type Of<Role extends Turn["role"]> = Turn & { readonly role: Role };

/** Turns of one role as one. */
function oneOf(turns: readonly Turn[]): Turn | undefined {
  const [first] = turns;
  if (turns.length === 1 || !first) return first;
  const parts = turns.flatMap((turn) => turn.parts);
  if (first.role === "system") return { role: "system", parts };
  // A result after text can not be: its call would stand between them.
  if (first.role === "user") return { role: "user", results: (turns as readonly Of<"user">[]).flatMap(({ results }) => results), parts };
  const spoken = turns as readonly Of<"assistant">[];
  return { role: "assistant", parts, calls: spoken.flatMap(({ calls }) => calls), from: spoken.flatMap(({ from }) => from) };
}

/** Neighbours of one role become one turn. */
export function mergeTurns(turns: readonly Turn[]): readonly Turn[] {
  const out: Turn[] = [];
  for (let from = 0, to = 1; from < turns.length; from = to, to += 1) {
    while (to < turns.length && turns[to]?.role === turns[from]?.role) to += 1;
    const one = oneOf(turns.slice(from, to));
    if (one) out.push(one);
  }
  return out;
}

/** A caching hint of a whole message belongs to its last part. */
function hinted(parts: readonly Part[], { cache_control: hint }: Json): readonly Part[] {
  const last = parts.at(-1);
  return last && isRecord(hint) ? [...parts.slice(0, -1), { ...last, from: { cache_control: hint, ...last.from } }] : parts;
}

function isEmpty(turn: Turn): boolean {
  return turn.role === "assistant" && turn.parts.length === 0 && turn.calls.length === 0;
}

/**
 * Reads OpenAI messages as turns. A message of the assistant's that says nothing is left out, before turns are merged. Throws
 * `unsupported_parameter` with the path of what is not known.
 */
export function readTurns(messages: readonly Message[], upstream: string): readonly Turn[] {
  const heard: Heard = { upstream, names: new Map(), ids: new CallNumbers() };
  const turns = messages.map((message, index) => turnOf(message, `messages[${index}]`, heard));
  return mergeTurns(turns.filter((turn) => !isEmpty(turn)));
}

/** What is known of the calls before a message. */
interface Heard {
  readonly upstream: string;
  /** Of the tools, by the id of the call. */
  readonly names: Map<string, string>;
  readonly ids: CallNumbers;
}

function turnOf(message: Message, at: string, { upstream, names, ids }: Heard): Turn {
  const { role } = message;
  const read = readParts(message.content, `${at}.content`, upstream);
  const parts = role === "tool" ? read : hinted(read, message);
  if (role === "system" || role === "developer") return { role: "system", parts };
  if (role === "assistant") {
    const calls = callsOf(message, at, upstream).map((call) => ({ ...call, id: ids.call(call.id) }));
    for (const { id, name } of calls) names.set(id, name);
    const { refusal } = message;
    const said: readonly Part[] =
      parts.length === 0 && typeof refusal === "string" && refusal !== "" ? [{ type: "text", text: refusal, at, from: {} }] : parts;
    return { role: "assistant", parts: said, calls, from: [message] };
  }
  if (role !== "tool" && role !== "function") return { role: "user", results: [], parts };
  const id = ids.result(role === "tool" ? textOf(message["tool_call_id"]) : legacyId(message["name"]));
  const result = { id, name: names.get(id) ?? textOf(message["name"]), parts, isError: message["is_error"] === true, from: message };
  return { role: "user", results: [result], parts: [] };
}
