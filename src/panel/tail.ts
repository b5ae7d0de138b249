import { leafPlan, type Planned } from "../model/plan.ts";

/** Whose tokens stream where this child's do: its own name when it is a model, else what its plan says. */
export function tailOf({ title, plan }: Planned): string {
  return plan.tail === leafPlan.tail ? title : plan.tail;
}
