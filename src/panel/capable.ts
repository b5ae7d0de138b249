/** Who of several may take a request, as far as is known before anybody is asked. What is not known counts as able. */
import type { Call } from "../model/call.ts";
import { GatewayError, type ErrorCode } from "../model/errors.ts";
import type { Model } from "../model/model.ts";
import type { ChatRequest } from "../model/request.ts";

/** What a model says by itself of a request that it can not take. */
const REFUSALS: ReadonlySet<ErrorCode> = new Set(["incapable", "context_length_exceeded"]);

/** Says it once: rounds and runs of one request leave out the same members. */
function tell({ trace }: Call, errors: readonly GatewayError[]): void {
  for (const { message } of errors) {
    const warning = `left out: ${message}`;
    if (!trace.warnings.includes(warning)) trace.warnings.push(warning);
  }
}

/** What a request is told that nobody may take: that it is too long where a member could take all the rest, else what the first one lacks. */
export function refusal(errors: readonly GatewayError[]): GatewayError {
  const told = errors.find(({ code }) => code === "context_length_exceeded") ?? errors[0];
  return told ?? new GatewayError("internal", "Nobody was asked whether it may take this request.");
}

/** Those of a list that may take their request, in order; the list itself when all may. Throws when none may. */
export function capable<T>(
  list: readonly T[],
  asking: (one: T) => { readonly model: Model; readonly request: ChatRequest },
  call: Call,
): readonly T[] {
  const errors: GatewayError[] = [];
  const able = list.filter((one) => {
    const { model, request } = asking(one);
    const error = model.unable?.(request);
    if (error) errors.push(error);
    return error === undefined;
  });
  if (errors.length === 0) return list;
  if (able.length === 0) throw refusal(errors);
  tell(call, errors);
  return able;
}

/** Tells of seats that were never asked: their models refused by themselves, before anything was spent, and a reserve has taken the place. */
export function tellLeftOut(errors: readonly GatewayError[], call: Call): void {
  const refused = errors.filter(({ code, details }) => REFUSALS.has(code) && details.upstreamStatus === undefined);
  if (refused.length > 0) tell(call, refused);
}
