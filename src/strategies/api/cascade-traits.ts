import type { Node } from "../define.ts";
import { nodeOf, type RoleOptions } from "../members.ts";

/** The options of a step as far as its threshold rests on them. */
export interface StepOptions {
  readonly model: Node;
  readonly accept?: { readonly by: string; readonly min?: number | undefined; readonly judge?: RoleOptions } | undefined;
}

/** What a table of thresholds is made for. */
export interface Traits {
  /** Who answers in each step. */
  readonly models: readonly string[];
  /** Every gate's options, without its threshold. */
  readonly gates: readonly ({ readonly by: string } & Readonly<Record<string, unknown>>)[];
}

/** Names what stands in a cascade: `identity` tells one node from any other. */
export function traitsOf(steps: readonly StepOptions[], identity: (node: Node) => string): Traits {
  const judged = (judge: RoleOptions) => {
    const name = identity(nodeOf(judge));
    return typeof judge === "object" && !("kind" in judge) ? { ...judge, model: name } : name;
  };
  return {
    models: steps.map(({ model }) => identity(model)),
    gates: steps.flatMap(({ accept }) => {
      if (!accept) return [];
      const { min: _, judge, ...gate } = accept;
      return [{ ...gate, ...(judge === undefined ? {} : { judge: judged(judge) }) }];
    }),
  };
}
