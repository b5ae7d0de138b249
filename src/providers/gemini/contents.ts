import type { ChatBody, Message } from "../../model/request.ts";
import type { Remembered } from "../translate/call-memory.ts";
import { isRecord, isText, parseExactly, RawJson, type Json } from "../translate/json.ts";
import type { Part } from "../translate/parts.ts";
import { readTurns, type Called, type Result, type Turn } from "../translate/turns.ts";
import { unsupported } from "../translate/unsupported.ts";

/** Taken by the API in place of a signature that a client did not keep: https://ai.google.dev/gemini-api/docs/thought-signatures, 2026-11. */
const NO_SIGNATURE = "skip_thought_signature_validator";

export interface ContentsOptions {
  readonly upstream: string;
  /** The model refuses a function call of its own without a signature. */
  readonly signed: boolean;
  /** The signatures of calls whose client did not send them back. */
  readonly signatures?: Pick<Remembered<string>, "recall"> | undefined;
  /** Takes the names of what was left out. */
  readonly dropped: Set<string>;
}

interface Content {
  readonly role: "user" | "model";
  readonly parts: readonly Json[];
}

export interface Contents {
  readonly systemInstruction?: Json;
  readonly contents: readonly Content[];
}

/** A call is refused where nobody has asked before. */
const opening: Content = { role: "user", parts: [{ text: "." }] };

const audioTypes: Readonly<Record<string, string>> = { wav: "audio/wav", mp3: "audio/mp3" };
const imageTypes: Readonly<Record<string, string>> = {
  png: "image/png",
  jpg: "image/jpeg",
  jpeg: "image/jpeg",
  webp: "image/webp",
  heic: "image/heic",
};

