import * as z from "zod";
import type { Call } from "../../model/call.ts";
import type { ChatRequest } from "../../model/request.ts";
import { shownText } from "../../panel/candidates.ts";
import { answerInRounds, type InRounds, type Next } from "../../panel/in-rounds.ts";
import { panel } from "../../panel/panel.ts";
import { askAgain, noteShown, withReply, type Seated } from "../../panel/rounds.ts";
import { everyone, type Place } from "../../panel/seats.ts";
import { show } from "../../panel/showing.ts";
import { defineStrategy } from "../define.ts";
import * as shared from "../members.ts";
import { buildTools } from "../tool-turns.ts";
import { buildWritten, planAgain, planWritten, readEachOther, written } from "../written.ts";

const options = z.strictObject({
  ...written,
  rounds: z.int().min(2).max(8).default(2).describe("How often the members answer, the first time included."),
});

interface Refining {
  readonly prompt: shared.Fill;
  readonly maxTokens: number;
}

/** What a member is asked: its own last answer as its turn, the others' behind it. */
function askOf(
  answers: readonly Seated[],
  { number, request, call }: Next,
  { prompt, maxTokens }: Refining,
): (place: Place) => ChatRequest {
  return ({ label }) => {
    const others = answers.filter(({ place }) => place.label !== label);
    const own = answers.find(({ place }) => place.label === label);
    const reader = `${label}, round ${number}`;
    const shown = show(others, { maxTokens, purpose: reader }, request, call);
    noteShown(call, reader, shown);
    const content = prompt({ nonce: shown.nonce, candidates: shown.candidates });
    return withReply(request, shownText(own?.text ?? "", maxTokens), content);
  };
}

/** A further round of those who have an answer; a single one has nobody to read. */
async function nextRound(answers: readonly Seated[], next: Next, refining: Refining): Promise<readonly Seated[] | undefined> {
  if (answers.length < 2) return undefined;
  const seating = { places: answers.map(({ place }) => place), reserves: [] };
  return askAgain(next, { number: next.number, seating, ask: askOf(answers, next, refining), after: 1 });
}

/**
 * All members answer, then rewrite their answers having read those of the others, round after round; one writer makes a comprehensive answer
 * of the last ones, and its tokens stream. The multi-agent refinement of MoCo (arXiv 2601.21257).
 *
 * Cost: n * r + 1 calls in r rounds, depth r + 1; one more, a repair, which the plan does not count, where an answer does not satisfy its schema.
 * Pays for open questions where completeness counts and members differ in what they know. For answers that can be compared `vote` is as good
 * at a third of the price; `mixture` is its rival, whose members do not defend an answer of their own.
 *
 * - A lost member sits out the other rounds; the rest go on. A single one has nobody to read: it goes to the writer, and is returned as it is
 *   where it is by the writer's own model.
 * - A round that misses the quorum, or that the budget has no room for, is dropped: the writer reads the round before, marked as degraded.
 * - A writer that fails, or a deadline that passes, before the first token: the medoid of the last round that counted, marked as degraded.
 */
export const refine = defineStrategy({
  kind: "refine",
  level: "text",
  summary: "All members rewrite their answers having read the others', and one writer sums up.",
  options,
  build(options, site) {
    readEachOther(options);
    const refining = { prompt: shared.promptOf(site, "refine", ["candidates"], ["nonce"]), maxTokens: options.maxCandidateTokens };
    const base = buildWritten(options, site, shared.promptOf(site, "closing", ["candidates"], ["nonce"]));
    const built: InRounds = { ...base, rounds: options.rounds, next: (answers, next) => nextRound(answers, next, refining) };
    const inner = { name: site.name, stream: (request: ChatRequest, call: Call) => answerInRounds(built, request, call) };
    return panel(inner, {
      tools: buildTools(options.tools, built.writer.model, site, built.assembly),
      ownText: () => true,
      needs: everyone(built.assembly.seating),
    });
  },
  plan(options, child) {
    readEachOther(options);
    const { calls, depth } = planAgain(options, child);
    const more = options.rounds - 1;
    return planWritten(options, { calls: [more * calls[0], more * calls[1]], depth: more * depth }, child);
  },
  examples: [
    { kind: "refine", members: ["a", "b"], writer: "c" },
    { kind: "refine", members: ["a", "b", "c"], writer: "a", rounds: 3, quorum: { min: 2, graceMs: 4_000 } },
    { kind: "refine", members: [{ model: "a", samples: 2, temperature: 0.7 }, "b"], writer: "b", maxCandidateTokens: 500, onShort: "fail" },
    { kind: "refine", members: ["a", "b"], writer: "c", quorum: { deadlineMs: 20_000, reserves: ["c"] }, tools: { owner: "a" } },
    {
      kind: "refine",
      members: [{ kind: "vote", members: ["a", "b", "c"] }, "b"],
      writer: { kind: "refine", members: ["a", "b"], writer: "c" },
    },
  ],
});
