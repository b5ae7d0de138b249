import type { NodeBudget } from "../config/nodes.ts";
import { GatewayError, toGatewayError } from "../model/errors.ts";
import { leafPlan, type Plan, type Planned } from "../model/plan.ts";
import { asksJson } from "../panel/json-format.ts";
import { validatorOf } from "../panel/schema.ts";
import { answererOf } from "../panel/tail.ts";
import { offersTools, refusedTools } from "../panel/tools/tools.ts";
import type { Foresight, Node } from "../strategies/define.ts";
import type { Entry } from "./catalog.ts";
import { certainEdges, planOver, toolsOwner, worstOf, type Configured, type Read } from "./explain-plan.ts";

/** Where nodes and leaves are found by their plans. */
export interface Sources {
  /** Undefined for a leaf. */
  part(plan: Plan): (Configured & { readonly budget?: NodeBudget | undefined }) | undefined;
  planned(node: Node): Planned;
  leaf(plan: Plan): Entry | undefined;
}

/** What arrives at a node. */
interface Arriving {
  readonly choices: number;
  /** It offers tools. */
  readonly tools: boolean;
  /** It has to satisfy a `response_format`. */
  readonly schema: boolean;
  /** It is the client's own request, untouched; else the node may be asked anything. */
  readonly exact: boolean;
}

export interface Way {
  readonly role: string;
  /** Taken in any case, as long as nothing fails. */
  readonly certain: boolean;
  readonly to: Foreseen;
}

/** A node as this request meets it. */
export interface Foreseen {
  /** Its plan is that of this request. */
  readonly planned: Planned;
  readonly kind: string;
  readonly notes: readonly string[];
  readonly ways: readonly Way[];
  /** It answers with this at once and asks nobody. */
  readonly refused?: GatewayError | undefined;
  readonly leaf?: Entry | undefined;
  /** What one run comes to at worst, when a child comes to `of`: calls, money. */
  readonly worst: (of: (child: Foreseen) => number) => number;
  /** Choices that one call of the leaf makes. */
  readonly choices: number;
  /** Times that the plan of one answer is run. */
  readonly runs: number;
  /** Later calls are shown the answers of earlier ones. */
  readonly shows: boolean;
  readonly maxUsd: number;
}

const OWNER = "owner";

/** Whether an edge is only there for turns with tools. */
function isForTools(role: string): boolean {
  return role === OWNER || role.startsWith("tools ");
}

const nothing = { notes: [], ways: [], worst: () => 0, choices: 1, runs: 1, shows: false, maxUsd: Infinity } as const;

/** Whether it goes on from tool calls that somebody here may have made. */
function hasCalls({ request }: Foresight): boolean {
  return request.body.messages.some(({ tool_calls: calls }) => Array.isArray(calls) && calls.length > 0);
}

function turnOf({ toolTurn }: Plan): Plan {
  return toolTurn ?? leafPlan;
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}

function deepest({ edges }: Plan): number {
  return Math.max(0, ...edges.map(({ child }) => child.plan.depth));
}

/** Whether it asks somebody more often than the children are asked the client's request: a gate's questions. */
function questions({ calls, edges }: Plan): boolean {
  return calls[1] > sum(edges.map(({ child }) => child.plan.calls[1]));
}

function refusal(kind: string, planned: Planned, error: GatewayError): Foreseen {
  const plan: Plan = { ...planned.plan, calls: [0, 0], depth: 0, edges: [] };
  return { ...nothing, planned: { title: planned.title, plan }, kind, refused: error, notes: [`refuses: ${error.message}`] };
}

function bounded({ calls: [best, worst], ...plan }: Plan, most = Infinity): Plan {
  return { ...plan, calls: [Math.min(best, most), Math.min(worst, most)] };
}

/** Follows one request through the plans, as far as it can be told without asking anybody. */
export class Foreteller {
  readonly #sources: Sources;
  readonly #asked: Foresight;
  readonly #invalid: GatewayError | undefined;

  constructor(sources: Sources, asked: Foresight) {
    this.#sources = sources;
    this.#asked = asked;
    this.#invalid = schemaFault(asked);
  }

  foresee(planned: Planned): Foreseen {
    const { request } = this.#asked;
    const { n } = request.body;
    return this.#node(planned, { choices: n ?? 1, tools: offersTools(request), schema: asksJson(request), exact: true });
  }

