import * as z from "zod";
import { enter, type Call } from "../../model/call.ts";
import { allFailed, throwIfAborted, type GatewayError } from "../../model/errors.ts";
import type { Model } from "../../model/model.ts";
import type { ModelEvent } from "../../model/events.ts";
import { handOver } from "../../model/hand-over.ts";
import { open } from "../../model/open.ts";
import type { ChatRequest } from "../../model/request.ts";
import { capable, noneCapable } from "../../panel/capable.ts";
import { hold, holdGate } from "../../panel/hold.ts";
import { tailOf } from "../../panel/tail.ts";
import { limited, timeouts } from "../../panel/timeouts.ts";
import { ToolOwners } from "../../panel/tools/owners.ts";
import { defineStrategy, node, type BuildSite, type Node } from "../define.ts";

const member = z.union([node, z.strictObject({ model: node, timeouts: timeouts.optional() })]).describe("A model, or {model, timeouts}.");

const options = z.strictObject({
  members: z.array(member).min(1).describe("In the order in which they are asked."),
  hold: hold.optional(),
});

type Member = z.output<typeof member>;

/** A member is a node, or has one with options of its own beside it. */
function isNode(given: Member): given is Node {
  return typeof given === "string" || "kind" in given;
}

function buildMember(given: Member, index: number, site: BuildSite): Model {
  if (isNode(given)) return site.child(given, `members[${index}]`);
  const child = site.child(given.model, `members[${index}].model`);
  return given.timeouts ? limited(child, given.timeouts) : child;
}

interface Failure {
  readonly member: string;
  readonly error: GatewayError;
}

/** What the failures mean together. Out of attempts says nothing about the members, so then those that were asked decide. */
function failureOf(name: string, failures: readonly Failure[]): GatewayError {
  const errors = failures.map(({ error }) => error);
  const last = errors.at(-1);
  if (!last || last.elsewhere) return allFailed(name, errors);
  if (last.code !== "attempts_exhausted" || errors.length === 1) return last;
  return allFailed(`${name} ran out of attempts`, errors.slice(0, -1));
}

/** Tells the trace who answered and why the others did not. */
function record(call: Call, failures: readonly Failure[], answered?: string): void {
  const failed = failures.map(({ member, error }) => ({
    member,
    code: error.code,
    message: error.message,
  }));
  call.span.decision = {
    ...(answered === undefined ? {} : { answered }),
    ...(failed.length > 0 ? { failed } : {}),
  };
}

/**
 * Asks the next model when one failed in a way that another could heal, and nothing was shown yet. Any other error ends it at once: a request
 * that one upstream calls invalid is not tried on all. When all failed, one error says why each did. Members that are known not to take what
 * the request needs are passed over.
 *
 * The member that made tool calls is the first to get their results. Costs one call when all is well, one for each member at worst, one
 * after the other. The chosen member streams. Pays always: an outage, a
 * rate limit or a timeout of one provider is no longer the client's.
 */
export const fallback = defineStrategy({
  kind: "fallback",
  level: "api",
  summary: "Asks the next model when one failed in a way that another could heal.",
  options,
  build(own, site) {
    const members = own.members.map((given, index) => buildMember(given, index, site));
    const owners = new ToolOwners(
      site.name,
      members.map(({ name }) => name),
    );
    return {
      name: site.name,
      stream: (request, call) => handOver(() => answer(request, call)),
      unable: (request) => noneCapable(members, request),
    };

    async function answer(request: ChatRequest, call: Call): Promise<AsyncIterable<ModelEvent>> {
      const failures: Failure[] = [];
      const turn = owners.read(request);
      const able = capable(owners.inOrder(members, turn.owner), ([, model]) => ({ model, request: turn.request }), call);
      for (const [index, child] of able) {
        throwIfAborted(call.signal);
        const opening = await open(child, turn.request, enter(call, { label: child.name }), holdGate(own.hold));
        if (opening.ok) {
          record(call, failures, child.name);
          return turn.tell(index, opening.events);
        }
        failures.push({ member: child.name, error: opening.error });
        if (!opening.error.elsewhere) break;
      }
      record(call, failures);
      throw failureOf(site.name, failures);
    }
  },
  plan(own, child) {
    const members = own.members.map((given) => child(isNode(given) ? given : given.model));
    const plans = members.map(({ plan }) => plan);
    const tails = new Set(own.hold === "whole" ? [] : members.map(tailOf).filter((tail) => tail !== "none"));
    const owners = new Set(members.map(({ title, plan }) => plan.tools ?? title));
    return {
      calls: [plans[0]?.calls[0] ?? 0, plans.reduce((sum, { calls }) => sum + calls[1], 0)],
      attempts: plans.reduce((sum, { attempts = 1 }) => sum + attempts, 0),
      depth: plans.reduce((sum, { depth }) => sum + depth, 0),
      tail: [...tails].join(" or ") || "none",
      reads: own.hold !== undefined || plans.some(({ reads }) => reads),
      edges: members.map((planned, index) => ({ role: `member ${index + 1}`, child: planned })),
      ...(plans.every(({ agreement }) => agreement) ? { agreement: true } : {}),
      ...(plans.some(({ tools }) => tools !== undefined) ? { tools: [...owners].join(" or ") } : {}),
    };
  },
  foretell: () => ({ note: "in this order, the next one when one fails" }),
  examples: [
    { kind: "fallback", members: ["a", "b", "c"] },
    { kind: "fallback", members: [{ model: "a", timeouts: { firstTokenMs: 3000 } }, "b"] },
    { kind: "fallback", members: ["a", "b"], hold: { tokens: 32 } },
    { kind: "fallback", members: ["a", "b"], hold: "whole" },
    {
      kind: "fallback",
      members: [
        { kind: "retry", model: "a", attempts: 3 },
        { kind: "fallback", members: ["b", "c"] },
      ],
    },
  ],
});
