import type { ChatRequest } from "../../model/request.ts";
import { extractAnswer, resolveAuto, type Answer, type AnswerRule } from "../answers/answers.ts";
import { lastUserText } from "../conversation.ts";
import { argmax, centralities } from "../voting/medoid.ts";
import type { Showable } from "../showing.ts";
import { createTally } from "../voting/tally.ts";

/** What `auto` finds in a text this long (normalised) is the text itself: prose, which no other text equals. */
const PROSE = 200;

function ruleFor({ body }: ChatRequest): AnswerRule {
  const format = body.response_format?.type;
  if (format === "json_schema" || format === "json_object") return { kind: "json" };
  return resolveAuto({ kind: "auto" }, lastUserText(body.messages));
}

function isProse({ kind, key }: Answer): boolean {
  return kind === "exact" && key.length > PROSE;
}

/**
 * The candidate to take when nobody judged: the earliest of those whose answer most give, where at least two give the same; else the medoid,
 * the text most like all others. Deterministic: never random, never the longest. Undefined for no candidates.
 */
export function unjudged<T extends Pick<Showable, "text">>(
  items: readonly T[],
  request: ChatRequest,
): { readonly winner: T; readonly by: "vote" | "medoid" } | undefined {
  const rule = ruleFor(request);
  const tally = createTally();
  for (const [order, { text }] of items.entries()) {
    const answer = extractAnswer(text, rule);
    if (answer && !isProse(answer)) tally.add(answer.key, 1, order);
  }
  const [leader, second] = tally.standings();
  const voted = leader && leader.count > 1 && leader.count > (second?.count ?? 0) ? items[leader.order] : undefined;
  if (voted) return { winner: voted, by: "vote" };
  const winner = items[argmax(centralities(items.map(({ text }) => text)))];
  return winner && { winner, by: "medoid" };
}
