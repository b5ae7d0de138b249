import * as z from "zod";
import type { Gate } from "../model/open.ts";

/** How much of an answer is kept back, so that a failure in that part can still be healed: about so many tokens, or all of it. */
export const hold = z
  .union([z.strictObject({ tokens: z.int().min(1) }), z.literal("whole")])
  .describe("How much of the answer is kept back, so that a failure in that part can still be healed: about so many tokens, or all of it.")
  .meta({ id: "hold" });

export type Hold = z.output<typeof hold>;

/** Tokens are not counted on their way; four characters are about one in most scripts. */
const CHARACTERS_PER_TOKEN = 4;

/** A gate for one stream that opens once the held part has been read, counted over all choices; undefined where nothing is held. */
export function holdGate(held: Hold | undefined): Gate | undefined {
  if (held === undefined) return undefined;
  if (held === "whole") return () => false;
  let left = held.tokens * CHARACTERS_PER_TOKEN;
  return (event) => {
    if (event.type !== "batch") return false;
    for (const delta of event.deltas) if ("text" in delta) left -= delta.text.length;
    return left <= 0;
  };
}
