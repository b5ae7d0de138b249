import type { Call } from "../../model/call.ts";
import { gather, type Seat } from "../../model/gather.ts";
import { fenced, newNonce, shownText, shuffled } from "../candidates.ts";
import type { Next } from "../in-rounds.ts";
import { hasRoom } from "../room.ts";
import type { Seated } from "../rounds.ts";
import { drawsOf } from "../seed.ts";
import { asideRequest } from "../turn.ts";
import { emptiness, saidBy } from "../usable.ts";

/** What somebody says about another's answer. */
export interface Review {
  /** Label of the author's place. */
  readonly author: string;
  readonly text: string;
}

/** How answers are reviewed. Fixed at boot. */
export interface Reviewing {
  /** How many others review an answer, where there are so many. */
  readonly perAnswer: number;
  /** What a reviewer is asked. */
  readonly prompt: (variables: Readonly<Record<"nonce" | "answer", string>>) => string;
  /** What is shown of an answer or a review at most; an estimate. */
  readonly maxTokens: number;
}

/** Who reviews whom: in a random circle everybody reviews those before it, so that all have as much to do, and nobody reviews itself. */
export function pairUp<T>(authors: readonly T[], perAnswer: number, draw: () => number): readonly (readonly [author: T, reviewer: T])[] {
  const circle = shuffled(authors, draw).map(({ item }) => item);
  return circle.flatMap((author, index) =>
    Array.from({ length: Math.min(perAnswer, circle.length - 1) }, (_, step): readonly [T, T] => [
      author,
      circle[(index + step + 1) % circle.length] ?? author,
    ]),
  );
}

/** As many reviews as the budget has room for beside the revisions and the writer. */
function affordable(answers: number, perAnswer: number, { call, number }: Next): number {
  const wanted = Math.min(perAnswer, answers - 1);
  let count = wanted;
  while (count > 0 && !hasRoom(call, answers * (count + 1) + 1)) count -= 1;
  if (count < wanted)
    call.trace.degraded.push(`round ${number}: budget_denied${count > 0 ? `, ${count} of ${wanted} reviews an answer` : ""}`);
  return count;
}

function seatOf(answer: Seated, { place }: Seated, { request, call, number }: Next, { prompt, maxTokens }: Reviewing): Seat {
  const label = `${place.label} on ${answer.place.label}, round ${number}`;
  const nonce = newNonce(call.random);
  const content = prompt({ nonce, answer: fenced("answer", shownText(answer.text, maxTokens), nonce) });
  return {
    label,
    model: place.model,
    request: asideRequest(request, content, { label, settings: place.settings }),
    latency: place.latency,
  };
}

/** Reviews of the answers by others; none where there is nobody to review, no room in the budget, or none came. What is lost is noted. */
export async function review(answers: readonly Seated[], next: Next, reviewing: Reviewing): Promise<readonly Review[]> {
  const { assembly, call, number, patience, request } = next;
  const perAnswer = answers.length < 2 || patience.signal.aborted ? 0 : affordable(answers.length, reviewing.perAnswer, next);
  if (perAnswer === 0) return [];
  const pairs = pairUp(answers, perAnswer, drawsOf(request, call, `reviewers, round ${number}`));
  const seats = pairs.map(([answer, reviewer]) => seatOf(answer, reviewer, next, reviewing));
  const { graceMs } = assembly.quorum;
  const deadlineMs = patience.leftMs();
  const { candidates } = await gather(seats, call, {
    // More than could leave one answer without any.
    min: seats.length - perAnswer + 1,
    ...(graceMs === undefined ? {} : { graceMs }),
    ...(deadlineMs === undefined ? {} : { deadlineMs }),
    unusable: (completion) => emptiness(completion, "unusable"),
  });
  if (candidates.length === 0 && !patience.signal.aborted) call.trace.degraded.push(`round ${number}: no review came`);
  return candidates.flatMap(({ seat, completion }) => {
    const author = pairs[seat]?.[0].place.label;
    return author === undefined ? [] : [{ author, text: saidBy(completion) }];
  });
}

/** Reviews as their author is shown them: numbered, nobody's. */
export function fencedReviews(reviews: readonly string[], maxTokens: number, call: Call): Readonly<Record<"nonce" | "reviews", string>> {
  const nonce = newNonce(call.random);
  const texts = reviews.map((text, index) => fenced(`review ${index + 1}`, shownText(text, maxTokens), nonce));
  return { nonce, reviews: texts.join("\n\n") };
}
