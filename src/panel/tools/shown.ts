import type { ChatRequest } from "../../model/request.ts";

/** Definitions longer than this are cut: a reader only has to know what there is. */
const LONGEST = 16_000;

/** The tools of a request as text, for a step that has to know of them and must not call any: one JSON a line, as the client wrote them. */
export function shownTools({ body }: ChatRequest): string {
  const definitions = [...(body.tools ?? []), ...(body.functions ?? [])].map((tool) => JSON.stringify(tool)).join("\n");
  return definitions.length <= LONGEST ? definitions : `${definitions.slice(0, LONGEST).toWellFormed()}\n[the rest was cut]`;
}
