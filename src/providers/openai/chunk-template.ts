import { closingQuote } from "../../model/json-scan.ts";
import type { Template } from "../../upstream/sse.ts";
import type { FrameWriter } from "./frames.ts";
import { saysFinished, type Draft } from "./message.ts";

/** A template with what leaves in its place, and what it means. */
export interface KnownChunk extends Template {
  readonly putHead: string;
  readonly putTail: string;
  readonly type: "text" | "reasoning" | "refusal";
  readonly choice: number;
}

const templated = [
  ['"delta":{"content":"', "text"],
  ['"delta":{"reasoning_content":"', "reasoning"],
  ['"delta":{"reasoning":"', "reasoning"],
  ['"delta":{"refusal":"', "refusal"],
] as const;

/** The template of a canonical chunk, when all that may change in its like is one string; undefined for any other. */
export function templateOf(data: string, chunk: Draft, frames: FrameWriter): KnownChunk | undefined {
  const [choice] = chunk["choices"] as Draft[];
  if ((chunk["choices"] as unknown[]).length !== 1 || !choice || saysFinished(choice["finish_reason"]) || choice["logprobs"])
    return undefined;
  const delta = choice["delta"] as Draft;
  if (Object.keys(delta).length !== 1) return undefined;
  for (const [needle, type] of templated) {
    const at = data.indexOf(needle);
    if (at < 0) continue;
    const from = at + needle.length;
    const to = closingQuote(data, from);
    const marked = frames.kept(`${data.slice(0, from)}\x01${data.slice(to)}`);
    const mark = marked.indexOf("\x01");
    return {
      head: `data: ${data.slice(0, from)}`,
      tail: `${data.slice(to)}\n\n`,
      putHead: marked.slice(0, mark),
      putTail: marked.slice(mark + 1),
      type,
      choice: choice["index"] as number,
    };
  }
  return undefined;
}
