/** A turn that offers tools, under each policy: applied once, round a strategy. */
import { enter, type Call } from "../../model/call.ts";
import type { GatewayError } from "../../model/errors.ts";
import type { ModelEvent } from "../../model/events.ts";
import type { Model } from "../../model/model.ts";
import type { ChatRequest } from "../../model/request.ts";
import type { Assembly } from "../assemble.ts";
import { noneOfRoles } from "../capable.ts";
import { answerTimes } from "../runs.ts";
import { everyone } from "../seats.ts";
import { refusedTools } from "./tools.ts";
import { adviseOwner, type Advising } from "./advise.ts";
import { selectCalls, type Selection } from "./select.ts";
import { voteOnTools } from "./vote.ts";

/** Who answers a turn that offers tools. Calls are never merged: one model's own go out, whole. */
export type ToolsRule =
  | { readonly policy: "refuse" }
  | { readonly policy: "owner"; readonly owner: Model }
  | ({ readonly policy: "advise" } & Advising)
  | { readonly policy: "vote"; readonly assembly: Assembly }
  | ({ readonly policy: "select" } & Selection);

/** Answers that are chosen whole are as many runs as the client wants choices; an owner makes them itself. */
function times(name: string, request: ChatRequest, call: Call, answer: Model["stream"]): AsyncIterable<ModelEvent> {
  const { n } = request.body;
  return typeof n === "number" && n > 1 ? answerTimes({ name, stream: answer }, n, request, call) : answer(request, call);
}

/** Why nobody may answer a turn with tools; undefined when somebody may. */
export function unableOfTools(rule: ToolsRule, request: ChatRequest): GatewayError | undefined {
  switch (rule.policy) {
    case "refuse":
      return refusedTools(request);
    case "owner":
    case "advise":
      return rule.owner.unable?.(request);
    default:
      return noneOfRoles(everyone(rule.assembly.seating), request);
  }
}

/** Answers a turn with tools. An owner gets it untouched: settings of its seat or of the writer do not apply. */
export async function* answerTools(rule: ToolsRule, request: ChatRequest, call: Call): AsyncGenerator<ModelEvent> {
  switch (rule.policy) {
    case "refuse":
      throw refusedTools(request);
    case "owner":
      call.span.decision = { tools: "owner", owner: rule.owner.name };
      yield* rule.owner.stream(request, enter(call, { label: "owner" }));
      return;
    case "advise":
      yield* adviseOwner(rule, request, call);
      return;
    case "vote":
      yield* times(rule.assembly.name, request, call, (asked, inner) => voteOnTools(rule.assembly, asked, inner));
      return;
    case "select":
      yield* times(rule.assembly.name, request, call, (asked, inner) => selectCalls(rule, asked, inner));
  }
}
