import * as z from "zod";
import { enter, type Call } from "../../model/call.ts";
import { complete } from "../../model/complete.ts";
import { textOf } from "../../model/completion.ts";
import { throwIfAborted } from "../../model/errors.ts";
import type { ModelEvent } from "../../model/events.ts";
import type { Plan } from "../../model/plan.ts";
import type { ChatRequest } from "../../model/request.ts";
import { assemble, type Assembled, type Assembly, type Weighed } from "../../panel/assemble.ts";
import { fenced, shownText } from "../../panel/candidates.ts";
import { flush, wholeDelivery } from "../../panel/flush.ts";
import { panel } from "../../panel/panel.ts";
import { openPatience } from "../../panel/patience.ts";
import type { RepairPrompt } from "../../panel/repair.ts";
import { hasRoom } from "../../panel/room.ts";
import { validatorOf } from "../../panel/schema.ts";
import { everyone, type Role, type Seating } from "../../panel/seats.ts";
import { lettersOf, show, type Shown } from "../../panel/showing.ts";
import { tailOf } from "../../panel/tail.ts";
import { top, type Ranking } from "../../panel/judging/top.ts";
import { asideRequest, withTurn } from "../../panel/turn.ts";
import { medoidInstead, repairInstead, write, type Events, type Writing } from "../../panel/writer.ts";
import { defineStrategy, type BuildSite, type Node } from "../define.ts";
import * as shared from "../members.ts";
import { buildTools, withTools } from "../tool-turns.ts";
import { buildRanking, planRanking, TOP_K } from "./fuse-ranking.ts";

const options = z.strictObject({
  members: shared.members,
  writer: shared.role.describe("Who writes the answer from the candidates."),
  ranker: shared.role
    .optional()
    .describe("Who compares every two candidates, in both orders, so that only the best go on to the writer. Nobody by default."),
  topK: z.int().min(1).optional().describe(`How many the ranker lets through: ${TOP_K} unless said, and always fewer than there are.`),
  analysis: shared.role.optional().describe("Who compares the candidates for the writer: one call more. Nobody by default."),
  maxCandidateTokens: z.int().min(16).default(8_000).describe("What the writer is shown of each candidate at most; an estimate."),
  quorum: shared.quorum,
  onShort: shared.onShort,
  refusals: shared.refusals,
  tools: shared.tools,
});

type Options = z.output<typeof options>;

/** A fuse as it was built. */
interface Fuse {
  readonly assembly: Assembly;
  readonly maxCandidateTokens: number;
  readonly writer: Role;
  /** Labels of the seats where the writer's own model sits. */
  readonly writerSeats: ReadonlySet<string>;
  readonly ranking: Ranking | undefined;
  readonly prompt: shared.Fill;
  readonly analyst: { readonly role: Role; readonly prompt: shared.Fill } | undefined;
  readonly repairPrompt: RepairPrompt;
}

/** What the analyst says of the candidates, fenced like them; empty without one. */
async function analyse(
  { analyst, maxCandidateTokens }: Fuse,
  shown: Shown<Weighed>,
  { call, patience }: Writing,
  request: ChatRequest,
): Promise<string> {
  if (!analyst) return "";
  if (!hasRoom(call, 2)) {
    call.trace.degraded.push("analysis: budget_denied");
    return "";
  }
  const { role, prompt } = analyst;
  const { nonce, candidates } = shown;
  const inner = enter(call, { label: "analysis", delivery: wholeDelivery(call), signal: patience.signal });
  const result = await complete(role.model, asideRequest(request, prompt({ nonce, candidates }), role), inner);
  const text = result.ok ? shownText(textOf(result.completion), maxCandidateTokens) : "";
  if (text !== "") return `\nThey were compared as follows; this comparison may be wrong too.\n\n${fenced("comparison", text, nonce)}\n`;
  if (!patience.signal.aborted) call.trace.degraded.push(`analysis: ${result.ok ? "empty" : result.error.code}`);
  return "";
}

