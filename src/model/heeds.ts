import type { Plan } from "./plan.ts";

/** What decides an answer and is neither asked nor a setting: requests that differ in it may not share an answer. */
export interface Heeds {
  /** Names of headers of the client's, in small letters. */
  readonly headers?: readonly string[];
  /** Keys of `metadata`; `all` where it goes to a server that may heed any of them. */
  readonly metadata?: readonly string[] | "all";
  /** The key that asks. */
  readonly principal?: boolean;
}

function* plansBelow(plan: Plan): Generator<Plan> {
  yield plan;
  for (const { child } of plan.edges) yield* plansBelow(child.plan);
}

/** What a node and all below it heed; names once and in order. */
export function heedsOf(plan: Plan): Required<Heeds> {
  const headers = new Set<string>();
  const keys = new Set<string>();
  let all = false;
  let principal = false;
  for (const { heeds = {} } of plansBelow(plan)) {
    for (const name of heeds.headers ?? []) headers.add(name);
    if (heeds.metadata === "all") all = true;
    else for (const key of heeds.metadata ?? []) keys.add(key);
    principal ||= heeds.principal ?? false;
  }
  return { headers: [...headers].sort(), metadata: all ? "all" : [...keys].sort(), principal };
}