  #node(planned: Planned, arriving: Arriving): Foreseen {
    const part = this.#sources.part(planned.plan);
    if (!part) return this.#leaf(planned, arriving);
    const kind = part.strategy.kind;
    const read = planOver(part, (node) => this.#sources.planned(node));
    const owner = arriving.tools ? toolsOwner(part, read) : undefined;
    const found =
      owner === "nobody"
        ? refusal(kind, planned, refusedTools(this.#asked.request))
        : owner !== undefined
          ? this.#alone(planned, kind, { role: OWNER, child: read.children[owner], note: "with tools: one model alone" }, arriving)
          : arriving.tools && read.plan.toolTurn
            ? this.#toolTurn(planned, part, arriving)
            : part.strategy.level === "text"
              ? this.#panel(planned, part, read, arriving)
              : this.#passing(planned, part, read, arriving);
    return within(found, part.budget);
  }

  #leaf({ title, plan }: Planned, { choices }: Arriving): Foreseen {
    const leaf = this.#sources.leaf(plan);
    const isOneCall = leaf?.capabilities?.choices !== "one";
    const runs = isOneCall ? 1 : choices;
    return {
      ...nothing,
      planned: { title, plan: { ...leafPlan, calls: [runs, runs] } },
      kind: "leaf",
      notes: runs > 1 ? [`n: ${runs} calls, because its server makes one answer a call`] : [],
      leaf,
      choices: isOneCall ? choices : 1,
      runs,
    };
  }

  /** The request goes to one child as it is, and the node adds nothing. */
  #alone(
    { title, plan }: Planned,
    kind: string,
    { role, child, note }: { readonly role: string; readonly child: Planned | undefined; readonly note: string },
    arriving: Arriving,
  ): Foreseen {
    if (!child) throw new GatewayError("internal", `${title} has no ${role}.`);
    const to = this.#node(child, arriving);
    // The kind of a node without a name says nothing of who answers.
    const answerer = to.planned.title === to.kind ? answererOf(to.planned) : to.planned.title;
    const { calls, depth, tail, reads, tools = answerer } = to.planned.plan;
    const edge = { role, child: to.planned };
    return {
      ...nothing,
      planned: {
        title,
        plan: { ...plan, calls, depth, tail: tail === leafPlan.tail ? to.planned.title : tail, reads, tools, edges: [edge] },
      },
      kind,
      notes: [note],
      refused: to.refused,
      ways: [{ role, certain: true, to }],
      worst: (of) => of(to),
    };
  }

