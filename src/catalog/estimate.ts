import type { Completion } from "../model/completion.ts";
import type { ChatRequest } from "../model/request.ts";

/** Bytes of English text behind one token, roughly, in every tokenizer. */
const BYTES_PER_TOKEN = 4;

/** What an answer is taken to need when the request does not bound it: a hold of a model's whole output would deny nearly every budget. */
const USUAL_COMPLETION = 1024;

/** Tokens of a request's prompt, from its size. */
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
