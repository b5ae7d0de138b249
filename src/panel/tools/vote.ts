import type { Call } from "../../model/call.ts";
import { GatewayError } from "../../model/errors.ts";
import type { ModelEvent } from "../../model/events.ts";
import type { ChatRequest } from "../../model/request.ts";
import { ruleOf } from "../voting/agreement.ts";
import { assemble, type Assembly, type Weighed } from "../assemble.ts";
import { agreed, flush } from "../flush.ts";
import { validatorOf } from "../schema.ts";
import { electCalls, toolBallotOf, toolStop, type ToolBallot, type ToolElection, type ToolOutcome } from "./ballots.ts";
import { toolboxOf, usesOf } from "./calls.ts";

/**
 * The answers of members who all saw the tools, in the order of their seats. Wrong arguments are there only where nobody has better ones: they
 * neither meet a quorum nor keep a reserve from being asked.
 */
export interface ToolBallots {
  readonly ballots: readonly ToolBallot[];
  readonly election: ToolElection;
  readonly early?: string;
}

/** Asks all members with the tools. With `mayStop` it ends as soon as no vote can change the majority. */
export async function askWithTools(
  assembly: Assembly,
  request: ChatRequest,
  call: Call,
  { mayStop }: { readonly mayStop: boolean },
): Promise<ToolBallots> {
  const rule = ruleOf({ answer: "auto" }, request);
  const toolbox = toolboxOf(request, assembly.refusals);
  const read = (candidate: Weighed) => toolBallotOf(candidate, rule, toolbox);
  const stopping = toolStop(assembly.seating, read, call.marks);
  const { candidates, faulty, early } = await assemble(assembly, request, call, {
    unfit: (completion) => toolbox.unusable(completion),
    fault: (completion) => toolbox.fault(usesOf(completion)),
    ...(mayStop && { stop: stopping.stop }),
  });
  const election: ToolElection = { rule, validator: validatorOf(request), out: stopping.out(early) };
  const counted = candidates.length > 0 ? candidates : (faulty ?? []);
  return { ballots: counted.map(read), election, ...(early === undefined ? {} : { early }) };
}

/** The majority's answer, which there is when there is one at all. */
export function elected({ name }: Assembly, { ballots, election }: ToolBallots): ToolOutcome {
  const outcome = electCalls(ballots, election);
  if (outcome === undefined) throw new GatewayError("internal", `${name} has no answers to count.`);
  return outcome;
}

/** What the decision says of a call that its tool will hardly take: nobody had a better one. Logs are told that it is so, not what it is. */
export function noteFault(ballots: readonly ToolBallot[], winner: string, call: Call): { readonly fault?: string } {
  const fault = ballots.find(({ candidate }) => candidate.label === winner)?.fault;
  if (fault === undefined) return {};
  call.trace.degraded.push("tools: no call fits its schema");
  return { fault };
}

/**
 * A turn with tools by majority. A text that wins is settled among those who wrote one, at no further call: the strategy's own way would ask
 * everybody anew, and an answer of those who wanted to call is none.
 */
export async function* voteOnTools(assembly: Assembly, request: ChatRequest, call: Call): AsyncGenerator<ModelEvent> {
  const asked = await askWithTools(assembly, request, call, { mayStop: true });
  const { completion, winner, agreement, atMost, votes } = elected(assembly, asked);
  const { early } = asked;
  const told = noteFault(asked.ballots, winner, call);
  call.span.decision = {
    tools: "vote",
    winner,
    agreement,
    ...(atMost === undefined ? {} : { atMost }),
    votes,
    ...told,
    ...(early === undefined ? {} : { early }),
  };
  yield* flush(completion, call, agreed({ agreement, atMost }));
}
