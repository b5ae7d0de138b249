import * as z from "zod";
import type { Call } from "../../model/call.ts";
import type { ModelEvent } from "../../model/events.ts";
import type { ChatRequest } from "../../model/request.ts";
import { poll, shortage, type Assembly, type Weighed } from "../../panel/assemble.ts";
import { withoutThoughts } from "../../panel/answers/plain.ts";
import { panel } from "../../panel/panel.ts";
import { openPatience } from "../../panel/patience.ts";
import type { RepairPrompt } from "../../panel/repair.ts";
import { validatorOf } from "../../panel/schema.ts";
import { hasRoom } from "../../panel/room.ts";
import type { Place, Role } from "../../panel/seats.ts";
import { lettersOf, show } from "../../panel/showing.ts";
import { withoutTools } from "../../panel/tools/tools.ts";
import { asideRequest, withTurn } from "../../panel/turn.ts";
import { write } from "../../panel/writer.ts";
import { defineStrategy, type BuildSite } from "../define.ts";
import * as shared from "../members.ts";
import { buildTools } from "../tool-turns.ts";
import { planWritten } from "../written.ts";

const options = z.strictObject({
  members: shared.members.describe("The specialists: models, or one model under several system prompts."),
  writer: shared.role.describe("Who answers with their cards."),
  maxCardTokens: z.int().min(16).default(400).describe("What the writer is shown of each card at most; an estimate."),
  quorum: shared.quorum,
  onShort: shared.onShort,
  tools: shared.tools,
});

type Options = z.output<typeof options>;

/** A knowledge-card as it was built. */
interface Cards {
  readonly assembly: Assembly;
  readonly maxCardTokens: number;
  readonly writer: Role;
  readonly cardPrompt: shared.Fill;
  readonly answerPrompt: shared.Fill;
  readonly repairPrompt: RepairPrompt;
}

/** One card is enough: a missing one is no missing vote. */
function quorumOf({ members, quorum }: Options): Assembly["quorum"] {
  return shared.quorumOf(quorum, shared.countSeats(members), 1);
}

/** The specialists that the budget has room for beside the writer, the first ones first. */
function affordable(places: readonly Place[], call: Call): readonly Place[] {
  let count = places.length;
  while (count > 0 && !hasRoom(call, count + 1)) count -= 1;
  if (count < places.length) call.trace.degraded.push(`cards: budget_denied, ${count} of ${places.length} asked`);
  return places.slice(0, count);
}

/** Whether a specialist says that it has nothing to say. */
function isNone(text: string): boolean {
  return /^\W*none\W*$/i.test(withoutThoughts(text));
}

/** The cards that have something on them. */
async function cardsOf({ assembly, cardPrompt }: Cards, request: ChatRequest, call: Call): Promise<readonly Weighed[]> {
  const places = affordable(assembly.seating.places, call);
  if (places.length === 0) return [];
  const min = Math.min(assembly.quorum.min, places.length);
  const asked = { ...assembly, seating: { ...assembly.seating, places }, quorum: { ...assembly.quorum, min } };
  const content = cardPrompt({});
  const polled = await poll(asked, ({ label }) => asideRequest(request, content, { label, settings: {} }), call, {});
  const { candidates } = polled;
  if (candidates.length < min) {
    const what = `${candidates.length} of ${min} cards`;
    if (assembly.onShort === "fail") throw shortage(`${assembly.name} has ${what}`, polled);
    call.trace.degraded.push(`cards: ${what}`);
  }
  return candidates.filter(({ text }) => !isNone(text));
}

async function* answer(built: Cards, request: ChatRequest, call: Call): AsyncGenerator<ModelEvent> {
  const { answerPrompt, maxCardTokens, repairPrompt, writer } = built;
  // The deadline is for the cards: without the writer there is no answer.
  using patience = openPatience(call, undefined);
  const cards = await cardsOf(built, request, call);
  const shown = show(cards, { maxTokens: maxCardTokens, what: "card" }, request, call);
  call.span.decision = { cards: lettersOf(shown) };
  const asked =
    cards.length === 0 ? withoutTools(request) : withTurn(request, answerPrompt({ nonce: shown.nonce, cards: shown.candidates }));
  yield* await write({ writer, repairPrompt, candidates: [], validator: validatorOf(request), patience, call }, asked);
}

function buildCards(options: Options, site: BuildSite): Cards {
  const { maxCardTokens, members, onShort, quorum, writer } = options;
  return {
    assembly: {
      name: site.name,
      seating: shared.buildSeating(members, quorum.reserves, site),
      quorum: quorumOf(options),
      onShort,
      refusals: "unusable",
    },
    maxCardTokens,
    writer: shared.buildRole(writer, "writer", site),
    cardPrompt: shared.promptOf(site, "knowledge-card", []),
    answerPrompt: shared.promptOf(site, "knowledge-card-answer", ["cards"], ["nonce"]),
    repairPrompt: shared.promptOf(site, "repair", ["reason"]),
  };
}

/**
 * Specialists write down what they know of the matter, short and without answering; one writer answers with their cards, anonymous and in random
 * order, and its tokens stream. Knowledge Card (arXiv 2305.09955), bottom up: every specialist is asked. Its filters are left to the writer,
 * who is told that a card may be beside the point or wrong, and to the specialists, who may say that they know nothing.
 *
 * Cost: n + 1 calls, depth 2; one more, a repair, which the plan does not count, where an answer does not satisfy its schema. Pays where small
 * models know something that the writer does not: tuned on a field, a country, a code base, or with tools of their own. General models of one
 * sort have nothing to tell each other.
 *
 * - Lost cards are left out. Without a single one the writer answers alone, marked as degraded; where all have nothing to say it does so unmarked.
 * - A budget without room for all asks the first ones; `deadlineMs` is for the cards.
 * - A card is no answer, so nothing stands in for the writer: its error is the panel's. Give it a `fallback`.
 */
export const knowledgeCard = defineStrategy({
  kind: "knowledge-card",
  level: "text",
  summary: "Specialists write short cards of what they know, and one model answers with them.",
  options,
  build(options, site) {
    const built = buildCards(options, site);
    const inner = { name: site.name, stream: (request: ChatRequest, call: Call) => answer(built, request, call) };
    return panel(inner, {
      tools: buildTools(options.tools, built.writer.model, site, built.assembly),
      ownText: () => true,
      needs: [built.writer],
    });
  },
  plan(options, child) {
    quorumOf(options);
    return planWritten(options, { calls: [0, 0], depth: 0 }, child);
  },
  examples: [
    { kind: "knowledge-card", members: ["a", "b"], writer: "c" },
    {
      kind: "knowledge-card",
      members: [
        { model: "a", system: "You know medicine.", maxTokens: 300 },
        { model: "a", system: "You know law.", maxTokens: 300 },
      ],
      writer: { model: "a", temperature: 0.2 },
      quorum: { deadlineMs: 5_000, graceMs: 1_000 },
    },
    {
      kind: "knowledge-card",
      members: ["a", "b"],
      writer: "c",
      onShort: "fail",
      quorum: { min: 2, reserves: ["c"] },
      tools: { policy: "refuse" },
    },
    {
      kind: "knowledge-card",
      members: ["a", { kind: "vote", members: ["a", "b", "c"] }],
      writer: { kind: "fallback", members: ["c", { kind: "knowledge-card", members: ["a"], writer: "b" }] },
    },
  ],
});
