/** What the kinds share whose members read each other, with or without a writer at the end. */
import * as z from "zod";
import type { Plan, Planned } from "../model/plan.ts";
import type { Assembly } from "../panel/assemble.ts";
import { planQuestions } from "../panel/judging/judge.ts";
import type { RepairPrompt } from "../panel/repair.ts";
import type { Place, Role } from "../panel/seats.ts";
import { tailOf } from "../panel/tail.ts";
import { OptionError, type BuildSite, type Node } from "./define.ts";
import * as shared from "./members.ts";
import { withTools } from "./tool-turns.ts";

/** Options of all of them. */
export const talking = {
  members: shared.members,
  maxCandidateTokens: z
    .int()
    .min(16)
    .default(2_000)
    .describe("What a reader is shown of each answer at most; an estimate. A prompt holds as many as there are members."),
  quorum: shared.quorum,
  onShort: shared.onShort,
  refusals: shared.refusals,
  tools: shared.tools,
};

const schema = z.strictObject(talking);

export type TalkOptions = z.output<typeof schema>;

/** A panel that talks, as it was built. */
export interface Talk {
  readonly assembly: Assembly;
  readonly first: Place;
  readonly maxCandidateTokens: number;
  readonly repairPrompt: RepairPrompt;
}

/** Two are a talk. More than `fewest` seats are wanted where fewer make no sense; the quorum is two, where nothing else is said. */
export function talkQuorum({ members, quorum }: TalkOptions, fewest: number, why: string): Assembly["quorum"] {
  const seats = shared.countSeats(members);
  if (seats < fewest)
    throw new OptionError("members", `${why}, so at least ${fewest} seats are needed; there ${seats === 1 ? "is 1" : `are ${seats}`}`);
  return shared.quorumOf(quorum, seats, 2);
}

export function buildTalk(options: TalkOptions, site: BuildSite, quorum: Assembly["quorum"]): Talk {
  const { maxCandidateTokens, members, onShort, refusals } = options;
  const seating = shared.buildSeating(members, options.quorum.reserves, site);
  const [first] = seating.places;
  if (first === undefined) throw new OptionError("members", "at least one is needed");
  const repairPrompt = shared.promptOf(site, "repair", ["reason"]);
  return { assembly: { name: site.name, seating, quorum, onShort, refusals }, first, maxCandidateTokens, repairPrompt };
}

/** A writer at the end, with the name by which its own model is known among the members. */
export interface Closer {
  readonly role: Role;
  readonly name: unknown;
  readonly prompt: shared.Fill;
}

/** `at` is its place in the options. */
export function buildCloser(given: shared.RoleOptions, prompt: shared.Fill, site: BuildSite, at = "writer"): Closer {
  return { role: shared.buildRole(given, at, site), name: shared.nodeOf(given), prompt };
}

type Cost = Pick<Plan, "calls" | "depth" | "edges" | "agreement">;

/** The node of each seat. */
function nodesOf(list: readonly shared.MemberOptions[]): readonly Node[] {
  return list.flatMap((given) => Array.from({ length: shared.countSeats([given]) }, () => shared.nodeOf(given)));
}

/** What the members are asked about each other's answers. */
export interface Asked {
  /** Questions to each who answered, all at once. A reply without a verdict costs one call more. */
  readonly each: number;
  /** They may not be asked at all. */
  readonly maySkip: boolean;
}

/** The cost of asking all seats for their answers, and then about those of the others. */
export function planAsked({ members, quorum }: TalkOptions, { each, maySkip }: Asked, child: (node: Node) => Planned): Cost {
  const cuts = shared.mayCut(quorum);
  const first = shared.planSeats({ members, reserves: quorum.reserves, cuts }, child);
  const asked = nodesOf([...members, ...quorum.reserves]).map((given) => planQuestions(child(given), each));
  const best = maySkip || cuts ? 0 : first.calls[0] * each;
  const dearest = asked.map(({ calls }) => calls[1]).sort((a, b) => b - a);
  const worst = dearest.slice(0, shared.countSeats(members)).reduce((sum, calls) => sum + calls, 0);
  return {
    calls: [first.calls[0] + best, first.calls[1] + worst],
    depth: first.depth + Math.max(...asked.map(({ depth }) => depth)),
    edges: first.edges,
  };
}

/** How often the seats are asked. */
export interface Rounds {
  readonly most: number;
  /** They may be done after the first. */
  readonly mayStop: boolean;
}

/** The cost of asking all seats so many times. A reserve that took a seat is asked again in its place, so at worst the dearest sit. */
export function planRounds({ members, quorum }: TalkOptions, { most, mayStop }: Rounds, child: (node: Node) => Planned): Cost {
  const cuts = shared.mayCut(quorum);
  const first = shared.planSeats({ members, reserves: quorum.reserves, cuts }, child);
  const all = nodesOf([...members, ...quorum.reserves]).map((given) => child(given).plan);
  const dearest = all.map(({ calls }) => calls[1]).sort((a, b) => b - a);
  const worst = dearest.slice(0, shared.countSeats(members)).reduce((sum, calls) => sum + calls, 0);
  const best = mayStop || cuts ? 0 : first.calls[0];
  const deepest = Math.max(...all.map(({ depth }) => depth));
  return {
    calls: [first.calls[0] + best * (most - 1), first.calls[1] + worst * (most - 1)],
    depth: first.depth + deepest * (most - 1),
    edges: first.edges,
    agreement: true,
  };
}

/** The plan of a panel that costs `cost` and ends with its winner, in one go, or with a writer. */
export function planTalk(
  { members, quorum, tools }: TalkOptions,
  cost: Cost,
  closer: { readonly role: string; readonly given: shared.RoleOptions } | undefined,
  child: (node: Node) => Planned,
): Plan {
  const owner = shared.nodeOf(closer?.given ?? members[0] ?? "");
  const standby = { owner, members, reserves: quorum.reserves };
  if (closer === undefined) return withTools({ ...cost, reads: true, tail: "none" }, tools, child, standby);
  const writer = child(shared.nodeOf(closer.given));
  // The answer is the writer's: nobody agreed on that.
  const plan: Plan = {
    reads: true,
    calls: [cost.calls[0] + writer.plan.calls[0], cost.calls[1] + writer.plan.calls[1]],
    depth: cost.depth + writer.plan.depth,
    tail: tailOf(writer),
    edges: [...cost.edges, { role: closer.role, child: writer }],
  };
  return withTools(plan, tools, child, standby);
}