  /** A turn with tools for which several of a panel are asked. */
  #toolTurn(planned: Planned, { options, strategy }: Configured, arriving: Arriving): Foreseen {
    const turn: Configured = { options, strategy: { ...strategy, plan: (given, child) => turnOf(strategy.plan(given, child)) } };
    const read = planOver(turn, (node) => this.#sources.planned(node));
    const isAdvice = read.plan.edges.some(({ role }) => role === OWNER);
    const { choices, schema } = arriving;
    if (schema && !isAdvice && this.#invalid) return refusal(strategy.kind, planned, this.#invalid);
    const aside: Arriving = { choices: 1, tools: false, schema: false, exact: false };
    const arrivingAt = (nth: number): Arriving => {
      const role = read.plan.edges.find(({ child }) => child === read.children[nth])?.role;
      if (role === undefined || role === "tools judge") return aside;
      if (role === OWNER) return { ...arriving, exact: false };
      return isAdvice ? aside : { choices: 1, tools: true, schema, exact: false };
    };
    const { plan, ways, worst } = this.#children(turn, read, arrivingAt, { idle: false });
    // An owner makes the choices itself; answers that are picked whole are picked so often.
    const runs = isAdvice ? 1 : choices;
    return {
      ...nothing,
      planned: { title: planned.title, plan: { ...plan, calls: [plan.calls[0] * runs, plan.calls[1] * runs] } },
      kind: strategy.kind,
      notes: [`with tools: ${read.plan.tools}`, ...(runs > 1 ? [`n: ${runs} independent runs; only the first may stream`] : [])],
      ways,
      worst,
      runs,
      shows: plan.depth > deepest(plan),
    };
  }

  /** Its members are asked one choice each, without tools, and maybe something else than the client asked. */
  #panel(planned: Planned, part: Configured, read: Read, { choices, schema, tools }: Arriving): Foreseen {
    const { kind } = part.strategy;
    if (schema && this.#invalid) return refusal(kind, planned, this.#invalid);
    const inside: Arriving = { choices: 1, tools, schema, exact: false };
    const { plan, ways, worst } = this.#children(part, read, () => inside);
    const withRepair: Foreseen["worst"] = (of) => worst(of) + (schema ? Math.max(0, ...ways.map(({ to }) => of(to))) : 0);
    const calls: Plan["calls"] = [plan.calls[0] * choices, withRepair(({ planned: { plan: below } }) => below.calls[1]) * choices];
    const notes = [
      ...(choices > 1 ? [`n: ${choices} independent runs; only the first may stream`] : []),
      ...(schema ? ["response_format: the answer is checked, so nothing streams; one repair where none is valid"] : []),
    ];
    const depth = plan.depth + (schema ? deepest(plan) : 0);
    const tail = schema ? "none" : plan.tail;
    return {
      ...nothing,
      planned: { title: planned.title, plan: { ...plan, calls, depth, tail } },
      kind,
      notes,
      ways,
      worst: withRepair,
      runs: choices,
      shows: plan.depth > deepest(plan) || schema,
    };
  }

  /** A kind that hands the client's request on. */
  #passing(planned: Planned, part: Configured, read: Read, arriving: Arriving): Foreseen {
    const { kind } = part.strategy;
    const { note, to, aside = [], certain = [] } = part.strategy.foretell?.(part.options, this.#asked) ?? {};
    const taken = arriving.exact && to !== undefined ? read.plan.edges.find(({ role }) => role === to) : undefined;
    if (taken) return this.#alone(planned, kind, { ...taken, note: note ?? `goes to ${taken.role}` }, arriving);
    const asks = questions(read.plan);
    const onward = { ...arriving, exact: arriving.exact && !asks };
    const questioned: Arriving = { choices: 1, tools: false, schema: false, exact: false };
    const isAside = (child: Planned) => read.plan.edges.some((edge) => edge.child === child && aside.includes(edge.role));
    const arrivingAt = (nth: number) => {
      const child = read.children[nth];
      return child && isAside(child) ? questioned : onward;
    };
    const { plan, ways, worst } = this.#children(part, read, arrivingAt, { certain });
    // A question has one choice, whatever the request asks for.
    const fewest = asks ? Math.min(plan.calls[0], read.plan.calls[0]) : plan.calls[0];
    // Whoever made the calls of a loop may be asked first, to answer their results.
    const isLoop = ways.length > 1 && hasCalls(this.#asked);
    const best = isLoop ? Math.min(fewest, ...ways.map(({ to: child }) => child.planned.plan.calls[0])) : fewest;
    const taking = isLoop ? ways.map((way) => ({ ...way, certain: false })) : ways;
    const [first, ...others] = taking;
    const isRefused = first?.certain === true && first.to.refused !== undefined && !others.some((way) => way.certain);
    const told = to !== undefined && !arriving.exact ? "its way depends on what it is asked here" : note;
    return {
      ...nothing,
      planned: { title: planned.title, plan: { ...plan, calls: isRefused ? [0, 0] : [best, plan.calls[1]] } },
      kind,
      notes: [
        ...(told === undefined ? [] : [told]),
        ...(isLoop ? ["in a loop with tools: first who made the calls, where that is known"] : []),
      ],
      ways: isRefused ? [] : taking,
      worst,
      refused: isRefused ? first.to.refused : undefined,
      shows: asks,
    };
  }

  /** The plan over the children as the request meets them. Who only answers turns with tools is idle in other ones. */
  #children(
    part: Configured,
    read: Read,
    arriving: (nth: number) => Arriving,
    { certain = [], idle = true }: { readonly certain?: readonly string[]; readonly idle?: boolean } = {},
  ): { readonly plan: Plan } & Pick<Foreseen, "ways" | "worst"> {
    const seen = new Map<string, Foreseen>();
    const met = read.children.map((child, nth) => {
      const what = arriving(nth);
      const first = read.nodes.indexOf(read.nodes[nth] ?? "");
      const key = `${first} ${JSON.stringify(what)}`;
      const known = seen.get(key) ?? this.#node(child, what);
      seen.set(key, known);
      return known;
    });
    const isIdle = (nth: number) =>
      idle && !arriving(nth).tools && read.plan.edges.some(({ child, role }) => child === read.children[nth] && isForTools(role));
    const anew = planOver(part, (_, nth) => {
      const { title, plan } = met[nth]?.planned ?? { title: "?", plan: leafPlan };
      return { title, plan: isIdle(nth) ? { ...plan, calls: [plan.calls[0], 0], depth: 0 } : plan };
    });
    const isCertain = certainEdges(part, anew);
    const ways = anew.plan.edges.flatMap(({ role, child }, index) => {
      const nth = anew.children.indexOf(child);
      const to = met[nth];
      if (!to || isIdle(nth)) return [];
      return [{ role, certain: isCertain[index] === true || certain.includes(role), to }];
    });
    const worst: Foreseen["worst"] = (of) =>
      worstOf(part, anew, (nth) => {
        const child = met[nth];
        return child && !isIdle(nth) ? of(child) : 0;
      });
    return { plan: anew.plan, ways, worst };
  }
}

/** What every panel says of a schema that can not be used. */
function schemaFault({ request }: Foresight): GatewayError | undefined {
  try {
    validatorOf(request);
    return undefined;
  } catch (thrown) {
    return toGatewayError(thrown);
  }
}

/** A node's own budget, inside those above. */
function within(found: Foreseen, budget: NodeBudget | undefined): Foreseen {
  if (!budget) return found;
  const { usd, calls } = budget;
  const { plan, title } = found.planned;
  const said = Object.entries(budget).map(([what, most]) => `${most} ${what}`);
  const short = calls !== undefined && calls < plan.calls[0];
  return {
    ...found,
    planned: { title, plan: bounded(plan, calls) },
    notes: [...found.notes, `budget: ${said.join(", ")}`],
    maxUsd: usd ?? Infinity,
    ways: short ? found.ways.map((way) => ({ ...way, certain: false })) : found.ways,
  };
}
