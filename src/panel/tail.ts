import { leafPlan, type Planned } from "../model/plan.ts";

/** Who answers for a node that has no name of its own: those whose tokens would stream, also where it holds them back. */
export function answererOf(planned: Planned): string {
  const tail = tailOf(planned);
  const [only, ...others] = planned.plan.edges;
  if (tail !== "none") return tail;
  return only !== undefined && others.length === 0 ? answererOf(only.child) : planned.title;
}

/** Whose tokens stream where this child's do: its own name when it is a model, else what its plan says. */
export function tailOf({ title, plan }: Planned): string {
  return plan.tail === leafPlan.tail ? title : plan.tail;
}
