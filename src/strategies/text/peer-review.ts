import * as z from "zod";
import type { Call } from "../../model/call.ts";
import type { ChatRequest } from "../../model/request.ts";
import { shownText } from "../../panel/candidates.ts";
import { answerInRounds, type InRounds, type Next } from "../../panel/in-rounds.ts";
import { panel } from "../../panel/panel.ts";
import { everyone } from "../../panel/seats.ts";
import { fencedReviews, review, type Review, type Reviewing } from "../../panel/judging/reviews.ts";
import { askAgain, withReply, type Seated } from "../../panel/rounds.ts";
import { defineStrategy, OptionError } from "../define.ts";
import * as shared from "../members.ts";
import { buildTools } from "../tool-turns.ts";
import { buildWritten, planAgain, planWritten, readEachOther, written } from "../written.ts";

/** Reviews of an answer when the config does not say. */
const REVIEWS = 2;

const options = z.strictObject({
  ...written,
  rounds: z.int().min(2).max(8).default(2).describe("How often the members answer, the first time included."),
  reviews: z
    .int()
    .min(1)
    .optional()
    .describe(`How many others review an answer before it is revised: ${REVIEWS} unless said, or all where there are fewer.`),
});

type Options = z.output<typeof options>;

function reviewsOf(options: Options): number {
  const others = readEachOther(options) - 1;
  const { reviews = Math.min(REVIEWS, others) } = options;
  if (reviews > others) throw new OptionError("reviews", `asks for ${reviews} reviewers where an author has ${others} others`);
  return reviews;
}

interface Revising extends Reviewing {
  readonly revision: shared.Fill;
}

/** Asks the authors to revise; those without a review keep their answer. */
async function revise(
  answers: readonly Seated[],
  reviews: readonly Review[],
  next: Next,
  { revision, maxTokens }: Revising,
): Promise<readonly Seated[] | undefined> {
  const { call, number, request, assembly } = next;
  const of = (label: string) => reviews.filter(({ author }) => author === label).map(({ text }) => text);
  const reviewed = answers.filter(({ place }) => of(place.label).length > 0);
  const kept = answers.filter((answer) => !reviewed.includes(answer));
  const revised = await askAgain(next, {
    number,
    seating: { places: reviewed.map(({ place }) => place), reserves: [] },
    after: 1,
    ask({ label }) {
      const own = reviewed.find(({ place }) => place.label === label);
      return withReply(request, shownText(own?.text ?? "", maxTokens), revision(fencedReviews(of(label), maxTokens, call)));
    },
  });
  if (revised === undefined) return undefined;
  const seats = [...assembly.seating.places, ...assembly.seating.reserves].map(({ label }) => label);
  return [...revised, ...kept].sort((a, b) => seats.indexOf(a.place.label) - seats.indexOf(b.place.label));
}

/** A further round: reviews, then revisions. */
async function nextRound(answers: readonly Seated[], next: Next, revising: Revising): Promise<readonly Seated[] | undefined> {
  const reviews = await review(answers, next, revising);
  return reviews.length === 0 ? undefined : revise(answers, reviews, next, revising);
}

/**
 * All members answer; then, round after round, others review each answer, anonymous and alone, and its author revises it; one writer makes the
 * final answer of the last ones, and its tokens stream. The multi-agent feedback of MoCo (arXiv 2601.21257).
 *
 * Cost: n + (r-1)(n * f + n) + 1 calls in r rounds with f reviews of an answer, depth 2r; one more, a repair, which the plan does not count, where
 * an answer does not satisfy its schema. The dearest kind for prose: pays where errors hide in long answers (code, proofs, plans) and nobody
 * waits. Who reviews whom is drawn anew each round, everybody as often as all others, nobody himself; an author of several samples may be
 * reviewed by another sample.
 *
 * - A lost member sits out the other rounds; the rest go on. An answer without a review stays as it is. A single member has no reviewer: it goes
 *   to the writer, and is returned as it is where it is by the writer's own model.
 * - A budget without room for all reviews has fewer of them; without room for any, or where none comes or the revisions miss the quorum, the
 *   round is dropped: the writer reads the round before. Marked as degraded, all of it.
 * - A writer that fails, or a deadline that passes, before the first token: the medoid of the last round that counted, marked as degraded.
 */
export const peerReview = defineStrategy({
  kind: "peer-review",
  level: "text",
  summary: "Members review each other's answers and revise their own, and one writer closes.",
  options,
  build(options, site) {
    const revising: Revising = {
      perAnswer: reviewsOf(options),
      prompt: shared.promptOf(site, "peer-review", ["answer"], ["nonce"]),
      revision: shared.promptOf(site, "peer-review-revision", ["reviews"], ["nonce"]),
      maxTokens: options.maxCandidateTokens,
    };
    const base = buildWritten(options, site, shared.promptOf(site, "closing", ["candidates"], ["nonce"]));
    const built: InRounds = { ...base, rounds: options.rounds, next: (answers, next) => nextRound(answers, next, revising) };
    const inner = { name: site.name, stream: (request: ChatRequest, call: Call) => answerInRounds(built, request, call) };
    return panel(inner, {
      tools: buildTools(options.tools, built.writer.model, site, built.assembly),
      ownText: () => true,
      needs: everyone(built.assembly.seating),
    });
  },
  plan(options, child) {
    const reviews = reviewsOf(options);
    const { calls, depth, seats } = planAgain(options, child);
    const more = options.rounds - 1;
    // Fewer authors have fewer reviewers.
    const fewest = Math.min(reviews, Math.max(0, seats[0] - 1));
    return planWritten(
      options,
      { calls: [more * calls[0] * (1 + fewest), more * calls[1] * (1 + reviews)], depth: more * 2 * depth },
      child,
    );
  },
  examples: [
    { kind: "peer-review", members: ["a", "b"], writer: "c" },
    { kind: "peer-review", members: ["a", "b", "c"], writer: "a", rounds: 3, quorum: { min: 2, graceMs: 4_000 } },
    { kind: "peer-review", members: [{ model: "a", samples: 3, temperature: 0.7 }], writer: "b", reviews: 1, onShort: "fail" },
    { kind: "peer-review", members: ["a", "b"], writer: "c", quorum: { deadlineMs: 20_000, reserves: ["c"] }, tools: { owner: "a" } },
    {
      kind: "peer-review",
      members: [{ kind: "vote", members: ["a", "b", "c"] }, "b"],
      writer: { kind: "fallback", members: ["c", "a"] },
    },
  ],
});
