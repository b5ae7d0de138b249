import * as z from "zod";
import type { Plan, Planned } from "../../model/plan.ts";
import { Peer } from "../../panel/balance/peer.ts";
import { Pool, ways } from "../../panel/balance/pick.ts";
import { serve } from "../../panel/balance/turn.ts";
import { noneCapable } from "../../panel/capable.ts";
import { tailOf } from "../../panel/tail.ts";
import { limited, timeouts } from "../../panel/timeouts.ts";
import { ToolOwners } from "../../panel/tools/owners.ts";
import { defineStrategy, node, OptionError, type BuildSite, type Node } from "../define.ts";

const member = z
  .union([
    node,
    z.strictObject({
      model: node,
      weight: z.number().positive().default(1).describe("Its share beside the others', by weight, leastBusy and session."),
      timeouts: timeouts.optional(),
    }),
  ])
  .describe("A model, or {model, weight, timeouts}.");

/** How long a measured latency counts. */
const DECAY_MS = 10_000;

const options = z.strictObject({
  members: z.array(member).min(1).max(64).describe("Equals: any of them may answer any request."),
  by: z
    .enum(ways)
    .default("weight")
    .describe(
      "weight: in turn, by their weights. leastBusy: the fewest requests under way. latency: the fastest of late. cost: the cheapest. session: the same one for the same session.",
    ),
  failover: z
    .int()
    .min(0)
    .default(0)
    .describe("How many further members are asked when one fails in a way that another could heal, before anything was shown."),
  restMs: z
    .int()
    .min(0)
    .default(5000)
    .describe(
      "How long a member that failed is passed over, or as long as its Retry-After says; 0 never. When all rest, all are asked again.",
    ),
  decayMs: z.int().min(1).optional().describe(`By latency: how fast what was measured fades, ${DECAY_MS} unless said.`),
});

type Options = z.output<typeof options>;
type Member = z.output<typeof member>;
type Configured = Exclude<Member, Node>;

function isNode(given: Member): given is Node {
  return typeof given === "string" || "kind" in given;
}

function configured(given: Member): Configured {
  return isNode(given) ? { model: given, weight: 1 } : given;
}

const MILLION = 1_000_000;

/** Prices are looked up once. A node without a known price has none, which is dear, never free. */
function usdOf(model: Node, { prices }: BuildSite): Peer["usd"] {
  const input = prices.worstUsd(model, { promptTokens: MILLION, completionTokens: 0 });
  const output = prices.worstUsd(model, { promptTokens: 0, completionTokens: MILLION });
  if (input === undefined || output === undefined) return () => undefined;
  return ({ prompt, completion }) => (prompt * input + completion * output) / MILLION;
}

function check({ members, by, decayMs, failover }: Options): void {
  const others = members.length - 1;
  if (failover > others) {
    const most = others === 0 ? "leave it out" : `at most ${others}`;
    throw new OptionError("failover", `asks ${failover} further members, but beside one there are ${others}; ${most}`);
  }
  if (by !== "latency" && decayMs !== undefined) throw new OptionError("decayMs", `has no effect by ${by}; leave it out`);
  if (by !== "latency" && by !== "cost") return;
  const index = members.findIndex((given) => configured(given).weight !== 1);
  if (index >= 0) throw new OptionError(`members[${index}].weight`, `has no effect by ${by}; leave it out`);
}

/** Members by what they are, so that a session keeps its own when the list changes around it. */
function buildPeers(own: Options, site: BuildSite): readonly Peer[] {
  const seen = new Map<string, number>();
  return own.members.map((given, index) => {
    const { model, weight, timeouts: bounds } = configured(given);
    const child = site.child(model, `members[${index}]${isNode(given) ? "" : ".model"}`);
    const what = typeof model === "string" ? model : JSON.stringify(model);
    const nth = seen.get(what) ?? 0;
    seen.set(what, nth + 1);
    return new Peer({
      id: nth === 0 ? what : `${what}#${nth + 1}`,
      model: bounds ? limited(child, bounds) : child,
      weight,
      usd: own.by === "cost" ? usdOf(model, site) : () => undefined,
      decayMs: own.decayMs ?? DECAY_MS,
      restMs: own.restMs,
    });
  });
}

