import type { Call } from "../../model/call.ts";
import { GatewayError } from "../../model/errors.ts";
import type { Assembly, Weighed } from "../assemble.ts";
import type { Outcome } from "./election.ts";

/** Notes that fewer answers could be compared than the quorum asks for, or fails where a missed quorum is an error. */
export function noteUncompared(
  { name, onShort, quorum: { min } }: Pick<Assembly, "name" | "onShort" | "quorum">,
  { counted }: Outcome,
  candidates: readonly Weighed[],
  call: Call,
): void {
  // A panel that is short has said so already.
  if (counted >= min || (counted > 0 && candidates.length < min)) return;
  const what = counted === 0 ? "no answers could be compared, the medoid was taken" : `${counted} of ${min} answers could be compared`;
  if (onShort === "fail") throw new GatewayError("unusable_answer", `${name}: ${what}.`);
  call.trace.degraded.push(`close: ${what}`);
}
