import { openBudget } from "../model/budget.ts";
import { GatewayError } from "../model/errors.ts";
import type { Model } from "../model/model.ts";
import { openDeadline } from "../model/scope.ts";
import type { NodeBudget } from "../config/nodes.ts";

/** A node with a purse and a time of its own for each request, inside those of the nodes above. */
export function budgeted(inner: Model, budget: NodeBudget): Model {
  const { name } = inner;
  const { ms, ...limits } = budget;
  return {
    name,
    async *stream(request, call) {
      using deadline = openDeadline(call, ms, () => new GatewayError("upstream_timeout", `${name} took longer than its ${ms} ms.`));
      yield* inner.stream(request, {
        ...call,
        budget: openBudget(limits, call.budget, name),
        signal: deadline.signal,
      });
    },
    unable: (request) => inner.unable?.(request),
  };
}
