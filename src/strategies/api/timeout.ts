import * as z from "zod";
import { handOver } from "../../model/hand-over.ts";
import { enter } from "../../model/call.ts";
import { tailOf } from "../../panel/tail.ts";
import { limited, timeouts } from "../../panel/timeouts.ts";
import { defineStrategy, node } from "../define.ts";

const options = z.strictObject({ model: node, timeouts });

/**
 * Bounds a model in time: every leg below it, and the model as a whole (see `limited`). Too late is `upstream_timeout`, which is never retried
 * on the same model and always tried elsewhere.
 *
 * Costs no call and no depth. Pays round a composite, whose legs may each be in time and their sum not; below a `fallback`, where a slow
 * model should not use up the client's patience.
 */
export const timeout = defineStrategy({
  kind: "timeout",
  level: "api",
  summary: "Bounds a model, simple or composite, in time.",
  options,
  build(own, site) {
    const child = limited(site.child(own.model, "model"), own.timeouts);
    return {
      name: site.name,
      stream: (request, call) => handOver(async () => child.stream(request, enter(call, { label: "model" }))),
      unable: (request) => child.unable?.(request),
    };
  },
  plan(own, child) {
    const planned = child(own.model);
    return { ...planned.plan, tail: tailOf(planned), edges: [{ role: "model", child: planned }] };
  },
  examples: [
    { kind: "timeout", model: "a", timeouts: { totalMs: 20_000 } },
    {
      kind: "timeout",
      model: "a",
      timeouts: { connectMs: 1000, firstTokenMs: 4000, idleMs: 2000, totalMs: 60_000 },
    },
    {
      kind: "timeout",
      model: {
        kind: "fallback",
        members: ["a", { kind: "timeout", model: "b", timeouts: { idleMs: 500 } }],
      },
      timeouts: { firstTokenMs: 9000 },
    },
  ],
});
