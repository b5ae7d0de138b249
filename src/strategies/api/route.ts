import { enter } from "../../model/call.ts";
import { GatewayError, throwIfAborted } from "../../model/errors.ts";
import type { Model } from "../../model/model.ts";
import type { Edge, Plan, Planned } from "../../model/plan.ts";
import type { ChatRequest } from "../../model/request.ts";
import { openDeadline } from "../../model/scope.ts";
import { planQuestions } from "../../panel/judging/judge.ts";
import { capable, noneCapable } from "../../panel/capable.ts";
import { RouteMemory, type Decision } from "../../panel/route/memory.ts";
import { conditionOf, heededBy, type Asked } from "../../panel/route/rules.ts";
import { callsFor } from "../../panel/route/vectors.ts";
import { viewOf } from "../../panel/route/view.ts";
import { tailOf } from "../../panel/tail.ts";
import { ToolOwners } from "../../panel/tools/owners.ts";
import { defineStrategy, OptionError, type BuildSite, type Foresight, type Foretold, type Node } from "../define.ts";
import { nodeOf } from "../members.ts";
import { decideByEmbedding } from "./route-embedding.ts";
import { decideByTable } from "./route-learned.ts";
import { isNode, modelOf, options, type Decide, type PaidOptions, type RouteOptions, type RulesOptions } from "./route-options.ts";
import { decideByPrompt } from "./route-prompt.ts";

/** One way that a request can go. */
interface Way {
  readonly label: string;
  readonly name: string;
  readonly model: Model;
}

/** The members' names, as tables and the trace know them. */
function namesOf(own: PaidOptions): readonly string[] {
  const names = own.members.map((given, index) => {
    const model = modelOf(given);
    const said = isNode(given) ? undefined : given.name;
    if (said !== undefined) return said;
    if (typeof model === "string") return model;
    if (own.by === "prompt") return `member ${index + 1}`;
    throw new OptionError(`members[${index}]`, "a member that is no model's name needs a `name`, by which the table knows it");
  });
  const twice = names.findIndex((one, index) => names.indexOf(one) < index);
  if (twice >= 0) throw new OptionError(`members[${twice}]`, `"${names[twice]}" stands twice; give one of them a \`name\` of its own`);
  return names;
}

function deciderOf(own: PaidOptions, names: readonly string[], site: BuildSite): Decide {
  if (own.by === "prompt") return decideByPrompt(own, site);
  return own.by === "embedding" ? decideByEmbedding(own, names, site) : decideByTable(own, names, site);
}

/** Bytes of the files that a decision depends on besides the options. */
function tableText(own: PaidOptions, site: BuildSite): string {
  if (own.by === "learned") return site.file(own.table, "table").toString("base64");
  return own.by === "embedding" && typeof own.labelled === "string" ? site.file(own.labelled, "labelled").toString("base64") : "";
}

/** Tells the trace, and marks a decision that failed. */
function record({ by }: RouteOptions, { told, failed: why }: Decision, way: Way, { call }: Asked): void {
  call.span.decision = { by, chosen: way.name, ...told };
  if (why !== undefined) call.trace.degraded.push(`route: ${why}, so ${way.name} answers`);
}

interface Chosen {
  readonly way: Way;
  readonly decision: Decision;
}

/** The chosen way, or another where its model can not take the request: `else` before the others. */
function passable({ way, decision }: Chosen, ways: readonly Way[], { request, call }: Asked): Chosen {
  if (way.model.unable?.(request) === undefined) return { way, decision };
  const [other = way] = capable([way, ...ways], ({ model }) => ({ model, request }), call);
  return { way: other, decision: { ...decision, told: { ...decision.told, unable: way.name } } };
}

/** Where a request may go: all ways, `else` first, and those that keep an agent's loop, in which nobody is asked again where to go. */
interface Ways {
  readonly all: readonly Way[];
  readonly kept: readonly Way[];
}

function routed(site: BuildSite, own: RouteOptions, choose: (asked: Asked) => Promise<Chosen>, { all, kept }: Ways): Model {
  const owners = new ToolOwners(
    site.name,
    kept.map(({ name, label }) => `${label} ${name}`),
  );
  const models = all.map(({ model }) => model);
  const unable = (request: ChatRequest) => noneCapable(models, request);
  return {
    name: site.name,
    unable,
    async *stream(given, call) {
      throwIfAborted(call.signal);
      const turn = owners.read(given);
      const { request, owner } = turn;
      // A decision may cost something.
      const error = unable(request);
      if (error) throw error;
      const asked: Asked = { request, view: viewOf(request.body, own.on), call };
      const owning = owner === undefined ? undefined : kept[owner];
      const chosen = owning ? { way: owning, decision: { choice: owner, told: { kept: true } } } : await choose(asked);
      const { way, decision } = passable(chosen, all, asked);
      throwIfAborted(call.signal);
      record(own, decision, way, asked);
      yield* turn.tell(kept.indexOf(way), way.model.stream(request, enter(call, { label: way.label })));
    },
  };
}

