import type { Completion } from "../model/completion.ts";
import type { ChatRequest } from "../model/request.ts";
import { estimatedTokens } from "../panel/route/view.ts";

/** Bytes of English text behind one token, roughly, in every tokenizer. */
const BYTES_PER_TOKEN = 4;

/** What an answer is taken to need when the request does not bound it: a hold of a model's whole output would deny nearly every budget. */
const USUAL_COMPLETION = 1024;

/** What a model reads of a body besides messages; the rest says how it is to answer. */
const READ = ["tools", "functions", "prompt", "input", "query", "documents", "texts"] as const;

/** What a document or a sound is taken for: its bytes say nothing of the tokens that a model makes of it. */
const MEDIA_TOKENS = 1600;

/** Tokens of a request's prompt, from its size: what is held for it, quickly reckoned and rather too much. */
export function promptTokens({ source, edits }: ChatRequest): number {
  let bytes = source.buffer.length;
  for (const key in edits) {
    const span = source.scan.spans.get(key);
    if (span) bytes -= span[2] - span[1];
    const value = edits[key];
    if (value !== undefined) bytes += typeof value === "object" ? Buffer.byteLength(JSON.stringify(value)) : 8;
  }
  return Math.ceil(bytes / BYTES_PER_TOKEN);
}

function isMedia(part: unknown): boolean {
  if (typeof part !== "object" || part === null || !("type" in part)) return false;
  return part.type === "file" || part.type === "input_audio";
}

/** Tokens of a request's prompt, from what a model reads of it: what is billed where nobody counted. */
export function readTokens({ body }: ChatRequest): number {
  const { messages } = body;
  let tokens = estimatedTokens(messages);
  for (const { content } of messages) if (Array.isArray(content)) tokens += MEDIA_TOKENS * content.filter(isMedia).length;
  for (const key of READ) {
    const value = body[key];
    if (value !== undefined && value !== null) tokens += Math.ceil(Buffer.byteLength(JSON.stringify(value)) / BYTES_PER_TOKEN);
  }
  return tokens;
}

/** Tokens that the answer may have: the request's own bound, for each choice, or what is usual. */
export function completionTokens({ body }: ChatRequest): number {
  const bound = body.max_completion_tokens ?? body.max_tokens ?? USUAL_COMPLETION;
  return bound * Math.max(1, body.n ?? 1);
}

/** Tokens of an answer that came without usage, from its text. */
export function answerTokens({ choices }: Completion): number {
  let bytes = 0;
  for (const { message } of choices) {
    bytes += Buffer.byteLength(message.content ?? "") + Buffer.byteLength(message.reasoning_content ?? "");
    if (message.tool_calls) bytes += Buffer.byteLength(JSON.stringify(message.tool_calls));
  }
  return Math.ceil(bytes / BYTES_PER_TOKEN);
}