/** What an address says of its media type; the API reads the rest from the answer of its server. */
function typeOf(url: string): Json {
  const type = imageTypes[/\.(\w+)(?:[?#]|$)/.exec(url)?.[1]?.toLowerCase() ?? ""];
  return type === undefined ? {} : { mimeType: type };
}

function mediaPart(part: Part & { readonly type: "image" | "file" }, { upstream, dropped }: ContentsOptions): Json {
  const { source, at } = part;
  const image = part.from["image_url"];
  const detail = isRecord(image) ? image["detail"] : undefined;
  if (detail === "low" || detail === "high") dropped.add("image_url.detail");
  if (source.kind === "base64") return { inlineData: { mimeType: source.mediaType, data: source.base64 } };
  if (source.kind === "id") throw unsupported(upstream, `${at}.file.file_id`, "send its bytes in file_data");
  if (/^https:/i.test(source.url)) return { fileData: { fileUri: source.url, ...typeOf(source.url) } };
  throw unsupported(upstream, `${at}.${part.type === "image" ? "image_url.url" : "file.file_data"}`, "expected a data: or https: URL");
}

function toPart(part: Part, options: ContentsOptions): Json {
  if (part.type === "text") return { text: part.text };
  if (part.type !== "audio") return mediaPart(part, options);
  const mimeType = audioTypes[part.format];
  if (mimeType === undefined) throw unsupported(options.upstream, `${part.at}.input_audio.format`, "expected wav or mp3");
  return { inlineData: { mimeType, data: part.base64 } };
}

/** A text part without text is refused there, and says nothing. */
function toParts(parts: readonly Part[], options: ContentsOptions): readonly Json[] {
  return parts.filter((part) => part.type !== "text" || part.text !== "").map((part) => toPart(part, options));
}

/** A signature as Google's own OpenAI endpoint writes it, on a call or on a message. */
function signatureOf(carrier: Json | undefined): string | undefined {
  const content = carrier?.["extra_content"];
  const google = isRecord(content) ? content["google"] : undefined;
  const signature = isRecord(google) ? google["thought_signature"] : undefined;
  return isText(signature) ? signature : undefined;
}

/** The value of JSON text that is an object. */
function objectOf(text: string): unknown {
  if (!/^\s*\{/.test(text)) return undefined;
  try {
    const value = parseExactly(text);
    return isRecord(value) ? new RawJson(text.trim()) : undefined;
  } catch {
    // No JSON, though it looked like it.
    return undefined;
  }
}

/** What a model wrote that is no JSON object goes back to it as it was, in one. */
function argumentsOf(text: string): unknown {
  return objectOf(text) ?? (text.trim() === "" ? {} : { arguments: text });
}

function callPart({ id, name, arguments: text, from }: Called, options: ContentsOptions, isFirst: boolean): Json {
  // Of calls made at once only the first is signed.
  const signature = signatureOf(from) ?? options.signatures?.recall(id) ?? (options.signed && isFirst ? NO_SIGNATURE : undefined);
  return { functionCall: { id, name, args: argumentsOf(text) }, ...(signature === undefined ? {} : { thoughtSignature: signature }) };
}

function modelParts({ parts, calls, from }: Turn & { readonly role: "assistant" }, options: ContentsOptions): readonly Json[] {
  const said = [...toParts(parts, options)];
  const signature = signatureOf(from.findLast((message) => signatureOf(message) !== undefined));
  const last = said.pop();
  if (signature !== undefined) said.push({ ...(last ?? { text: "" }), thoughtSignature: signature });
  else if (last) said.push(last);
  return [...said, ...calls.map((call, index) => callPart(call, options, index === 0))];
}

function resultPart({ id, name, parts, isError }: Result, options: ContentsOptions): Json {
  const text = parts.map((part) => (part.type === "text" ? part.text : "")).join("");
  const media = toParts(
    parts.filter(({ type }) => type !== "text"),
    options,
  );
  const response = isError ? { error: text } : (objectOf(text) ?? { result: text });
  return { functionResponse: { id, name, response, ...(media.length > 0 ? { parts: media } : {}) } };
}

function contentsOf(turn: Turn, options: ContentsOptions): readonly Content[] {
  if (turn.role === "assistant") return [{ role: "model", parts: modelParts(turn, options) }];
  const results = turn.role === "user" ? turn.results.map((result) => resultPart(result, options)) : [];
  return [
    { role: "user", parts: results },
    { role: "user", parts: toParts(turn.parts, options) },
  ];
}

function isNamed({ role, name }: Message): boolean {
  return role !== "tool" && role !== "function" && name !== undefined && name !== null;
}

/**
 * The messages as Gemini writes a conversation: what stands in front as instruction, the assistant as `model`, all results of one turn of tools in
 * one content. An instruction in the middle is told by the user.
 */
export function toContents({ messages }: ChatBody, options: ContentsOptions): Contents {
  const { upstream, dropped } = options;
  if (messages.some(isNamed)) dropped.add("messages[].name");
  const heard = messages.findIndex(({ audio }) => audio !== undefined && audio !== null);
  if (heard >= 0) throw unsupported(upstream, `messages[${heard}].audio`);
  const turns = readTurns(messages, upstream);
  const [first] = turns;
  const system = first?.role === "system" ? toParts(first.parts, options) : [];
  const spoken = turns.slice(first?.role === "system" ? 1 : 0);
  const contents = spoken.flatMap((turn) => contentsOf(turn, options)).filter(({ parts }) => parts.length > 0);
  const last = spoken.at(-1);
  // Without their turn the model would go on with its own words. What a user means who says nothing is for the API to judge.
  if (last && last.role !== "assistant" && contents.at(-1)?.role !== "user") contents.push({ role: "user", parts: [{ text: "" }] });
  if (contents[0]?.parts.some(({ functionCall }) => functionCall !== undefined)) contents.unshift(opening);
  // The API wants something to answer: a lone instruction is that.
  if (contents.length === 0) return { contents: [{ role: "user", parts: system.length > 0 ? system : [{ text: "" }] }] };
  return { contents, ...(system.length > 0 ? { systemInstruction: { parts: system } } : {}) };
}
