/** How the option `tools` of a panel becomes what src/panel runs, and what it costs. */
import type * as z from "zod";
import type { Plan, Planned } from "../model/plan.ts";
import type { Assembly } from "../panel/assemble.ts";
import { planQuestions, toJudge } from "../panel/judging/judge.ts";
import type { Role } from "../panel/seats.ts";
import { answererOf, tailOf } from "../panel/tail.ts";
import type { ToolsRule } from "../panel/tools/turn.ts";
import { OptionError, type BuildSite, type Node } from "./define.ts";
import * as shared from "./members.ts";

type Given = z.output<typeof shared.tools>;
type Policy = Given["policy"];

/** What only some kinds of policy have. */
type Options = Pick<Given, "policy" | "owner"> & Partial<Pick<Given, "members" | "judge" | "maxCandidateTokens">>;

/** What a policy does with an option that it does not have. */
const USELESS = {
  owner: {
    vote: "has no turn to own: the majority's call goes out",
    select: "has no turn to own: the judge picks",
    refuse: "has no turn to own under `policy: refuse`",
  },
  members: { owner: "have nothing to do: one model answers alone", refuse: "have nothing to do under `policy: refuse`" },
  judge: {
    owner: "goes with `policy: select`",
    vote: "goes with `policy: select`",
    advise: "goes with `policy: select`",
    refuse: "goes with `policy: select`",
  },
} satisfies Record<string, Partial<Record<Policy, string>>>;

function check(given: Options): void {
  for (const [option, why] of Object.entries(USELESS) as [keyof typeof USELESS, Partial<Record<Policy, string>>][]) {
    const fault = why[given.policy];
    if (given[option] !== undefined && fault !== undefined) throw new OptionError(`tools.${option}`, fault);
  }
  if (given.policy === "select" && given.judge === undefined) throw new OptionError("tools.judge", "`select` needs a judge");
}

/** Members of the option's own: more than half must have answered. */
function assemblyOf(list: readonly shared.MemberOptions[], site: BuildSite): Assembly {
  const seating = shared.buildSeating(list, [], site, shared.placeIn("tools.members"));
  const min = Math.floor(seating.places.length / 2) + 1;
  return { name: site.name, seating, quorum: { min }, onShort: "degrade", refusals: "unusable" };
}

/**
 * Who answers turns with tools. The owner is the one that is named, else `otherwise`; those who are asked are the ones that are named, else the
 * panel's `own` members.
 */
export function buildTools(given: Options, otherwise: Role["model"], site: BuildSite, own?: Assembly): ToolsRule {
  check(given);
  const { policy, judge, maxCandidateTokens: maxTokens = 2_000, members } = given;
  if (policy === "refuse") return { policy };
  const owner = given.owner === undefined ? otherwise : site.child(given.owner, "tools.owner");
  if (policy === "owner") return { policy, owner };
  const assembly = members === undefined ? own : assemblyOf(members, site);
  if (assembly === undefined)
    throw new OptionError("tools.members", `are needed for \`policy: ${policy}\`: this kind has none who could be asked`);
  if (policy === "vote") return { policy, assembly };
  if (policy === "advise") {
    const question = shared.promptOf(site, "tools-advise", ["tools"]);
    return { policy, assembly, owner, maxTokens, question, advice: shared.promptOf(site, "tools-advice", ["candidates"], ["nonce"]) };
  }
  if (judge === undefined) throw new OptionError("tools.judge", "`select` needs a judge");
  const role = { ...shared.buildRole(judge, "tools.judge", site), label: "judge" };
  const warn = (message: string) => site.warn("tools.judge", message);
  const prompt = shared.promptOf(site, "tools-select", ["candidates"], ["nonce", "form", "tools"]);
  return { policy, assembly, jury: [toJudge(role, shared.nodeOf(judge), assembly.seating, warn)], maxTokens, prompt };
}

/** Who answers turns with tools, as `chorale check` prints it. */
export function toolsTitle(given: Options, otherwise: Node, child: (node: Node) => Planned): string {
  return given.policy === "refuse" ? "refused" : ownerTitle(given.owner ?? otherwise, child);
}

