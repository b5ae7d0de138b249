import type { Price } from "../config/nodes.ts";
import type { Plan } from "../model/plan.ts";
import { costOf } from "./prices.ts";

/** The price of the leaf that a plan belongs to. */
export type PriceOfLeaf = (plan: Plan) => Price | undefined;

interface Worst {
  /** Sum over all calls. */
  readonly sum: number;
  /** The dearest single call. */
  readonly dearest: number;
}

/**
 * What a plan costs at worst, when `cost` tells what one call of a leaf costs. A plan says how many calls it makes, not to whom: what its children
 * do not account for (samples, rounds) is taken to go to the dearest, and a node that picks one of its children is bounded by the dearest too.
 */
function worstOf(plan: Plan, cost: (plan: Plan) => number): Worst {
  if (plan.edges.length === 0) {
    const one = cost(plan);
    return { sum: one * plan.calls[1], dearest: one };
  }
  let sum = 0;
  let calls = 0;
  let dearest = 0;
  for (const { child } of plan.edges) {
    const worst = worstOf(child.plan, cost);
    sum += worst.sum;
    calls += child.plan.calls[1];
    dearest = Math.max(dearest, worst.dearest);
  }
  const rest = plan.calls[1] - calls;
  return {
    sum: rest >= 0 ? sum + rest * dearest : Math.min(sum, plan.calls[1] * dearest),
    dearest,
  };
}

/** US dollars at worst for a prompt and answers of these sizes; calls whose price is unknown count nothing. */
export function worstUsd(
  plan: Plan,
  priceOf: PriceOfLeaf,
  usage: { readonly promptTokens: number; readonly completionTokens: number },
): number {
  return worstOf(plan, (leaf) => {
    const price = priceOf(leaf);
    return price ? costOf(usage, price) : 0;
  }).sum;
}

/** How many times the price of one call to its dearest leaf a plan costs at worst; the number of calls where a price is unknown. */
export function multiplierOf(plan: Plan, priceOf: PriceOfLeaf): number {
  const isKnown = leavesOf(plan).every((leaf) => priceOf(leaf) !== undefined);
  const { sum, dearest } = worstOf(plan, (leaf) => {
    const price = priceOf(leaf);
    return isKnown && price ? price.in + price.out : 1;
  });
  return dearest > 0 ? sum / dearest : plan.calls[1];
}

/** The plans of all leaves below a plan, each once. */
export function leavesOf(plan: Plan): readonly Plan[] {
  if (plan.edges.length === 0) return [plan];
  return [...new Set(plan.edges.flatMap(({ child }) => leavesOf(child.plan)))];
}
