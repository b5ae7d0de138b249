import type { Weighed } from "../assemble.ts";
import type { Outcome } from "./election.ts";
import { bestOf, type Jury, type Putting, type Sitting } from "../judging/judge.ts";
import { argmax, centralities } from "./medoid.ts";

/** Who wins when several answers have the same weight of votes. */
export type TieRule =
  /** The answer of the earliest seat. */
  | { readonly by: "earliest" }
  /** The one most like all answers of the panel, the losers' too. */
  | { readonly by: "medoid" }
  /** The one that a judge picks; the earliest without a verdict. */
  | { readonly by: "judge"; readonly jury: Jury; readonly putting: Putting };

function mostCentral(tied: readonly Weighed[], candidates: readonly Weighed[]): Weighed | undefined {
  const sums = centralities(candidates.map(({ text }) => text));
  return tied[argmax(tied.map((one) => sums[candidates.indexOf(one)] ?? 0))];
}

async function pick(
  rule: TieRule,
  tied: readonly Weighed[],
  candidates: readonly Weighed[],
  sitting: Sitting,
): Promise<Weighed | undefined> {
  if (rule.by === "earliest") return undefined;
  if (rule.by === "medoid") return mostCentral(tied, candidates);
  const picked = await bestOf(rule.jury, tied, rule.putting, sitting);
  if (picked.ok) return picked.winner;
  sitting.call.trace.degraded.push(`tie: ${[...new Set(picked.failed)].join(", ")}, the earliest was taken`);
  return undefined;
}

/** Settles a tie of the vote. Deterministic but for the judge's own word; without a tie, nothing. */
export async function settleTie(
  rule: TieRule,
  outcome: Outcome,
  candidates: readonly Weighed[],
  sitting: Sitting,
): Promise<{ readonly outcome: Outcome; readonly told: Readonly<Record<string, unknown>> }> {
  const { tied } = outcome;
  if (tied === undefined) return { outcome, told: {} };
  const picked = await pick(rule, tied, candidates, sitting);
  const settled = picked === undefined ? outcome : { ...outcome, completion: picked.completion, winner: picked.label };
  return { outcome: settled, told: { tie: { between: tied.map(({ label }) => label), by: picked === undefined ? "earliest" : rule.by } } };
}