/** The kind of a node within another says nothing of who answers. */
function ownerTitle(owner: Node, child: (node: Node) => Planned): string {
  const planned = child(owner);
  return planned.plan.tools ?? (typeof owner === "string" ? planned.title : answererOf(planned));
}

/** Whom a panel has for turns with tools when the option names nobody. */
export interface Standby {
  readonly owner: Node;
  readonly members?: readonly shared.MemberOptions[];
  readonly reserves?: readonly shared.MemberOptions[];
}

function titlesOf(list: readonly shared.MemberOptions[], child: (node: Node) => Planned): string {
  const titles = list.map((given) => {
    const seats = shared.countSeats([given]);
    return `${child(shared.nodeOf(given)).title}${seats > 1 ? ` x${seats}` : ""}`;
  });
  return titles.join(", ");
}

/** Those who are asked, before anybody picks or calls. */
function planSeats(given: Options, child: (node: Node) => Planned, standby: Standby): Plan & { readonly who: string } {
  const list = given.members ?? standby.members ?? [];
  const reserves = given.members ? [] : (standby.reserves ?? []);
  // Members of the option's own have no rule that cuts, but a majority may be sure before the last has answered.
  const cuts = given.members === undefined || given.policy === "vote";
  const { calls, depth, edges } = shared.planSeats({ members: list, reserves, cuts }, child);
  const named = given.members ? edges.map(({ role, child: planned }) => ({ role: `tools ${role}`, child: planned })) : edges;
  return { calls, depth, tail: "none", reads: true, edges: named, who: titlesOf(list, child) };
}

/** A turn with tools for which several are asked. */
function planTurn(given: Options, child: (node: Node) => Planned, standby: Standby): Plan {
  const { who, ...seats } = planSeats(given, child, standby);
  if (given.policy === "vote") return { ...seats, tools: `vote of ${who}` };
  if (given.policy === "select" && given.judge !== undefined) {
    const judge = child(shared.nodeOf(given.judge));
    const { calls, depth } = planQuestions(judge);
    return {
      ...seats,
      // Nobody asks a judge where all would do the same.
      calls: [seats.calls[0], seats.calls[1] + calls[1]],
      depth: seats.depth + depth,
      edges: [...seats.edges, { role: "tools judge", child: judge }],
      tools: `pick of ${judge.title} among ${who}`,
    };
  }
  const owner = child(given.owner ?? standby.owner);
  return {
    ...seats,
    calls: [seats.calls[0] + owner.plan.calls[0], seats.calls[1] + owner.plan.calls[1]],
    depth: seats.depth + owner.plan.depth,
    tail: tailOf(owner),
    edges: [...seats.edges, { role: "owner", child: owner }],
    tools: `advice of ${who} to ${ownerTitle(given.owner ?? standby.owner, child)}`,
  };
}

/** What a turn adds to the drawing: those who are not there already, as members or as the writer. */
function addedEdges({ edges }: Plan, given: Options): Plan["edges"] {
  const isAdded = (role: string) => role.startsWith("tools ") || (role === "owner" && given.owner !== undefined);
  return edges.filter(({ role }) => isAdded(role));
}

/** The plan of a panel with its turns with tools: they are turns of their own, so they count where they are worse than the panel's. */
export function withTools(plan: Plan, given: Options, child: (node: Node) => Planned, standby: Standby): Plan {
  const both = ({ calls, depth, edges }: Pick<Plan, "calls" | "depth" | "edges">): Plan => ({
    ...plan,
    calls: [plan.calls[0], Math.max(plan.calls[1], calls[1])],
    depth: Math.max(plan.depth, depth),
    edges: [...plan.edges, ...edges],
  });
  if (given.policy !== "owner" && given.policy !== "refuse") {
    const turn = planTurn(given, child, standby);
    const { tools = "" } = turn;
    return { ...both({ ...turn, edges: addedEdges(turn, given) }), tools, toolTurn: turn };
  }
  const tools = toolsTitle(given, standby.owner, child);
  if (given.owner === undefined) return { ...plan, tools };
  const owner = child(given.owner);
  return { ...both({ ...owner.plan, edges: [{ role: "owner", child: owner }] }), tools };
}
