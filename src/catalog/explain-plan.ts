import type { Plan, Planned } from "../model/plan.ts";
import type { Node, Strategy } from "../strategies/define.ts";

/*
 * A plan is a pure function of the plans of its children. So what it makes of one of them is found by telling it of other children: no strategy
 * has to say it a second time.
 */

/** A node of the config as it was read. */
export interface Configured {
  readonly strategy: Strategy;
  readonly options: unknown;
}

/** A plan with the children that it asked for, in the order in which it asks each time. */
export interface Read {
  readonly plan: Plan;
  readonly nodes: readonly Node[];
  readonly children: readonly Planned[];
}

/** Plans over children of the caller's. Each child that is asked for is an object of its own, so that edges tell which they are. */
export function planOver({ strategy, options }: Configured, child: (node: Node, nth: number) => Planned): Read {
  const nodes: Node[] = [];
  const children: Planned[] = [];
  const plan = strategy.plan(options, (node) => {
    const planned = { ...child(node, nodes.length) };
    nodes.push(node);
    children.push(planned);
    return planned;
  });
  return { plan, nodes, children };
}

/** Plans anew with the children's plans changed. */
function replan(configured: Configured, { children }: Read, alter: (plan: Plan, nth: number) => Plan): Plan {
  return planOver(configured, (_, nth) => {
    const { title, plan } = children[nth] as Planned;
    return { title, plan: alter(plan, nth) };
  }).plan;
}

/**
 * What a node comes to at worst when a child comes to `of`: its worst calls are sums, multiples and maxima of its children's, so what holds of calls
 * holds of money, and of calls to one leaf.
 */
export function worstOf(configured: Configured, read: Read, of: (nth: number) => number): number {
  return replan(configured, read, (plan, nth) => ({ ...plan, calls: [0, of(nth)] })).calls[1];
}

/** Whether even the fewest calls have one of this child's in them: without it there is no answer. */
function counts(configured: Configured, read: Read, nth: number): boolean {
  return replan(configured, read, (plan, index) => ({ ...plan, calls: [index === nth ? 1 : 0, plan.calls[1]] })).calls[0] > 0;
}

/** Whether each edge is taken in any case, as long as nothing fails. */
export function certainEdges(configured: Configured, read: Read): readonly boolean[] {
  const { plan, nodes, children } = read;
  const drawn = plan.edges.map(({ child }) => children.indexOf(child));
  return drawn.map((nth) => {
    // What one edge costs may be asked for more than once; what is not drawn belongs to the edge of the same node.
    const same = nodes.flatMap((node, index) => (index === nth || (node === nodes[nth] && !drawn.includes(index)) ? [index] : []));
    return same.some((index) => counts(configured, read, index));
  });
}

/** The child that answers turns with tools alone; nobody where they are refused; undefined for a kind without a rule of its own. */
export function toolsOwner(configured: Configured, read: Read): number | "nobody" | undefined {
  if (configured.strategy.level === "api" && read.plan.edges.length <= 1) return undefined;
  const { tools } = replan(configured, read, (plan, nth) => ({ ...plan, tools: `owner ${nth}` }));
  if (tools === "refused") return "nobody";
  const nth = read.children.findIndex((_, index) => tools === `owner ${index}`);
  return nth < 0 ? undefined : nth;
}
