import * as z from "zod";
import type { ChatRequest } from "../../model/request.ts";
import { resolveAuto, type AnswerKind, type AnswerRule } from "../answers/answers.ts";
import type { Weighed } from "../assemble.ts";
import { ballotOf, tallyOf } from "./ballots.ts";
import { lastUserText } from "../conversation.ts";
import { isPattern } from "../pattern.ts";

/** How a panel that talks compares what its members say; the same words as a vote's. */
export const comparison = {
  answer: z
    .enum(["exact", "choice", "number", "json", "regex", "auto"])
    .default("auto")
    .describe("What of an answer is compared. auto: the option, JSON, number or short text that it states."),
  pattern: z
    .string()
    .min(1)
    .refine(isPattern, { error: "expected a regular expression" })
    .optional()
    .describe("For `answer: regex`: its first group, or the whole match; the last match counts."),
};

/** The values of `comparison`. */
export interface Comparison {
  readonly answer: AnswerKind;
  readonly pattern?: string | undefined;
}

/** What is wrong with the two together, as it stands at `pattern`. */
export function comparisonFault({ answer, pattern }: Comparison): string | undefined {
  if (answer === "regex" && pattern === undefined) return "`answer: regex` needs one";
  return answer !== "regex" && pattern !== undefined ? "goes with `answer: regex`" : undefined;
}

/** The rule for one request: structured answers are compared as JSON. */
export function ruleOf({ answer, pattern }: Comparison, { body }: ChatRequest): AnswerRule {
  const format = body.response_format?.type;
  if (answer === "auto" && (format === "json_schema" || format === "json_object")) return { kind: "json" };
  return resolveAuto({ kind: answer, ...(pattern === undefined ? {} : { pattern }) }, lastUserText(body.messages));
}

/** How far the answers of a round agree. */
export interface Agreement {
  /** All say the same, and there are two at least. An answer that can not be compared agrees with nobody. */
  readonly unanimous: boolean;
  /** The share of the weight behind the first; 0 when none can be compared. */
  readonly share: number;
}

/** Compares the answers of a round. */
export function agreementOf(candidates: readonly Weighed[], rule: AnswerRule): Agreement {
  const ballots = candidates.map((candidate) => ballotOf(candidate, rule)).filter((ballot) => ballot !== undefined);
  const keys = new Set(ballots.map(({ key }) => key));
  return { unanimous: keys.size === 1 && ballots.length === candidates.length && ballots.length > 1, share: tallyOf(ballots).share() };
}
