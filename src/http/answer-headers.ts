import type { Entry } from "../catalog/catalog.ts";
import type { Call } from "../model/call.ts";
import { answeringLeaf } from "./extension.ts";

/** Text that may stand in a header or a comment: one line of plain ASCII. */
export function oneLine(text: string): string {
  return text.replace(/[^\x20-\x7e]+/g, " ").slice(0, 200);
}

/** US dollars as a plain decimal. */
export function usd(call: Call): string {
  const { usd } = call.ledger.cost();
  return usd === 0 ? "0" : usd.toFixed(8).replace(/0+$/, "");
}

/** What is known of an answer when its head goes out. */
export function answerHeaders(call: Call, entry: Entry): string[] {
  const headers = ["x-chorale-strategy", entry.kind];
  const leaf = answeringLeaf(call.trace.root);
  if (leaf !== undefined) headers.push("x-chorale-model", oneLine(leaf));
  const [degraded] = call.trace.degraded;
  if (degraded !== undefined) headers.push("x-chorale-degraded", oneLine(degraded));
  if (call.trace.warnings.length > 0) headers.push("x-chorale-warnings", oneLine(call.trace.warnings.join("; ")));
  return headers;
}
