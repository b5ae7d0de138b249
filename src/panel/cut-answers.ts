import type { Candidate } from "../model/gather.ts";
import type { Span } from "../model/trace.ts";
import { isCut } from "./usable.ts";

/** The call whose answer a span gave. */
function leafOf(span: Span): Span {
  const last = span.children.findLast(({ status }) => status === "ok");
  return last && span.upstream === undefined ? leafOf(last) : span;
}

/** Notes in the trace whose answers stopped at a limit: beside whole ones they do not count, and nothing else would say so. */
export function noteCut(candidates: readonly Candidate[], { children }: Span): void {
  for (const { label, completion } of candidates) {
    if (!isCut(completion)) continue;
    const span = children.findLast((child) => child.label === label);
    if (!span) continue;
    span.cut = true;
    leafOf(span).cut = true;
  }
}
