import type { Message } from "../../model/request.ts";
import type { Json } from "../translate/json.ts";
import type { Part } from "../translate/parts.ts";
import type { Thought } from "../translate/reasoning.ts";
import { inOrder } from "../translate/said.ts";
import { mergeTurns, readTurns, type Called, type Result, type Turn } from "../translate/turns.ts";
import { blockOf, cacheHint, CallIds, inputOf } from "./blocks.ts";
import { thoughtsOf, type AssistantTurn, type Recall } from "./thoughts.ts";

export interface Conversation {
  readonly system: readonly Json[];
  readonly messages: readonly Json[];
  /** The answer goes on from the last message, which is the assistant's own. */
  readonly isPrefilled: boolean;
  /** The calls that were answered last were made without a signed thought. */
  readonly isUnsigned: boolean;
  /** Names of the tools that were called. */
  readonly called: readonly string[];
}

function thoughtBlock(thought: Thought): Json {
  if (thought.type === "encrypted") return { type: "redacted_thinking", data: thought.data };
  return { type: "thinking", thinking: thought.text, signature: thought.signature };
}

/** A later system message keeps its place; who speaks is told by a tag, for the API has systems only before the conversation. */
function asUser(turn: Turn): Turn {
  if (turn.role !== "system") return turn;
  const parts = turn.parts.map((part): Part => (part.type === "text" ? { ...part, text: `<system>\n${part.text}\n</system>` } : part));
  return { role: "user", results: [], parts };
}

/** Writes turns as messages of the API. */
class MessageWriter {
  readonly #upstream: string;
  readonly #recall: Recall;
  readonly #ids = new CallIds();

  constructor(upstream: string, recall: Recall) {
    this.#upstream = upstream;
    this.#recall = recall;
  }

  /** Blocks without text are refused there, so the empty ones go. */
  blocks(parts: readonly Part[]): readonly Json[] {
    return parts.filter((part) => part.type !== "text" || part.text !== "").map((part) => blockOf(part, this.#upstream));
  }

  message(turn: Turn): Json {
    if (turn.role === "assistant") return { role: "assistant", content: this.#assistant(turn) };
    const results = turn.role === "user" ? turn.results.map((result) => this.#result(result)) : [];
    const blocks = [...results, ...this.blocks(turn.parts)];
    // A message that says nothing is for the API to judge.
    return { role: "user", content: blocks.length > 0 ? plainOf(blocks) : "" };
  }

  #assistant(turn: AssistantTurn): unknown {
    const said = inOrder(turn, thoughtsOf(turn, this.#recall));
    return plainOf(
      said.flatMap((one) =>
        one.type === "thought" ? [thoughtBlock(one.thought)] : one.type === "call" ? [this.#call(one.call)] : this.#words(one.part),
      ),
    );
  }

  #words(part: Part): readonly Json[] {
    // White space between two thoughts is no text to that API.
    if (part.type === "text" && part.text.trim() === "") return [];
    const { citations } = part.from;
    return this.blocks([part]).map((block) => (block["type"] === "text" && Array.isArray(citations) ? { ...block, citations } : block));
  }

  #call({ id, name, arguments: text, from }: Called): Json {
    return { type: "tool_use", id: this.#ids.of(id), name, input: inputOf(text), ...cacheHint(from) };
  }

  #result({ id, parts, isError, from }: Result): Json {
    const blocks = this.blocks(parts);
    return {
      type: "tool_result",
      tool_use_id: this.#ids.of(id),
      ...(blocks.length > 0 ? { content: plainOf(blocks) } : {}),
      ...(isError ? { is_error: true } : {}),
      ...cacheHint(from),
    };
  }
}

/** One plain text needs no block round it. */
function plainOf(blocks: readonly Json[]): unknown {
  const [only] = blocks;
  return blocks.length === 1 && only && only["type"] === "text" && Object.keys(only).length === 2 ? only["text"] : blocks;
}

/** The answer goes on where this text ends; the API refuses white space there. */
function trimmed(turn: Turn): Turn {
  const last = turn.parts.at(-1);
  if (turn.role !== "assistant" || turn.calls.length > 0 || last?.type !== "text") return turn;
  return { ...turn, parts: [...turn.parts.slice(0, -1), { ...last, text: last.text.trimEnd() }] };
}

function isUnsigned(turns: readonly Turn[], recall: Recall): boolean {
  const last = turns.at(-1);
  const before = turns.at(-2);
  return last?.role === "user" && last.results.length > 0 && before?.role === "assistant" && thoughtsOf(before, recall).length === 0;
}

const opening: Turn = { role: "user", results: [], parts: [{ type: "text", text: ".", at: "messages", from: {} }] };

/** Reads OpenAI messages as a conversation of the Messages API. Throws `unsupported_parameter` with the path of what it can not say. */
export function readConversation(messages: readonly Message[], upstream: string, recall: Recall): Conversation {
  const writer = new MessageWriter(upstream, recall);
  const read = readTurns(messages, upstream);
  const [first] = read;
  // Instructions alone are a question: without one there is no request.
  const hasSystem = first?.role === "system" && read.length > 1;
  const spoken = hasSystem ? read.slice(1) : read;
  const turns = [...mergeTurns(spoken.map((turn) => (read.length === 1 && turn.role === "system" ? plainUser(turn) : asUser(turn))))];
  if (turns[0]?.role === "assistant") turns.unshift(opening);
  const last = turns.at(-1);
  if (last) turns[turns.length - 1] = trimmed(last);
  return {
    system: hasSystem ? writer.blocks(first.parts) : [],
    messages: turns.map((turn) => writer.message(turn)),
    isPrefilled: last?.role === "assistant",
    isUnsigned: isUnsigned(turns, recall),
    called: [...new Set(turns.flatMap((turn) => (turn.role === "assistant" ? turn.calls.map(({ name }) => name) : [])))],
  };
}

function plainUser({ parts }: Turn): Turn {
  return { role: "user", results: [], parts };
}
