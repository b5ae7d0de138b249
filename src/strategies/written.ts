/** What the kinds share whose members answer in rounds and whose writer closes. */
import * as z from "zod";
import type { Plan, Planned } from "../model/plan.ts";
import type { InRounds } from "../panel/in-rounds.ts";
import type { Place } from "../panel/seats.ts";
import { tailOf } from "../panel/tail.ts";
import { OptionError, type BuildSite, type Node } from "./define.ts";
import * as shared from "./members.ts";
import { talking } from "./talk.ts";
import { withTools } from "./tool-turns.ts";

/** Options of all of them. */
export const written = {
  ...talking,
  writer: shared.role.describe("Who writes the answer from those of the last round."),
};

const schema = z.strictObject(written);

export type WrittenOptions = z.output<typeof schema>;

type Seats = Pick<WrittenOptions, "members" | "quorum">;

/** Half a panel is no panel: two by default, where there are two. */
function writtenQuorum({ members, quorum }: Seats): InRounds["assembly"]["quorum"] {
  const seats = shared.countSeats(members);
  return shared.quorumOf(quorum, seats, Math.min(2, seats));
}

/** How many seats there are, where a member reads the others: two at least. */
export function readEachOther({ members }: Seats): number {
  const seats = shared.countSeats(members);
  if (seats < 2) throw new OptionError("members", "needs at least two: they read each other");
  return seats;
}

/** Builds the children; `closing` is the writer's prompt. */
export function buildWritten(options: WrittenOptions, site: BuildSite, closing: InRounds["closing"]): Omit<InRounds, "rounds" | "next"> {
  const { maxCandidateTokens, members, onShort, quorum, refusals, writer } = options;
  const seating = shared.buildSeating(members, quorum.reserves, site);
  const isWriters = ({ name }: Place) => name === shared.nodeOf(writer);
  return {
    assembly: { name: site.name, seating, quorum: writtenQuorum(options), onShort, refusals },
    writer: shared.buildRole(writer, "writer", site),
    writerSeats: new Set([...seating.places, ...seating.reserves].filter(isWriters).map(({ label }) => label)),
    closing,
    maxCandidateTokens,
    repairPrompt: shared.promptOf(site, "repair", ["reason"]),
  };
}

/** What the rounds after the first one cost. */
export interface Further {
  readonly calls: readonly [best: number, worst: number];
  readonly depth: number;
}

/** The plan of a first round, what `further` ones cost, and a writer. */
export function planWritten(
  options: Seats & Pick<WrittenOptions, "tools" | "writer">,
  further: Further,
  child: (node: Node) => Planned,
): Plan {
  writtenQuorum(options);
  const { members, quorum, tools } = options;
  const first = shared.planSeats({ members, reserves: quorum.reserves, cuts: shared.mayCut(quorum) }, child);
  const node = shared.nodeOf(options.writer);
  const writer = child(node);
  const plan: Plan = {
    calls: [first.calls[0] + further.calls[0] + writer.plan.calls[0], first.calls[1] + further.calls[1] + writer.plan.calls[1]],
    depth: first.depth + further.depth + writer.plan.depth,
    tail: tailOf(writer),
    reads: true,
    edges: [...first.edges, { role: "writer", child: writer }],
  };
  return withTools(plan, tools, child, { owner: node, members, reserves: quorum.reserves });
}

/**
 * The calls of asking once more those who have answered, and how deep that is. At worst the dearest have, reserves among them; at best the
 * fewest and cheapest that a cut may leave, and a single one is not asked: it has nobody to read.
 */
export function planAgain(
  options: Seats,
  child: (node: Node) => Planned,
): Further & { readonly seats: readonly [best: number, worst: number] } {
  const { members, quorum } = options;
  const plans = (list: readonly shared.MemberOptions[]) =>
    list.flatMap((given) => Array.from({ length: shared.countSeats([given]) }, () => child(shared.nodeOf(given)).plan));
  const seats = plans(members);
  const all = [...seats, ...plans(quorum.reserves)];
  const sum = (calls: readonly number[]) => calls.reduce((total, some) => total + some, 0);
  const cuts = shared.mayCut(quorum);
  const { min } = writtenQuorum(options);
  const fewest = cuts ? (min < 2 ? 0 : min) : seats.length;
  const best = seats.map(({ calls }) => (cuts ? Math.min(1, calls[0]) : calls[0])).sort((a, b) => a - b);
  const worst = all.map(({ calls }) => calls[1]).sort((a, b) => b - a);
  return {
    calls: [sum(best.slice(0, fewest)), sum(worst.slice(0, seats.length))],
    depth: Math.max(0, ...all.map(({ depth }) => depth)),
    seats: [fewest, seats.length],
  };
}
