import * as z from "zod";
import type { Call } from "../../model/call.ts";
import { throwIfAborted } from "../../model/errors.ts";
import type { ModelEvent } from "../../model/events.ts";
import { newLatency } from "../../model/latency.ts";
import type { Plan, Planned } from "../../model/plan.ts";
import type { ChatRequest } from "../../model/request.ts";
import { capable, noneCapable } from "../../panel/capable.ts";
import { Heat, type Runner, type Stagger } from "../../panel/race-heat.ts";
import { tailOf } from "../../panel/tail.ts";
import { limited, timeouts } from "../../panel/timeouts.ts";
import { ToolOwners, type OwnedTurn } from "../../panel/tools/owners.ts";
import { defineStrategy, node, OptionError, type BuildSite, type Node } from "../define.ts";

const member = z.union([node, z.strictObject({ model: node, timeouts: timeouts.optional() })]).describe("A model, or {model, timeouts}.");

const options = z.strictObject({
  members: z.array(member).min(2).max(16).describe("In the order in which they start."),
  staggerMs: z
    .int()
    .min(0)
    .optional()
    .describe("How long one has before the next starts beside it; 0 starts all at once. Beside p90, until that is known."),
  p90: z
    .boolean()
    .default(false)
    .describe("Start the next when one is slower than nine of ten of its own last answers; known after ten of them."),
});

type Options = z.output<typeof options>;
type Member = z.output<typeof member>;

function isNode(given: Member): given is Node {
  return typeof given === "string" || "kind" in given;
}

function nodeOf(given: Member): Node {
  return isNode(given) ? given : given.model;
}

/** The members, each under a label of its own: the same model may run twice. */
function buildRunners({ members }: Options, site: BuildSite): readonly Runner[] {
  const seen = new Map<string, number>();
  return members.map((given, index) => {
    const child = site.child(nodeOf(given), `members[${index}]${isNode(given) ? "" : ".model"}`);
    const model = !isNode(given) && given.timeouts ? limited(child, given.timeouts) : child;
    const nth = (seen.get(model.name) ?? 0) + 1;
    seen.set(model.name, nth);
    return { label: nth === 1 ? model.name : `${model.name}#${nth}`, model, streams: newLatency(), wholes: newLatency() };
  });
}

function checkStart({ staggerMs, p90 }: Options): void {
  if (staggerMs === undefined && !p90) throw new OptionError("", "a race needs `staggerMs` or `p90: true`: when the next member starts");
}

interface Race {
  readonly name: string;
  readonly runners: readonly Runner[];
  readonly stagger: Stagger;
  readonly owners: ToolOwners;
}

/** Who made calls starts first with their results, and where all start at once, alone: the others come when it fails. */
function heatOf({ runners, stagger, owners }: Race, { request, owner }: OwnedTurn, call: Call): Heat {
  const inOrder = capable(
    owners.inOrder(runners, owner).map(([, runner]) => runner),
    ({ model }) => ({ model, request }),
    call,
  );
  return new Heat(inOrder, owner !== undefined && stagger.ms === 0 ? { ...stagger, ms: undefined } : stagger, request, call);
}

async function* run(race: Race, asked: ChatRequest, call: Call) {
  const turn = race.owners.read(asked);
  const heat = heatOf(race, turn, call);
  try {
    throwIfAborted(call.signal);
    await heat.run();
    throwIfAborted(call.signal);
    call.span.decision = heat.decision;
    const { answered, events } = heat;
    if (!events || !answered) throw heat.failure(race.name);
    heat.endLosers();
    for await (const event of turn.tell(race.runners.indexOf(answered), events)) {
      // With the finish the costs are summed up.
      if (event.type === "finish") await heat.losers();
      yield event;
    }
  } finally {
    await heat.close();
  }
}

function planRace(own: Options, child: (node: Node) => Planned): Plan {
  checkStart(own);
  const members = own.members.map((given) => child(nodeOf(given)));
  const plans = members.map(({ plan }) => plan);
  const tails = new Set(members.map(tailOf).filter((tail) => tail !== "none"));
  const owners = new Set(members.map(({ title, plan }) => plan.tools ?? title));
  const one = Math.min(...plans.map(({ calls }) => calls[0]));
  // Who is cut has made its first call.
  const begun = own.staggerMs === 0 ? plans.reduce((sum, { calls }) => sum + Math.min(1, calls[0]), 0) : 0;
  // Who fails starts the next before its time, so that even with a stagger they may stand one after another.
  const depths = plans.map(({ depth }) => depth);
  return {
    calls: [Math.max(one, begun), plans.reduce((sum, { calls }) => sum + calls[1], 0)],
    depth: own.staggerMs === 0 ? Math.max(...depths) : depths.reduce((sum, depth) => sum + depth, 0),
    tail: [...tails].join(" or ") || "none",
    reads: true,
    edges: members.map((planned, index) => ({ role: `member ${index + 1}`, child: planned })),
    ...(plans.every(({ agreement }) => agreement) ? { agreement: true } : {}),
    ...(plans.some(({ tools }) => tools !== undefined) ? { tools: [...owners].join(" or ") } : {}),
  };
}

/**
 * A hedge: the next member starts beside one that is slow, and the first with something to say wins; its tokens stream. One that fails starts
 * the next at once. Losers are ended and billed for what they wrote. An empty answer is given out only when nobody has a better one; a
 * refusal is an answer. When all failed, one error says why each did. Who can not take the request does not run. The member that made tool calls starts first with their results, and
 * alone where all start at once.
 *
 * Costs one call when the first is in time, one for each member at worst, and at worst the depth of all, where each fails before the next
 * would have started; of one where all start at once. Pays against slow tails: with `p90` about
 * one request in ten costs twice and the slowest tenth is cut. `staggerMs: 0` buys the best latency at n times the price.
 */
export const race = defineStrategy({
  kind: "race",
  level: "api",
  summary: "Starts the next model beside a slow one; the first usable answer wins.",
  options,
  build(own, site) {
    checkStart(own);
    const runners = buildRunners(own, site);
    const owners = new ToolOwners(
      site.name,
      runners.map(({ label }) => label),
    );
    const built: Race = { name: site.name, runners, owners, stagger: { p90: own.p90, ms: own.staggerMs } };
    const models = runners.map(({ model }) => model);
    return {
      name: site.name,
      stream: (request, call): AsyncGenerator<ModelEvent> => run(built, request, call),
      unable: (request) => noneCapable(models, request),
    };
  },
  plan: planRace,
  foretell: () => ({ note: "in this order, the next beside one that is slow; the first usable answer wins", certain: ["member 1"] }),
  examples: [
    { kind: "race", members: ["a", "b"], staggerMs: 800 },
    { kind: "race", members: ["a", "b", "c"], staggerMs: 0 },
    { kind: "race", members: ["a", "a"], p90: true, staggerMs: 2000 },
    { kind: "race", members: [{ model: "a", timeouts: { firstTokenMs: 3000 } }, "b"], p90: true },
    {
      kind: "race",
      members: [
        { kind: "race", members: ["a", "b"], staggerMs: 300 },
        { kind: "retry", model: "c" },
      ],
      staggerMs: 1000,
    },
  ],
});