function tailsOf(members: readonly Planned[]): string {
  const tails = new Set(members.map(tailOf).filter((tail) => tail !== "none"));
  return [...tails].join(" or ") || "none";
}

/** The sum of the `count` largest. */
function largest(values: readonly number[], count: number): number {
  return values
    .toSorted((a, b) => b - a)
    .slice(0, count)
    .reduce((sum, value) => sum + value, 0);
}

function planBalance(own: Options, child: (node: Node) => Planned): Plan {
  check(own);
  const members = own.members.map((given) => child(configured(given).model));
  const plans = members.map(({ plan }) => plan);
  const tries = own.failover + 1;
  const owners = new Set(members.map(({ title, plan }) => plan.tools ?? title));
  return {
    calls: [
      Math.min(...plans.map(({ calls }) => calls[0])),
      largest(
        plans.map(({ calls }) => calls[1]),
        tries,
      ),
    ],
    depth: largest(
      plans.map(({ depth }) => depth),
      tries,
    ),
    tail: tailsOf(members),
    reads: plans.some(({ reads }) => reads),
    edges: members.map((planned, index) => ({ role: `member ${index + 1}`, child: planned })),
    ...(plans.every(({ agreement }) => agreement) ? { agreement: true } : {}),
    ...(plans.some(({ tools }) => tools !== undefined) ? { tools: [...owners].join(" or ") } : {}),
  };
}

/**
 * Gives each request to one of several equals. By `weight`: smooth round robin. `leastBusy`: the exact minimum of requests under way, by
 * weight. `latency`: the smallest peak-EWMA of the time to the first content, times the load; who is not known yet is tried first, and an
 * outlier fades within a few `decayMs`. `cost`: the cheapest for the size of this request; an unknown price comes last. `session`: weighted
 * rendezvous hashing of the client's `prompt_cache_key`, `safety_identifier` or `user`, else of the conversation's beginning, so that agent
 * loops stay where their prompt is cached; it stays right when members come and go. All counts are of this process. However they are
 * chosen, the member that made tool calls gets their results, unless it rests.
 *
 * Costs one call and no depth; the chosen member streams. What fails is the caller's to heal, with `retry`, with `fallback`, or with
 * `failover` here, at one call more each: a member that failed rests, so that whoever asks the pool again gets another. Pays with several
 * keys, regions or servers of one model; members of different quality want a `route` or a `cascade`.
 */
export const balance = defineStrategy({
  kind: "balance",
  level: "api",
  summary: "Gives each request to one of several equals: by weight, load, latency, cost or session.",
  options,
  build(own, site) {
    check(own);
    const peers = buildPeers(own, site);
    const owners = new ToolOwners(
      site.name,
      peers.map(({ id }) => id),
    );
    const built = { name: site.name, by: own.by, peers, pool: new Pool(peers, own.by), owners, tries: own.failover + 1 };
    const models = peers.map(({ model }) => model);
    return {
      name: site.name,
      stream: (request, call) => serve(built, request, call),
      unable: (request) => noneCapable(models, request),
    };
  },
  plan: planBalance,
  foretell: ({ by, failover }) => {
    return { note: failover === 0 ? `one of them, by ${by}` : `one of them, by ${by}; ${failover} more at most where one fails` };
  },
  examples: [
    { kind: "balance", members: ["a", "b", "c"] },
    {
      kind: "balance",
      members: [
        { model: "a", weight: 3 },
        { model: "b", timeouts: { firstTokenMs: 3000 } },
      ],
      by: "leastBusy",
      failover: 1,
    },
    { kind: "balance", members: ["a", "b"], by: "latency", decayMs: 30_000 },
    { kind: "balance", members: ["a", "b", "c"], by: "cost", failover: 2, restMs: 0 },
    { kind: "balance", members: ["a", { kind: "retry", model: { kind: "balance", members: ["b", "c"], by: "session" } }], by: "session" },
  ],
});
