import * as z from "zod";
import { enter, type Call } from "../../model/call.ts";
import { complete } from "../../model/complete.ts";
import { textOf } from "../../model/completion.ts";
import { GatewayError, throwIfAborted } from "../../model/errors.ts";
import type { ModelEvent } from "../../model/events.ts";
import type { Plan } from "../../model/plan.ts";
import type { ChatRequest } from "../../model/request.ts";
import { assemble, type Assembled, type Assembly } from "../../panel/assemble.ts";
import { fenced, newNonce, shownText, shuffled } from "../../panel/candidates.ts";
import { flush, wholeDelivery } from "../../panel/flush.ts";
import { panel } from "../../panel/panel.ts";
import { openPatience } from "../../panel/patience.ts";
import { repairOnce, schemaUnsatisfied, type RepairPrompt } from "../../panel/repair.ts";
import { validatorOf } from "../../panel/schema.ts";
import type { Role, Seating } from "../../panel/seats.ts";
import { drawsOf } from "../../panel/seed.ts";
import { tailOf } from "../../panel/tail.ts";
import { asideRequest, withTurn } from "../../panel/turn.ts";
import { medoidInstead, write, type Events, type Writing } from "../../panel/writer.ts";
import { defineStrategy, type BuildSite, type Node } from "../define.ts";
import * as shared from "../members.ts";

