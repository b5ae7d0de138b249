import { isAscii } from "node:buffer";
import { Flag, type BatchEvent, type Delta } from "../../model/events.ts";
import type { KnownChunk } from "./chunk-template.ts";
import { deltasOf } from "./deltas.ts";
import type { Draft } from "./message.ts";

/** What a batch was made of, for whoever looks at its deltas. */
export type Part = { readonly chunk: Draft } | { readonly known: KnownChunk; readonly text: string };

/** The text of UTF-8 bytes that were read as latin1. */
export function utf8(latin1: string): string {
  const bytes = Buffer.from(latin1, "latin1");
  return isAscii(bytes) ? latin1 : bytes.toString("utf8");
}

/** A canonical batch. Its deltas are parsed when somebody looks, once. */
export class ChunkBatch implements BatchEvent {
  readonly type = "batch";
  readonly bytes: string;
  readonly flags: number;
  readonly #parts: readonly Part[];
  #deltas: readonly Delta[] | undefined;

  constructor(bytes: string, flags: number, parts: readonly Part[]) {
    this.bytes = bytes;
    this.flags = flags;
    this.#parts = parts;
  }

  get deltas(): readonly Delta[] {
    this.#deltas ??= this.#parts.flatMap((part) => {
      if ("chunk" in part) return deltasOf(part.chunk);
      const { type, choice } = part.known;
      return [{ type, choice, text: JSON.parse(`"${utf8(part.text)}"`) as string }];
    });
    return this.#deltas;
  }
}

const flags: Partial<Record<Delta["type"], number>> = { "tool-call": Flag.tool, extra: Flag.other };

/** The bit of `Flag` that a delta sets. */
export function flagOf(delta: Delta): number {
  const { type } = delta;
  if (type === "text" || type === "reasoning" || type === "refusal" || type === "logprobs" || type === "end") return Flag[type];
  return flags[type] ?? 0;
}
