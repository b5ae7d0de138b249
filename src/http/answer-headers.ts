import type { Entry } from "../catalog/catalog.ts";
import type { Call } from "../model/call.ts";
import { answeringLeaf, hasAbstained } from "./extension.ts";

/** Room for every field of a request by name, and for each node's reason; clients take 8 KB of headers and more. */
const MOST_TOLD = 2000;

/** Text that may stand in a header or a comment: one line of plain ASCII. */
function oneLine(text: string, most = 200): string {
  return (/^[\x20-\x7e]*$/.test(text) ? text : text.replace(/[^\x20-\x7e]+/g, " ")).slice(0, most);
}

/** With eight decimals at most and no zeros at the end. */
export function decimal(usd: number): string {
  const parts = Math.min(Math.round(usd * 1e8), Number.MAX_SAFE_INTEGER);
  if (!(parts > 0)) return "0";
  const whole = Math.floor(parts / 1e8);
  let digits = 8;
  let rest = parts - whole * 1e8;
  if (rest === 0) return String(whole);
  while (rest % 10 === 0) {
    rest /= 10;
    digits -= 1;
  }
  return `${whole}.${String(rest).padStart(digits, "0")}`;
}

/** US dollars of all calls whose price is known, as a plain decimal; undefined where none is: what nobody knows is not zero. */
export function usd({ ledger }: Call): string | undefined {
  const known = ledger.knownUsd();
  return known === undefined ? undefined : decimal(known);
}

/** Why the answer is of a lower kind than configured, each reason once; undefined where it is not. */
function degradedLine({ trace: { degraded } }: Call): string | undefined {
  return degraded.length === 0 ? undefined : oneLine([...new Set(degraded)].join("; "), MOST_TOLD);
}

/** What is known of a stream only at its end, as a comment with its blank line; empty where there is nothing to tell. */
export function lastWords(call: Call): string {
  const cost = usd(call);
  const degraded = degradedLine(call);
  if (cost === undefined && degraded === undefined) return "";
  return `: chorale${cost === undefined ? "" : ` cost-usd=${cost}`}${degraded === undefined ? "" : ` degraded=${degraded}`}\n\n`;
}

/** What is known of an answer when its head goes out. */
export function answerHeaders(call: Call, entry: Entry): string[] {
  const headers = ["x-chorale-strategy", entry.kind];
  const leaf = answeringLeaf(call.trace.root);
  if (leaf !== undefined) headers.push("x-chorale-model", oneLine(leaf));
  if (hasAbstained(call.trace.root)) headers.push("x-chorale-abstained", "true");
  const degraded = degradedLine(call);
  if (degraded !== undefined) headers.push("x-chorale-degraded", degraded);
  if (call.trace.warnings.length > 0) headers.push("x-chorale-warnings", oneLine(call.trace.warnings.join("; "), MOST_TOLD));
  return headers;
}
