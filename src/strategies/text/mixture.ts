import * as z from "zod";
import type { Call } from "../../model/call.ts";
import type { ChatRequest } from "../../model/request.ts";
import { answerInRounds, type InRounds, type Next } from "../../panel/in-rounds.ts";
import { panel } from "../../panel/panel.ts";
import { everyone } from "../../panel/seats.ts";
import { askAgain, noteShown, type Seated } from "../../panel/rounds.ts";
import { show } from "../../panel/showing.ts";
import { withTurn } from "../../panel/turn.ts";
import { defineStrategy } from "../define.ts";
import * as shared from "../members.ts";
import { buildTools } from "../tool-turns.ts";
import { buildWritten, planWritten, written } from "../written.ts";

const options = z.strictObject({
  ...written,
  layers: z.int().min(2).max(8).default(2).describe("The writer is the last one; in each before it all members answer."),
});

/** A further layer: all members, whoever was lost before, read the answers of the layer before and nothing of their own. */
async function nextLayer(
  answers: readonly Seated[],
  next: Next,
  { closing, maxCandidateTokens: maxTokens }: Pick<InRounds, "closing" | "maxCandidateTokens">,
): Promise<readonly Seated[] | undefined> {
  const { assembly, call, number, request } = next;
  const shown = show(answers, { maxTokens, purpose: `order, round ${number}` }, request, call);
  noteShown(call, `round ${number}`, shown);
  const asked = withTurn(request, closing({ nonce: shown.nonce, candidates: shown.candidates }));
  return askAgain(next, { number, seating: assembly.seating, ask: () => asked, after: 1 });
}

/**
 * Layers of the same members: each reads all answers of the layer before, anonymous and in random order, and writes a better one; in the last
 * layer one writer does, and its tokens stream. Mixture-of-Agents (arXiv 2406.04692); with samples of one model Self-MoA (2502.00674).
 *
 * Cost: n(L-1) + 1 calls in L layers, depth L; one more, a repair, which the plan does not count, where an answer does not satisfy its schema.
 * Pays for open questions with members of about equal strength: the answer follows their average more than their variety, so weak ones cost
 * twice, and several samples of the best one are the panel to beat. More than three layers seldom pay.
 *
 * - A lost member is left out of its layer and asked again in the next. A single answer is read like several; in the last layer it is returned
 *   as it is where it is by the writer's own model.
 * - A layer that misses the quorum, or that the budget has no room for, is dropped: the writer reads the layer before, marked as degraded.
 * - A writer that fails, or a deadline that passes, before the first token: the medoid of the last layer that counted, marked as degraded.
 */
export const mixture = defineStrategy({
  kind: "mixture",
  level: "text",
  summary: "Layers of members that read each other's answers, and one writer at the end.",
  options,
  build(options, site) {
    const prompt = shared.promptOf(site, "mixture", ["candidates"], ["nonce"]);
    const base = buildWritten(options, site, prompt);
    const built: InRounds = { ...base, rounds: options.layers - 1, next: (answers, next) => nextLayer(answers, next, base) };
    const inner = { name: site.name, stream: (request: ChatRequest, call: Call) => answerInRounds(built, request, call) };
    return panel(inner, {
      tools: buildTools(options.tools, built.writer.model, site, built.assembly),
      ownText: () => true,
      needs: everyone(built.assembly.seating),
    });
  },
  plan(options, child) {
    const { layers, members, quorum } = options;
    const layer = shared.planSeats({ members, reserves: quorum.reserves, cuts: shared.mayCut(quorum) }, child);
    const more = layers - 2;
    return planWritten(options, { calls: [more * layer.calls[0], more * layer.calls[1]], depth: more * layer.depth }, child);
  },
  examples: [
    { kind: "mixture", members: ["a", "b"], writer: "c" },
    { kind: "mixture", members: ["a", "b", "c"], writer: "a", layers: 3, quorum: { min: 2, graceMs: 4_000 } },
    { kind: "mixture", members: [{ model: "a", samples: 3, temperature: 0.7, maxTokens: 800 }], writer: "a" },
    {
      kind: "mixture",
      members: ["a", "b"],
      writer: "c",
      layers: 4,
      onShort: "fail",
      quorum: { deadlineMs: 20_000, reserves: ["c"] },
      tools: { policy: "select", judge: "c" },
    },
    {
      kind: "mixture",
      members: [
        { kind: "vote", members: ["a", "b", "c"] },
        { model: "b", system: "Be brief." },
      ],
      writer: { kind: "mixture", members: ["a"], writer: "c" },
      layers: 3,
      tools: { policy: "refuse" },
    },
  ],
});
