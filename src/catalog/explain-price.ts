import { costOf } from "./prices.ts";
import type { Foreseen } from "./explain-way.ts";

/** Tokens of one call with one choice. */
export interface Tokens {
  readonly prompt: number;
  readonly completion: number;
}

/** What one leaf may be asked, and what that costs at worst; without a price nobody knows. */
interface LegBound {
  readonly calls: number;
  readonly certain: boolean;
  /** US dollars of its dearest call. */
  readonly usd: number | undefined;
  /** How often each call is made at most where it fails. */
  readonly attempts: number;
}

export interface Priced {
  /** US dollars of all calls at worst; those whose price is unknown count nothing here. */
  readonly usd: number;
  readonly legs: ReadonlyMap<string, LegBound>;
}

function pricedLeaf({ leaf, planned, choices }: Foreseen, { prompt, completion }: Tokens): Priced {
  const calls = planned.plan.calls[1];
  const usd = leaf?.price && costOf({ promptTokens: prompt, completionTokens: completion * choices }, leaf.price);
  const legs = new Map(leaf ? [[leaf.name, { calls, certain: true, usd, attempts: leaf.attempts ?? 1 }]] : []);
  return { usd: (usd ?? 0) * calls, legs };
}

/** What later calls may be shown besides the client's request: at worst the answers of all that came before. */
function shown({ planned, runs, shows }: Foreseen, { prompt, completion }: Tokens): Tokens {
  const before = shows ? Math.max(0, planned.plan.calls[1] / runs - 1) : 0;
  return { prompt: prompt + before * completion, completion };
}

/** What a request costs at worst on the ways that it may take, and to whom. */
export function price(node: Foreseen, tokens: Tokens): Priced {
  if (node.ways.length === 0) return pricedLeaf(node, tokens);
  const { runs, maxUsd, ways, worst } = node;
  const most = node.planned.plan.calls[1];
  const within = shown(node, tokens);
  const priced = new Map<Foreseen, Priced>();
  const of = (child: Foreseen): Priced => {
    const known = priced.get(child) ?? price(child, within);
    priced.set(child, known);
    return known;
  };
  const legs = new Map<string, LegBound>();
  for (const { certain, to } of ways) {
    for (const [name, leg] of of(to).legs) {
      const before = legs.get(name);
      const usd = leg.usd === undefined ? undefined : Math.max(leg.usd, before?.usd ?? 0);
      legs.set(name, { ...leg, calls: 0, certain: before?.certain === true || (certain && leg.certain), usd });
    }
  }
  for (const [name, leg] of legs) {
    const calls = worst((child) => of(child).legs.get(name)?.calls ?? 0) * runs;
    legs.set(name, { ...leg, calls: Math.min(calls, most) });
  }
  return { usd: Math.min(worst((child) => of(child).usd) * runs, maxUsd), legs };
}
