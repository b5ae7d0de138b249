import type { Signal } from "../model/abort.ts";
import { enter, type Call } from "../model/call.ts";
import { complete } from "../model/complete.ts";
import { textOf, type Completion } from "../model/completion.ts";
import { GatewayError, throwIfAborted } from "../model/errors.ts";
import { change, type ChatRequest } from "../model/request.ts";
import type { Invalid } from "./assemble.ts";
import { wholeDelivery } from "./flush.ts";
import type { Validator } from "./schema.ts";
import { withSeed, withSettings, type Role } from "./seats.ts";
import { withoutTools } from "./tools/tools.ts";

/** Fills the repair prompt. */
export type RepairPrompt = (variables: { readonly reason: string }) => string;

export interface Repair {
  readonly writer: Role;
  readonly prompt: RepairPrompt;
  readonly validator: Validator;
  /** Ends the repair, besides the call's own. */
  readonly signal?: Signal;
}

/**
 * One further call: the writer sees the conversation, the invalid answer as its own, and the reason. Undefined when that failed too; nothing
 * is tried a third time.
 */
export async function repairOnce(repair: Repair, invalid: Invalid, request: ChatRequest, call: Call): Promise<Completion | undefined> {
  const { writer, prompt, validator, signal = call.signal } = repair;
  throwIfAborted(call.signal);
  if (signal.aborted) return undefined;
  const turn = [
    { role: "assistant", content: invalid.text },
    { role: "user", content: prompt({ reason: invalid.reason }) },
  ];
  const asked = change(withoutTools(request), { messages: [...request.body.messages, ...turn] });
  const inner = enter(call, { label: "repair", delivery: wholeDelivery(call), signal });
  const result = await complete(writer.model, withSeed(withSettings(asked, writer.settings), "repair"), inner);
  return result.ok && validator(textOf(result.completion)) === undefined ? result.completion : undefined;
}

/** When neither an answer nor its repair is valid. */
export function schemaUnsatisfied(name: string, { reason }: Invalid): GatewayError {
  return new GatewayError("schema_unsatisfied", `${name}: no answer satisfies the response_format (${reason}).`);
}
