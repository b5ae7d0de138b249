import { meantBy, type AnswerRule } from "../answers/answers.ts";
import type { Weighed } from "../assemble.ts";
import { ballotOf } from "./ballots.ts";
import type { Sitting } from "../judging/judge.ts";
import type { Compare, Wording } from "./semantic.ts";
import { isRefusal } from "../usable.ts";

/** How answers are counted once their meanings were compared. */
export interface Meanings {
  readonly rule: AnswerRule;
  readonly classOf?: (key: string) => string;
  /** For the record: plain JSON. */
  readonly told: Readonly<Record<string, unknown>>;
}

/** Keys of numbers and JSON, and of words without a single letter: dates, intervals, lists. */
const FORMAL = /^(?:[nj]:|t:[^\p{L}]*$)/u;

/** Each wording once, as its earliest seat has it. What is equal by itself needs no comparison, and a refusal equals nothing else. */
function wordingsOf(candidates: readonly Weighed[], rule: AnswerRule): readonly Wording[] {
  const wordings = new Map<string, Wording>();
  for (const candidate of candidates) {
    const key = isRefusal(candidate.completion) ? undefined : ballotOf(candidate, rule)?.key;
    if (key === undefined || wordings.has(key)) continue;
    wordings.set(key, { key, label: candidate.label, text: meantBy(candidate.text), formal: FORMAL.test(key) });
  }
  return [...wordings.values()];
}

/**
 * Finds which answers say the same in other words. Nobody is asked where all do so already. When the comparison fails, equal wordings are
 * counted as `auto` does, where prose goes to the medoid: a recorded degradation.
 */
export async function compareMeanings(
  candidates: readonly Weighed[],
  rule: AnswerRule,
  compare: Compare,
  sitting: Sitting,
): Promise<Meanings> {
  const wordings = rule.kind === "semantic" ? wordingsOf(candidates, rule) : [];
  if (wordings.length < 2) return { rule, told: {} };
  const { degraded } = sitting.call.trace;
  const compared = await compare(wordings, sitting);
  if (!compared.ok) {
    degraded.push(`semantic: ${compared.why}, equal wordings were counted`);
    return { rule: { ...rule, kind: "auto" }, told: { meanings: { failed: compared.why } } };
  }
  const { groups, missing, told } = compared;
  if (missing !== undefined) degraded.push(`semantic: ${missing}`);
  const classes = new Map(groups.flatMap((group) => group.map((key) => [key, group[0] ?? key] as const)));
  return {
    rule,
    classOf: (key) => classes.get(key) ?? key,
    told: { meanings: { ...told, wordings: wordings.length, groups: groups.length } },
  };
}