function wayTo(given: Node, label: string, model: Model): Way {
  return { label, model, name: typeof given === "string" ? given : label };
}

function buildRules(own: RulesOptions, site: BuildSite): Model {
  const rules = own.rules.map((rule, index) => {
    return { holds: conditionOf(rule.when), way: wayTo(rule.model, `rule ${index + 1}`, site.child(rule.model, `rules[${index}].model`)) };
  });
  const last = wayTo(own.else, "else", site.child(own.else, "else"));
  return routed(
    site,
    own,
    (asked) => {
      const index = rules.findIndex(({ holds }) => holds(asked));
      const told = index < 0 ? { rule: "else" } : { rule: index + 1 };
      return Promise.resolve({ way: rules[index]?.way ?? last, decision: { choice: index, told } });
    },
    { all: [last, ...rules.map(({ way }) => way)], kept: [] },
  );
}

function buildPaid(own: PaidOptions, site: BuildSite): Model {
  const names = namesOf(own);
  const ways = own.members.map((given, index): Way => {
    const label = `member ${index + 1}`;
    return { label, name: names[index] ?? label, model: site.child(modelOf(given), `members[${index}]${isNode(given) ? "" : ".model"}`) };
  });
  const [first] = ways;
  const last = own.else === undefined ? first : wayTo(own.else, "else", site.child(own.else, "else"));
  if (!last) throw new OptionError("members", "a route needs members");
  const decide = deciderOf(own, names, site);
  const memory = new RouteMemory(site.store, site.name, JSON.stringify([own, names]) + tableText(own, site), own.ttlSeconds);
  const late = () => new GatewayError("upstream_timeout", `${site.name} did not decide within ${own.deadlineMs} ms.`);
  const made = async (asked: Asked): Promise<Decision> => {
    const known = await memory.get(asked);
    if (known) return { ...known, told: { ...known.told, remembered: true } };
    using deadline = openDeadline(asked.call, own.deadlineMs, late);
    const decision = await decide(asked, deadline.signal);
    throwIfAborted(asked.call.signal);
    await memory.put(asked, decision);
    return decision;
  };
  const choose = async (asked: Asked): Promise<Chosen> => {
    const decision = await made(asked);
    return { decision, way: (decision.choice === undefined ? undefined : ways[decision.choice]) ?? last };
  };
  return routed(site, own, choose, { all: [last, ...ways], kept: ways.includes(last) ? ways : [...ways, last] });
}

/** The plan of asking one of several, and nothing else. */
function planWays(ways: readonly { readonly role: string; readonly child: Planned }[]): Plan {
  const planned = ways.map(({ child }) => child);
  const plans = planned.map(({ plan }) => plan);
  const tails = new Set(planned.map(tailOf).filter((tail) => tail !== "none"));
  const owners = new Set(planned.map(({ title, plan }) => plan.tools ?? title));
  return {
    calls: [Math.min(...plans.map(({ calls }) => calls[0])), Math.max(...plans.map(({ calls }) => calls[1]))],
    depth: Math.max(...plans.map(({ depth }) => depth)),
    tail: [...tails].join(" or ") || "none",
    reads: plans.some(({ reads }) => reads),
    edges: ways,
    ...(plans.every(({ agreement }) => agreement) ? { agreement: true } : {}),
    ...(plans.some(({ tools }) => tools !== undefined) ? { tools: [...owners].join(" or ") } : {}),
  };
}

/** What a decision costs at worst. How many texts a file holds is not known here: see below. */
function planDecision(
  own: PaidOptions,
  child: (node: Node) => Planned,
): { readonly calls: number; readonly depth: number; readonly edge: Edge } {
  if (own.by === "prompt") {
    const router = child(nodeOf(own.router));
    const { calls, depth } = planQuestions(router);
    return { calls: calls[1], depth, edge: { role: "router", child: router } };
  }
  const embedder = child(own.embedder);
  const { calls, depth } = embedder.plan;
  const times = own.by === "embedding" && typeof own.labelled !== "string" ? callsFor(own.labelled.length) : 1;
  return { calls: calls[1] * times, depth: depth * times, edge: { role: "embedder", child: embedder } };
}

function planRoute(own: RouteOptions, child: (node: Node) => Planned): Plan {
  const last = own.else === undefined ? [] : [{ role: "else", child: child(own.else) }];
  if (own.by === "rules") {
    const ways = planWays([...own.rules.map(({ model }, index) => ({ role: `rule ${index + 1}`, child: child(model) })), ...last]);
    return { ...ways, heeds: heededBy(own.rules.map((rule) => rule.when)) };
  }
  const ways = planWays([...own.members.map((given, index) => ({ role: `member ${index + 1}`, child: child(modelOf(given)) })), ...last]);
  const decision = planDecision(own, child);
  return {
    ...ways,
    // A decision that is remembered costs nothing.
    calls: [ways.calls[0], ways.calls[1] + decision.calls],
    depth: ways.depth + decision.depth,
    edges: [decision.edge, ...ways.edges],
  };
}

