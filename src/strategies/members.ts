/** Options that every panel kind shares, and how they become what src/panel runs. */
import * as z from "zod";
import { newLatency } from "../model/latency.ts";
import type { Plan, Planned } from "../model/plan.ts";
import type { Quorum } from "../panel/assemble.ts";
import type { Place, Role, Seating, Settings } from "../panel/seats.ts";
import { limited, timeouts } from "../panel/timeouts.ts";
import { node, OptionError, type BuildSite, type Node } from "./define.ts";

const ms = z.int().min(1);

export const settings = {
  temperature: z.number().min(0).max(2).optional().describe("Instead of the request's."),
  maxTokens: z.int().min(1).optional().describe("A cap on the tokens of its answer; the request's own limit holds where it is smaller."),
  system: z.string().min(1).optional().describe("A system prompt put before the client's messages."),
  timeouts: timeouts.optional(),
};

/** A child with one part to play: a writer, an analyst. */
export const role = z
  .union([node, z.strictObject({ model: node, ...settings })])
  .describe("A model, or {model, temperature, maxTokens, system, timeouts}.");

const member = z
  .union([
    node,
    z.strictObject({
      model: node,
      weight: z
        .number()
        .default(1)
        .describe("What its answer counts in a vote; 0 does not count, below 0 it speaks against its own answer."),
      samples: z.int().min(1).max(64).default(1).describe("How many answers it gives."),
      ...settings,
    }),
  ])
  .describe("A model, or {model, weight, samples, ...}.");

export type RoleOptions = z.output<typeof role>;
export type MemberOptions = z.output<typeof member>;

export const members = z.array(member).min(1).max(64);

export const quorum = z
  .strictObject({
    min: z.int().min(1).optional().describe("Usable answers that are enough."),
    graceMs: z.number().nonnegative().optional().describe("How long to wait for the others once there are enough; without it, for all."),
    deadlineMs: ms.optional().describe("When to go on with what there is."),
    reserves: z.array(member).default([]).describe("Asked when a member fails, in order."),
    hedge: z
      .union([z.literal("p90"), ms])
      .optional()
      .describe("Ask a reserve beside a member that is slower than this, or than its own p90."),
  })
  .prefault({});

export const onShort = z
  .enum(["degrade", "fail"])
  .default("degrade")
  .describe("What a missed quorum does: the best there is, marked; or an error.");

export const refusals = z.enum(["unusable", "usable"]).default("unusable").describe("Whether a refusal is an answer.");

const owner = node.optional().describe("Who answers every turn that offers tools; under `advise` it reads the advice first.");

/** For kinds that one model has to answer such a turn for. */
export const ownerTools = z.strictObject({ policy: z.enum(["owner", "refuse"]).default("owner"), owner }).prefault({});

export const tools = z
  .strictObject({
    policy: z
      .enum(["owner", "vote", "select", "advise", "refuse"])
      .default("owner")
      .describe(
        "Turns that offer tools. owner: one model answers them alone, and streams. vote: all members see the tools, and the majority's call goes out. select: `judge` picks one member's call. advise: the members advise in prose, the owner calls.",
      ),
    owner,
    members: members.optional().describe("Who votes, proposes or advises, instead of the panel's own members."),
    judge: role.optional().describe("Who picks under `select`. Best one that is no member."),
    maxCandidateTokens: z
      .int()
      .min(16)
      .default(2_000)
      .describe("What the judge or the owner is shown of each proposal at most; an estimate."),
  })
  .prefault({});

function isNode(given: RoleOptions | MemberOptions): given is Node {
  return typeof given === "string" || "kind" in given;
}

/** The node of a member or role, without its settings. */
export function nodeOf(given: RoleOptions | MemberOptions): Node {
  return isNode(given) ? given : given.model;
}

function nameOf(given: Node): string {
  return typeof given === "string" ? given : given.kind;
}

function samplesOf(given: MemberOptions): number {
  return isNode(given) ? 1 : given.samples;
}

/** How many seats the members take. */
export function countSeats(list: readonly MemberOptions[]): number {
  return list.reduce((sum, given) => sum + samplesOf(given), 0);
}

/** Whether all seats are samples of one model under the same settings, so that their answers are exchangeable. */
export function isOneModel(list: readonly MemberOptions[]): boolean {
  return (
    new Set(list.map((given) => JSON.stringify(isNode(given) ? { model: given, weight: 1 } : { ...given, samples: undefined }))).size === 1
  );
}

type Configured = Exclude<RoleOptions, Node>;

/** What a child's node becomes: the model under its time bounds. */
function buildChild({ model, timeouts: bounds }: Pick<Configured, "model" | "timeouts">, at: string, site: BuildSite): Role["model"] {
  const child = site.child(model, at);
  return bounds ? limited(child, bounds) : child;
}

/** The settings that go into requests; time bounds are part of the built model. */
function settingsOf({ temperature, maxTokens, system }: Settings): Settings {
  return { temperature, maxTokens, system };
}

export function buildRole(given: RoleOptions, label: string, site: BuildSite): Role {
  if (isNode(given)) return { label, model: site.child(given, label), settings: {} };
  return { label, model: buildChild(given, `${label}.model`, site), settings: settingsOf(given) };
}

