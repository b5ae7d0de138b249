import type { Call } from "../../model/call.ts";
import type { ModelEvent } from "../../model/events.ts";
import type { ChatRequest } from "../../model/request.ts";
import type { Assembly, Weighed } from "../assemble.ts";
import { flush } from "../flush.ts";
import { bestOf, type Jury, type Putting } from "../judging/judge.ts";
import { openPatience } from "../patience.ts";
import type { ToolBallot } from "./ballots.ts";
import { shownUses, usesOf } from "./calls.ts";
import { shownTools } from "./shown.ts";
import { askWithTools, elected, noteFault } from "./vote.ts";

/** Who picks, and how it is asked. */
export interface Selection {
  readonly assembly: Assembly;
  readonly jury: Jury;
  readonly maxTokens: number;
  /** Has places for the candidates, the nonce, the form and the tools. */
  readonly prompt: (variables: Readonly<Record<"candidates" | "nonce" | "form" | "tools", string>>) => string;
}

/** One answer of each class: the earliest that its judge did not write, which the judge would not look at. */
function spokesmen(ballots: readonly ToolBallot[], { jury }: Selection): readonly Weighed[] {
  const own = jury[0]?.own ?? new Set<string>();
  const classes = new Map<string, Weighed>();
  for (const { candidate, kind, key } of ballots) {
    const id = JSON.stringify([kind, key ?? candidate.label]);
    const known = classes.get(id);
    if (known === undefined || (own.has(known.label) && !own.has(candidate.label))) classes.set(id, candidate);
  }
  return [...classes.values()];
}

/** What a judge sees of an answer: what it says, then its calls. */
function withCalls(candidate: Weighed): Weighed {
  const calls = shownUses(usesOf(candidate.completion));
  const said = candidate.text.trim();
  return { ...candidate, text: calls === "" ? said : [...(said === "" ? [] : [said]), `Calls:\n${calls}`].join("\n\n") };
}

/**
 * A turn with tools by a judge: it sees what each member would do, anonymous, and names a letter; it never writes a call itself. Without a
 * verdict the majority decides, marked as degraded. Members that would all do the same need no judge.
 */
export async function* selectCalls(selection: Selection, request: ChatRequest, call: Call): AsyncGenerator<ModelEvent> {
  const { assembly, jury, maxTokens, prompt } = selection;
  using patience = openPatience(call, assembly.quorum.deadlineMs);
  const asked = await askWithTools(assembly, request, call, { mayStop: false });
  const [first, ...others] = spokesmen(asked.ballots, selection);
  if (first !== undefined && others.length === 0) {
    const told = noteFault(asked.ballots, first.label, call);
    call.span.decision = { tools: "select", by: "agreement", winner: first.label, ...told };
    yield* flush(first.completion, call);
    return;
  }
  const items = [first, ...others].filter((one) => one !== undefined).map(withCalls);
  const putting: Putting = { maxTokens, prompt: (variables) => prompt({ ...variables, tools: shownTools(request) }) };
  const picked = await bestOf(jury, items, putting, { request, call, signal: patience.signal });
  const failed = picked.failed.length > 0 ? { failed: picked.failed } : {};
  if (picked.ok) {
    const { winner, judge, letters } = picked;
    const told = noteFault(asked.ballots, winner.label, call);
    call.span.decision = { tools: "select", by: "judge", judge: judge.label, letters, winner: winner.label, ...told, ...failed };
    yield* flush(winner.completion, call);
    return;
  }
  const { completion, winner, agreement, votes } = elected(assembly, asked);
  call.trace.degraded.push(`tools: ${picked.failed.join(", ")}, the majority decided`);
  const told = noteFault(asked.ballots, winner, call);
  call.span.decision = { tools: "select", by: "votes", winner, agreement, votes, ...told, ...failed };
  yield* flush(completion, call);
}