/** What the writer may read: of a ranking the best, the first of which stands in for it. */
async function narrow({ ranking }: Fuse, writing: Writing, request: ChatRequest): Promise<Writing> {
  const { call, candidates, patience } = writing;
  if (!ranking) return writing;
  const { best, judged } = await top(candidates, ranking, { request, call, signal: patience.signal }, 1);
  const [first] = best;
  const stead = judged && first ? { candidate: first, what: "best-ranked candidate" } : undefined;
  return { ...writing, candidates: best, stead };
}

async function merge(fuse: Fuse, writing: Writing, assembled: Assembled, request: ChatRequest): Promise<Events> {
  const { call, patience } = writing;
  const [first, ...others] = writing.candidates;
  if (first === undefined) return repairInstead(writing, { ...assembled, name: fuse.assembly.name }, request);
  if (patience.signal.aborted) return medoidInstead(writing, "deadline");
  if (others.length === 0 && fuse.writerSeats.has(first.label)) {
    call.span.decision = { ...call.span.decision, winner: first.label };
    return flush(first.completion, call);
  }
  const narrowed = await narrow(fuse, writing, request);
  throwIfAborted(call.signal);
  if (patience.signal.aborted) return medoidInstead(writing, "deadline");
  const shown = show(narrowed.candidates, { maxTokens: fuse.maxCandidateTokens }, request, call);
  call.span.decision = { ...call.span.decision, candidates: lettersOf(shown) };
  const analysis = await analyse(fuse, shown, narrowed, request);
  throwIfAborted(call.signal);
  if (patience.signal.aborted) return medoidInstead(narrowed, "deadline");
  return write(narrowed, withTurn(request, fuse.prompt({ nonce: shown.nonce, candidates: shown.candidates, analysis })));
}

async function* answer(fuse: Fuse, request: ChatRequest, call: Call): AsyncGenerator<ModelEvent> {
  const { assembly, writer, repairPrompt } = fuse;
  using patience = openPatience(call, assembly.quorum.deadlineMs);
  const validator = validatorOf(request);
  const assembled = await assemble(assembly, request, call, { validator });
  const { candidates, early } = assembled;
  if (early !== undefined) call.span.decision = { early };
  yield* await merge(fuse, { writer, repairPrompt, candidates, validator, patience, call }, assembled, request);
}

/** Half a fusion is no fusion: two by default, where there are two. */
function quorumOf({ members, quorum }: Options): Assembly["quorum"] {
  const seats = shared.countSeats(members);
  return shared.quorumOf(quorum, seats, Math.min(2, seats));
}

function writerSeats({ places, reserves }: Seating, writer: Node): ReadonlySet<string> {
  return new Set([...places, ...reserves].filter(({ name }) => name === writer).map(({ label }) => label));
}

function buildFuse(options: Options, site: BuildSite): Fuse {
  const { analysis, maxCandidateTokens, members, onShort, quorum, refusals, writer } = options;
  const seating = shared.buildSeating(members, quorum.reserves, site);
  return {
    assembly: { name: site.name, seating, quorum: quorumOf(options), onShort, refusals },
    maxCandidateTokens,
    ranking: buildRanking(options, seating, site),
    writer: shared.buildRole(writer, "writer", site),
    writerSeats: writerSeats(seating, shared.nodeOf(writer)),
    prompt: shared.promptOf(site, "fuse", ["candidates"], ["nonce", "analysis"]),
    analyst:
      analysis === undefined
        ? undefined
        : { role: shared.buildRole(analysis, "analysis", site), prompt: shared.promptOf(site, "fuse-analysis", ["candidates"], ["nonce"]) },
    repairPrompt: shared.promptOf(site, "repair", ["reason"]),
  };
}

