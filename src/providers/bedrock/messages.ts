import { createHash } from "node:crypto";
import type { ChatBody } from "../../model/request.ts";
import { isRecord, parseExactly, RawJson, type Json } from "../translate/json.ts";
import type { Part } from "../translate/parts.ts";
import type { Thought } from "../translate/reasoning.ts";
import { inOrder, type Said } from "../translate/said.ts";
import { readTurns, type Called, type Result, type Turn } from "../translate/turns.ts";
import { unsupported } from "../translate/unsupported.ts";
import { mediaBlock, tellDocuments, type MediaOptions } from "./media.ts";
import { thoughtsOf, type ThoughtOptions } from "./thoughts.ts";

export interface MessagesOptions extends MediaOptions, ThoughtOptions {
  /** What the model wants an id of a call to look like. */
  readonly ids: RegExp;
}

export interface Told {
  readonly role: "user" | "assistant";
  content: readonly Json[];
}

export interface Messages {
  readonly system: readonly Json[];
  readonly messages: readonly Told[];
  /** Names of the tools that the conversation has called. */
  readonly called: ReadonlySet<string>;
}

/** A hint of a client that all up to here should be kept in the upstream's cache; in OpenAI's words and in Anthropic's. */
export function cachePoint({ prompt_cache_breakpoint: breakpoint, cache_control: control }: Json): readonly Json[] {
  if (!isRecord(breakpoint) && !isRecord(control)) return [];
  const ttl = isRecord(control) ? control["ttl"] : undefined;
  return [{ cachePoint: { type: "default", ...(ttl === "5m" || ttl === "1h" ? { ttl } : {}) } }];
}

function toBlocks(parts: readonly Part[], options: MessagesOptions): readonly Json[] {
  return parts.flatMap((part): readonly Json[] => {
    if (part.type === "audio") throw unsupported(options.upstream, `${part.at}.input_audio`, "it takes no audio");
    // A text without text is refused there, and says nothing.
    const block = part.type === "text" ? (part.text.trim() === "" ? [] : [{ text: part.text }]) : [mediaBlock(part, options)];
    return [...block, ...cachePoint(part.from)];
  });
}

/** An id of a call in a form that the model takes: always the same for the same one. */
function callId(id: string, { ids }: MessagesOptions): string {
  return ids.test(id) ? id : createHash("sha256").update(id).digest("hex").slice(0, 9);
}

/** The arguments as they were written, when they are a JSON object; text that is none goes back to the model as it was, in one. */
function inputOf(text: string): unknown {
  if (text.trim() === "") return {};
  try {
    if (isRecord(parseExactly(text))) return new RawJson(text.trim());
  } catch {
    // Not JSON: see above.
  }
  return { arguments: text };
}

function callBlock({ id, name, arguments: text }: Called, options: MessagesOptions): Json {
  return { toolUse: { toolUseId: callId(id, options), name, input: inputOf(text) } };
}

function resultBlock({ id, parts, isError }: Result, options: MessagesOptions): Json {
  const content = toBlocks(parts, options).filter((block) => block["cachePoint"] === undefined);
  return {
    toolResult: {
      toolUseId: callId(id, options),
      // Neither an empty list nor an empty text is taken.
      content: content.length > 0 ? content : [{ json: { result: "" } }],
      ...(isError ? { status: "error" } : {}),
    },
  };
}

function thoughtBlock(thought: Thought): Json {
  if (thought.type === "encrypted") return { reasoningContent: { redactedContent: thought.data } };
  const { text, signature } = thought;
  return { reasoningContent: { reasoningText: { text, signature } } };
}

function spokenBlocks(said: Said, options: MessagesOptions): readonly Json[] {
  if (said.type === "part") return toBlocks([said.part], options);
  return [said.type === "call" ? callBlock(said.call, options) : thoughtBlock(said.thought)];
}

function contentOf(turn: Turn, options: MessagesOptions): readonly Json[] {
  if (turn.role === "assistant") return inOrder(turn, thoughtsOf(turn, options)).flatMap((said) => spokenBlocks(said, options));
  const said = toBlocks(turn.parts, options);
  return turn.role === "user" ? [...turn.results.map((result) => resultBlock(result, options)), ...said] : said;
}

/** An answer that the model is to go on with: white space at its end is refused there. */
function trimmed(content: readonly Json[]): readonly Json[] {
  const last = content.at(-1);
  return typeof last?.["text"] === "string" ? [...content.slice(0, -1), { text: last["text"].trimEnd() }] : content;
}

/** The first word has to be the user's. */
const opening: Told = { role: "user", content: [{ text: "." }] };

/** What an empty turn says, as far as that can be said. */
function blankOf({ parts }: Turn): Json {
  return { text: parts.map((part) => (part.type === "text" ? part.text : "")).join("") };
}

function tellTurns(turns: readonly Turn[], options: MessagesOptions): readonly Told[] {
  const told: Told[] = [];
  for (const turn of turns) {
    const role = turn.role === "assistant" ? "assistant" : "user";
    const content = contentOf(turn, options);
    const last = told.at(-1);
    if (last?.role === role) last.content = [...last.content, ...content];
    else if (content.length > 0) told.push({ role, content });
  }
  const last = turns.at(-1);
  // Without their turn the model would go on with its own words. What a user means who says nothing is for the API to judge.
  if (last && last.role !== "assistant" && told.at(-1)?.role !== "user") told.push({ role: "user", content: [blankOf(last)] });
  const end = told.at(-1);
  if (end?.role === "assistant") end.content = trimmed(end.content);
  tellDocuments(told);
  return told[0]?.role === "assistant" ? [opening, ...told] : told;
}

/**
 * The messages as Converse wants them: instructions in front by themselves, then user and assistant by turns, all results of one turn of tools in
 * front of what the user says. An instruction in the middle is told by the user.
 */
export function toMessages({ messages }: ChatBody, options: MessagesOptions): Messages {
  const { upstream, dropped } = options;
  if (messages.some(({ role, name }) => role !== "tool" && role !== "function" && name !== undefined && name !== null))
    dropped.add("messages[].name");
  const heard = messages.findIndex(({ audio }) => audio !== undefined && audio !== null);
  if (heard >= 0) throw unsupported(upstream, `messages[${heard}].audio`);
  const turns = readTurns(messages, upstream);
  const [first] = turns;
  const leads = first?.role === "system";
  const told = tellTurns(leads ? turns.slice(1) : turns, options);
  const system = leads ? toBlocks(first.parts, options) : [];
  const called = new Set(turns.flatMap((turn) => (turn.role === "assistant" ? turn.calls.map(({ name }) => name) : [])));
  // An instruction that stands alone is what is asked.
  if (told.length === 0) return { system: [], messages: [{ role: "user", content: system }], called };
  return { system, messages: told, called };
}