const options = z.strictObject({
  members: shared.members,
  writer: shared.role.describe("Who writes the answer from the candidates."),
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
  readonly prompt: shared.Fill;
  readonly analyst: { readonly role: Role; readonly prompt: shared.Fill } | undefined;
  readonly repairPrompt: RepairPrompt;
}

/** The candidates as a reader is shown them. */
type Shown = Readonly<Record<"nonce" | "candidates", string>>;

/** Labels the candidates in a random order and fences them. Records which letter was whose. */
function show({ maxCandidateTokens }: Fuse, { candidates, call }: Writing, request: ChatRequest): Shown {
  const nonce = newNonce(call.random);
  const letters = shuffled(candidates, drawsOf(request, call, "order"));
  call.span.decision = { ...call.span.decision, candidates: Object.fromEntries(letters.map(({ label, item }) => [label, item.label])) };
  const texts = letters.map(({ label, item }) => fenced(`answer ${label}`, shownText(item.text, maxCandidateTokens), nonce));
  return { nonce, candidates: texts.join("\n\n") };
}

/** What the analyst says of the candidates, fenced like them; empty without one. */
async function analyse(
  { analyst, maxCandidateTokens }: Fuse,
  shown: Shown,
  { call, patience }: Writing,
  request: ChatRequest,
): Promise<string> {
  if (!analyst) return "";
  const { role, prompt } = analyst;
  const inner = enter(call, { label: "analysis", delivery: wholeDelivery(call), signal: patience.signal });
  const result = await complete(role.model, asideRequest(request, prompt(shown), role), inner);
  const text = result.ok ? shownText(textOf(result.completion), maxCandidateTokens) : "";
  if (text !== "")
    return `\nThey were compared as follows; this comparison may be wrong too.\n\n${fenced("comparison", text, shown.nonce)}\n`;
  if (!patience.signal.aborted) call.trace.degraded.push(`analysis: ${result.ok ? "empty" : result.error.code}`);
  return "";
}

/** Without one valid answer there is nothing to merge: an invalid one is repaired, or the request fails. */
async function repairAlone({ assembly, ...fuse }: Fuse, writing: Writing, { invalid }: Assembled, request: ChatRequest): Promise<Events> {
  const { validator, call, patience } = writing;
  if (validator === undefined || invalid === undefined) throw new GatewayError("internal", `${assembly.name} has no answers to merge.`);
  const repair = { writer: fuse.writer, prompt: fuse.repairPrompt, validator, signal: patience.signal };
  const repaired = await repairOnce(repair, invalid, request, call);
  call.span.decision = { repaired: repaired !== undefined };
  if (repaired === undefined) throw schemaUnsatisfied(assembly.name, invalid);
  return flush(repaired, call);
}

async function merge(fuse: Fuse, writing: Writing, assembled: Assembled, request: ChatRequest): Promise<Events> {
  const { candidates, call, patience } = writing;
  const [first, ...others] = candidates;
  if (first === undefined) return repairAlone(fuse, writing, assembled, request);
  if (patience.signal.aborted) return medoidInstead(writing, "deadline");
  if (others.length === 0 && fuse.writerSeats.has(first.label)) {
    call.span.decision = { ...call.span.decision, winner: first.label };
    return flush(first.completion, call);
  }
  const shown = show(fuse, writing, request);
  const analysis = await analyse(fuse, shown, writing, request);
  throwIfAborted(call.signal);
  if (patience.signal.aborted) return medoidInstead(writing, "deadline");
  return write(writing, withTurn(request, fuse.prompt({ ...shown, analysis })));
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
 * LLM-Blender (arXiv 2306.02561) with the instruction of AggLM (2509.06870) that all may be wrong. Its tokens stream.
 *
 * Cost: n + 1 calls, n + 2 with `analysis`; depth 2 or 3. One more, a repair, which the plan does not count, where an answer does not
 * satisfy its schema; it does not stream then. Pays for open questions, where no two answers are alike; for answers that can be compared `vote` is cheaper and as good. Members
 * should be of about equal strength; several samples of the best one do well (2502.00674).
 *
 * - A single candidate by the writer's own model is returned as it is: to read oneself adds nothing. Anybody else's is still checked by the writer.
 * - The writer that fails, or a deadline that passes, before the first token: the medoid candidate, marked as degraded.
 */
export const fuse = defineStrategy({
  kind: "fuse",
  level: "text",
  summary: "Asks several models, and one writer merges what they say.",
  options,
  build(options, site) {
    const built = buildFuse(options, site);
    const inner = { name: site.name, stream: (request: ChatRequest, call: Call) => answer(built, request, call) };
    return panel(inner, { tools: shared.buildTools(options.tools, built.writer.model, site), ownText: () => true });
  },
  plan(options, child) {
    quorumOf(options);
    const { analysis, members, quorum, tools, writer } = options;
    const seats = shared.planSeats({ members, reserves: quorum.reserves, cuts: shared.mayCut(quorum) }, child);
    const steps = [
      ...(analysis ? [{ role: "analysis", child: child(shared.nodeOf(analysis)) }] : []),
      { role: "writer", child: child(shared.nodeOf(writer)) },
    ];
    const sum = (of: (step: (typeof steps)[number]) => number) => steps.reduce((total, step) => total + of(step), 0);
    const plan: Plan = {
      calls: [seats.calls[0] + sum(({ child: { plan } }) => plan.calls[0]), seats.calls[1] + sum(({ child: { plan } }) => plan.calls[1])],
      depth: seats.depth + sum(({ child: { plan } }) => plan.depth),
      tail: tailOf(child(shared.nodeOf(writer))),
      reads: true,
      edges: [...seats.edges, ...steps],
      tools: shared.toolsTitle(tools, shared.nodeOf(writer), child),
    };
    return shared.withOwner(plan, tools, child);
  },
  examples: [
    { kind: "fuse", members: ["a", "b"], writer: "c" },
    { kind: "fuse", members: ["a", "b", "c"], writer: "a", quorum: { min: 2, graceMs: 4_000 } },
    {
      kind: "fuse",
      members: [{ model: "a", samples: 3, temperature: 0.8, maxTokens: 800 }],
      writer: { model: "a", temperature: 0.2 },
      analysis: "b",
    },
    { kind: "fuse", members: ["a", { model: "b", system: "Answer as a lawyer." }], writer: "c", onShort: "fail", tools: { owner: "b" } },
    {
      kind: "fuse",
      members: [{ kind: "vote", members: ["a", "b", "c"] }, "b"],
      writer: { kind: "fuse", members: ["a", "b"], writer: "c" },
    },
  ],
});