/**
 * All members answer, one writer reads the answers, anonymous and in random order, and writes a better one: the generative half of
 * LLM-Blender (arXiv 2306.02561) with the instruction of AggLM (2509.06870) that all may be wrong. Its tokens stream. With a `ranker` all pairs
 * are compared first, and the writer reads the `topK` best: the whole of LLM-Blender, PairRanker by a chat model.
 *
 * Cost: n + 1 calls, n + 2 with `analysis`, n(n-1) more with a `ranker`; depth 2, and 1 more for each. The plan counts a retry of every comparison. One more, a repair, which the plan does not count, where an answer does not
 * satisfy its schema; it does not stream then. Pays for open questions, where no two answers are alike; for answers that can be compared `vote` is cheaper and as good. Members
 * should be of about equal strength; several samples of the best one do well (2502.00674).
 *
 * - A single candidate by the writer's own model is returned as it is: to read oneself adds nothing. Anybody else's is still checked by the writer.
 * - The writer that fails, or a deadline that passes, before the first token: the best-ranked, else the medoid candidate, marked as degraded.
 * - A ranker that skips its own answer counts it as tied; without any verdict those most like the others are kept, marked as degraded.
 * - A budget without room leaves out the ranking, then the analysis, then the writer. Recorded.
 */
export const fuse = defineStrategy({
  kind: "fuse",
  level: "text",
  summary: "Asks several models, and one writer merges what they say.",
  options,
  build(options, site) {
    const built = buildFuse(options, site);
    const inner = { name: site.name, stream: (request: ChatRequest, call: Call) => answer(built, request, call) };
    return panel(inner, {
      tools: buildTools(options.tools, built.writer.model, site, built.assembly),
      ownText: () => true,
      needs: everyone(built.assembly.seating),
    });
  },
  plan(options, child) {
    quorumOf(options);
    const ranking = planRanking(options, shared.mayCut(options.quorum) ? quorumOf(options).min : shared.countSeats(options.members), child);
    const { analysis, members, quorum, tools, writer } = options;
    const seats = shared.planSeats({ members, reserves: quorum.reserves, cuts: shared.mayCut(quorum) }, child);
    const steps = [
      ...(analysis ? [{ role: "analysis", child: child(shared.nodeOf(analysis)) }] : []),
      { role: "writer", child: child(shared.nodeOf(writer)) },
    ];
    const sum = (of: (step: (typeof steps)[number]) => number) => steps.reduce((total, step) => total + of(step), 0);
    const { calls, depth } = ranking?.cost ?? { calls: [0, 0], depth: 0 };
    const plan: Plan = {
      calls: [
        seats.calls[0] + calls[0] + sum(({ child: { plan } }) => plan.calls[0]),
        seats.calls[1] + calls[1] + sum(({ child: { plan } }) => plan.calls[1]),
      ],
      depth: seats.depth + depth + sum(({ child: { plan } }) => plan.depth),
      tail: tailOf(child(shared.nodeOf(writer))),
      reads: true,
      edges: [...seats.edges, ...(ranking ? [{ role: "ranker", child: ranking.ranker }] : []), ...steps],
    };
    return withTools(plan, tools, child, { owner: shared.nodeOf(writer), members, reserves: quorum.reserves });
  },
  examples: [
    { kind: "fuse", members: ["a", "b"], writer: "c" },
    { kind: "fuse", members: ["a", "b"], writer: "c", tools: { policy: "advise" } },
    { kind: "fuse", members: ["a", "b", "c"], writer: "a", quorum: { min: 2, graceMs: 4_000 } },
    {
      kind: "fuse",
      members: [{ model: "a", samples: 3, temperature: 0.8, maxTokens: 800 }],
      writer: { model: "a", temperature: 0.2 },
      analysis: "b",
    },
    { kind: "fuse", members: ["a", "b", { model: "b", temperature: 1 }], writer: "a", ranker: "c", topK: 2, quorum: { graceMs: 4_000 } },
    { kind: "fuse", members: ["a", { model: "b", system: "Answer as a lawyer." }], writer: "c", onShort: "fail", tools: { owner: "b" } },
    {
      kind: "fuse",
      members: [{ kind: "vote", members: ["a", "b", "c"] }, "b"],
      writer: { kind: "fuse", members: ["a", "b"], writer: "c" },
    },
  ],
});