type Unlabelled = Omit<Place, "label" | "sample">;

function buildPlaces(given: MemberOptions, at: string, site: BuildSite): readonly Unlabelled[] {
  const latency = newLatency();
  if (isNode(given)) return [{ name: nameOf(given), model: site.child(given, at), weight: 1, settings: {}, latency }];
  const place: Unlabelled = {
    name: nameOf(given.model),
    model: buildChild(given, at, site),
    weight: given.weight,
    settings: settingsOf(given),
    latency,
  };
  return Array.from({ length: given.samples }, () => place);
}

/** Numbers the places of one name, wherever they come from: `[small, small]` and two samples of `small` are the same panel, seeds included. */
function labelled(places: readonly Unlabelled[]): readonly Place[] {
  const total = new Map<string, number>();
  for (const { name } of places) total.set(name, (total.get(name) ?? 0) + 1);
  const seen = new Map<string, number>();
  return places.map((place) => {
    const sample = seen.get(place.name) ?? 0;
    seen.set(place.name, sample + 1);
    return { ...place, sample, label: total.get(place.name) === 1 ? place.name : `${place.name}#${sample + 1}` };
  });
}

/** Where the node of a member stands in a list. */
export function placeIn(list: string): (given: MemberOptions, index: number) => string {
  return (given, index) => `${list}[${index}]${isNode(given) ? "" : ".model"}`;
}

/** Builds the children of a panel. `at` tells where a member's node stands, when it is not in `members`. */
export function buildSeating(
  list: readonly MemberOptions[],
  reserves: readonly MemberOptions[],
  site: BuildSite,
  at = placeIn("members"),
): Seating {
  const seats = list.flatMap((given, index) => buildPlaces(given, at(given, index), site));
  const spare = reserves.flatMap((given, index) => buildPlaces(given, placeIn("quorum.reserves")(given, index), site));
  const all = labelled([...seats, ...spare]);
  return { places: all.slice(0, seats.length), reserves: all.slice(seats.length) };
}

/** The quorum with its minimum. */
export function quorumOf(given: z.output<typeof quorum>, seats: number, defaultMin: number): Quorum {
  const { min = defaultMin, graceMs, deadlineMs, hedge } = given;
  if (min > seats) throw new OptionError("quorum.min", `asks for ${min} answers of ${seats} seats`);
  if (hedge !== undefined && given.reserves.length === 0) throw new OptionError("quorum.hedge", "needs `reserves` to ask");
  return { min, graceMs, deadlineMs, hedge };
}

/** Whether a quorum may end seats that still run. */
export function mayCut({ graceMs, deadlineMs, hedge }: z.output<typeof quorum>): boolean {
  return graceMs !== undefined || deadlineMs !== undefined || hedge !== undefined;
}

/** Fills a prompt. */
export type Fill = (variables: Readonly<Record<string, string>>) => string;

/** Reads a prompt and checks its places: all of `required`, none that nobody fills. */
export function promptOf(site: BuildSite, name: string, required: readonly string[], optional: readonly string[] = []): Fill {
  const prompt = site.prompt(name);
  const missing = required.find((variable) => !prompt.variables.includes(variable));
  if (missing !== undefined) throw new OptionError(`prompts.${name}`, `the prompt has no place {{${missing}}}`);
  const unknown = prompt.variables.find((variable) => !required.includes(variable) && !optional.includes(variable));
  if (unknown !== undefined) throw new OptionError(`prompts.${name}`, `nothing fills the place {{${unknown}}} of the prompt`);
  return (variables) => prompt.fill(variables).trim();
}

/** Who sits on a panel, and whether its rules may end a seat before it has made all its calls. */
interface Seats {
  readonly members: readonly MemberOptions[];
  readonly reserves: readonly MemberOptions[];
  readonly cuts: boolean;
}

/** The cost of asking all members, with every reserve at worst. All start at once; a seat that is cut has made its first call at least. */
export function planSeats({ members, reserves, cuts }: Seats, child: (node: Node) => Planned): Pick<Plan, "calls" | "depth" | "edges"> {
  const edges = (given: readonly MemberOptions[], role: string) =>
    given.map((one, index) => {
      const samples = samplesOf(one);
      return { role: `${role} ${index + 1}${samples > 1 ? ` x${samples}` : ""}`, child: child(nodeOf(one)), samples };
    });
  const seats = edges(members, "member");
  const spare = edges(reserves, "reserve");
  const best = ({ plan }: Planned) => (cuts && plan.depth > 1 ? Math.min(1, plan.calls[0]) : plan.calls[0]);
  const sum = (some: typeof seats, of: (child: Planned) => number) =>
    some.reduce((total, { child, samples }) => total + of(child) * samples, 0);
  const deepest = (some: typeof seats) => Math.max(0, ...some.map(({ child }) => child.plan.depth));
  return {
    calls: [sum(seats, best), sum([...seats, ...spare], ({ plan }) => plan.calls[1])],
    depth: deepest(seats) + deepest(spare),
    edges: [...seats, ...spare].map(({ role, child }) => ({ role, child })),
  };
}
