import { createHash } from "node:crypto";
import type { ChatBody } from "../../model/request.ts";
import { isRecord, parseExactly, RawJson, type Json } from "../translate/json.ts";
import type { ThoughtMemory } from "./answer.ts";
import type { Part } from "../translate/parts.ts";
import { readThoughts } from "../translate/reasoning.ts";
import { readTurns, type Called, type Result, type Turn } from "../translate/turns.ts";
import { unsupported } from "../translate/unsupported.ts";

export interface MessagesOptions {
  readonly upstream: string;
  /** What the model wants an id of a call to look like. */
  readonly ids: RegExp;
  /** Whose thoughts it takes back. */
  readonly thoughts: string;
  /** The thoughts behind calls whose client did not send them back. */
  readonly memory?: Pick<ThoughtMemory, "recall"> | undefined;
  /** Takes the names of what was left out. */
  readonly dropped: Set<string>;
}

export interface Messages {
  readonly system: readonly Json[];
  readonly messages: readonly Json[];
  /** Names of the tools that the conversation has called. */
  readonly called: ReadonlySet<string>;
}

const images: Readonly<Record<string, string>> = { "image/png": "png", "image/jpeg": "jpeg", "image/gif": "gif", "image/webp": "webp" };
const documents: Readonly<Record<string, string>> = {
  "application/pdf": "pdf",
  "text/csv": "csv",
  "text/html": "html",
  "text/plain": "txt",
  "text/markdown": "md",
  "application/msword": "doc",
  "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
  "application/vnd.ms-excel": "xls",
  "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
};

/** A hint of a client that all up to here should be kept in the upstream's cache; in OpenAI's words and in Anthropic's. */
export function cachePoint({ prompt_cache_breakpoint: breakpoint, cache_control: control }: Json): readonly Json[] {
  if (!isRecord(breakpoint) && !isRecord(control)) return [];
  const ttl = isRecord(control) ? control["ttl"] : undefined;
  return [{ cachePoint: { type: "default", ...(ttl === "5m" || ttl === "1h" ? { ttl } : {}) } }];
}

/** Names of documents: letters, digits, single spaces, hyphens and brackets. */
function documentName(name: string | undefined): string {
  const known = (name ?? "")
    .replace(/\.\w+$/, "")
    .replace(/[^a-zA-Z0-9\s\-()[\]]+/g, "-")
    .replace(/\s+/g, " ")
    .trim();
  return known === "" ? "document" : known.slice(0, 200);
}

function mediaBlock(part: Part & { readonly type: "image" | "file" }, { upstream, dropped }: MessagesOptions): Json {
  const { source, at } = part;
  const isImage = part.type === "image";
  const field = isImage ? "image_url.url" : source.kind === "id" ? "file.file_id" : "file.file_data";
  if (source.kind !== "base64") throw unsupported(upstream, `${at}.${field}`, "send the bytes in a data: URL");
  const said = part.from["image_url"];
  const detail = isRecord(said) ? said["detail"] : undefined;
  if (detail === "low" || detail === "high") dropped.add("image_url.detail");
  // A file may well be an image.
  const image = images[source.mediaType];
  if (image !== undefined) return { image: { format: image, source: { bytes: source.base64 } } };
  const format = isImage ? undefined : documents[source.mediaType];
  if (format === undefined) throw unsupported(upstream, `${at}.${field}`, "this media type is not known there");
  return { document: { format, name: documentName(part.type === "file" ? part.name : undefined), source: { bytes: source.base64 } } };
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

/** Only signed thoughts go back: nobody takes others. */
function thoughtBlocks({ from, calls }: Turn & { readonly role: "assistant" }, { thoughts, memory }: MessagesOptions): readonly Json[] {
  const sent = from.flatMap((message) => readThoughts(message, thoughts));
  const [first] = calls;
  const known = sent.length > 0 || !first ? sent : (memory?.recall(first.id) ?? []);
  return known.flatMap((thought): readonly Json[] => {
    if (thought.type === "encrypted") return [{ reasoningContent: { redactedContent: thought.data } }];
    const { text, signature } = thought;
    return signature === undefined ? [] : [{ reasoningContent: { reasoningText: { text, signature } } }];
  });
}

function contentOf(turn: Turn, options: MessagesOptions): readonly Json[] {
  const said = toBlocks(turn.parts, options);
  if (turn.role === "user") return [...turn.results.map((result) => resultBlock(result, options)), ...said];
  if (turn.role === "system") return said;
  return [...thoughtBlocks(turn, options), ...said, ...turn.calls.map((call) => callBlock(call, options))];
}

/** An answer that the model is to go on with: white space at its end is refused there. */
function trimmed(content: readonly Json[]): readonly Json[] {
  const last = content.at(-1);
  return typeof last?.["text"] === "string" ? [...content.slice(0, -1), { text: last["text"].trimEnd() }] : content;
}

/** Documents of one name are refused there. */
function namesApart(messages: readonly { readonly content: readonly Json[] }[]): void {
  const seen = new Map<unknown, number>();
  for (const document of messages.flatMap(({ content }) => content.map((block) => block["document"]))) {
    if (!isRecord(document)) continue;
    const { name } = document as { name: string };
    const times = (seen.get(name) ?? 0) + 1;
    seen.set(name, times);
    if (times > 1) (document as { name: string }).name = `${name} (${times})`;
  }
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
  const told: { readonly role: string; content: readonly Json[] }[] = [];
  for (const turn of leads ? turns.slice(1) : turns) {
    const role = turn.role === "assistant" ? "assistant" : "user";
    const content = contentOf(turn, options);
    const last = told.at(-1);
    if (last?.role === role) last.content = [...last.content, ...content];
    else if (content.length > 0) told.push({ role, content });
  }
  const system = leads ? toBlocks(first.parts, options) : [];
  const end = told.at(-1);
  if (end?.role === "assistant") end.content = trimmed(end.content);
  namesApart(told);
  const called = new Set(turns.flatMap((turn) => (turn.role === "assistant" ? turn.calls.map(({ name }) => name) : [])));
  // An instruction that stands alone is what is asked.
  if (told.length === 0) return { system: [], messages: [{ role: "user", content: system }], called };
  return { system, messages: told, called };
}