/** By rules the request itself decides; else somebody is asked. */
function foretell(own: RouteOptions, { request, call }: Foresight): Foretold {
  if (own.by !== "rules") {
    const role = own.by === "prompt" ? "router" : "embedder";
    return { aside: [role], note: `decided by a call to its ${role}, or as it was for the same conversation` };
  }
  const shown = { request, view: viewOf(request.body, own.on), call };
  const index = own.rules.findIndex(({ when }) => conditionOf(when)(shown));
  return index < 0
    ? { to: "else", note: "no rule holds" }
    : { to: `rule ${index + 1}`, note: `rule ${index + 1} of ${own.rules.length} holds` };
}

/**
 * Sends each request to one of several models, untouched; the chosen one streams as it does alone.
 *
 * `rules` looks at the request and asks nobody: size, language, tools, images, schema, headers, key, a pattern. `prompt` has a model pick by
 * descriptions: a letter under a schema, with one retry. `embedding` looks at how the members did on similar texts of a labelled file: the mean over
 * the k nearest, or k-means clusters with the members ranked in each, quality weighed against cost (Avengers-Pro, arXiv 2508.12631). `learned` is
 * RouteLLM's matrix factorisation (2406.18665): the strong member answers where its win rate reaches a threshold, set or calibrated to a share.
 *
 * The decision is made on the conversation up to the user's last message (or first: `on`), never on what follows it, and is kept for the same
 * conversation of the same key: all turns of an agent's loop go one way. Where it has to be bought a tag in the ids of tool calls keeps it too, in
 * every gateway. A decision that fails, or takes too long, sends the request to `else`, and
 * the answer is marked degraded. A chosen model that can not take the request is passed by, for `else` or the first that can. There is no second choice when the chosen model fails: that is for a `fallback` among the members.
 *
 * Costs one call and depth 1 by rules; the others ask one call more before it (`prompt` two when the first reply can not be read), none where the
 * decision is remembered. The labelled texts are embedded once, with the first request that needs them, a call for each hundred, and kept in the
 * store; those of a file (5000 at most) stand beside the plan, which knows no file. Pays in money where most requests are easy. Learned routers gain
 * mostly by telling domains apart, and the best of them little over the best single model (LLMRouterBench, 2601.07206): compare with that one.
 */
export const route = defineStrategy({
  kind: "route",
  level: "api",
  summary: "Sends each request to one of several models: by rules, by a model's pick, by similar texts, or by a learned table.",
  options,
  build: (own, site) => (own.by === "rules" ? buildRules(own, site) : buildPaid(own, site)),
  plan: planRoute,
  foretell,
  examples: [
    {
      kind: "route",
      by: "rules",
      rules: [
        { when: { images: true }, model: "a" },
        { when: { tokens: { min: 8000 }, tools: false }, model: "b" },
        { when: { language: ["de", "fr"] }, model: { kind: "fallback", members: ["b", "a"] } },
        { when: { text: "\\bprove\\b", key: ["team-a"] }, model: { kind: "vote", members: ["a", "b", "c"] } },
      ],
      else: "c",
    },
    {
      kind: "route",
      by: "prompt",
      router: "a",
      members: [
        { model: "b", description: "Short facts, small talk, translation." },
        { model: { kind: "fuse", members: ["a", "b"], writer: "c" }, description: "Long or open questions." },
      ],
      else: "c",
      on: "conversation",
    },
    {
      kind: "route",
      by: "embedding",
      members: ["a", "b"],
      embedder: "c",
      labelled: [
        { text: "What is the capital of France?", best: "a" },
        { text: "What is 2+2?", best: "b" },
        { text: "Prove that there are infinitely many primes.", scores: { a: 0.2, b: 0.9 } },
      ],
      k: 2,
    },
    {
      kind: "route",
      by: "embedding",
      members: ["a", { model: { kind: "retry", model: "b" }, name: "big" }],
      embedder: "c",
      labelled: [
        { text: "Say hello.", scores: { a: 1, big: 1 }, costs: { a: 0.001, big: 0.01 } },
        { text: "Write a compiler.", scores: { a: 0.1, big: 0.9 }, costs: { a: 0.002, big: 0.02 } },
      ],
      method: "clusters",
      clusters: 2,
      alpha: 0.6,
    },
    { kind: "route", by: "learned", members: ["a", "b"], embedder: "c", table: "router-table.json", strongShare: 0.5 },
  ],
});
