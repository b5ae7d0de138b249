/** Who of several may take a request, as far as is known before anybody is asked. What is not known counts as able. */
import type { Call } from "../model/call.ts";
import type { ErrorCode, GatewayError } from "../model/errors.ts";
import type { Model } from "../model/model.ts";
import { change, ownRequest, type ChatRequest } from "../model/request.ts";
import type { Role } from "./seats.ts";

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
function refusal(errors: readonly GatewayError[]): GatewayError | undefined {
  return errors.find(({ code }) => code === "context_length_exceeded") ?? errors[0];
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
  const refused = able.length === 0 ? refusal(errors) : undefined;
  if (refused) throw refused;
  tell(call, errors);
  return able;
}

/** Why none of several models may take a request; undefined when one may. */
export function noneCapable(models: Iterable<Model>, request: ChatRequest): GatewayError | undefined {
  const errors: GatewayError[] = [];
  for (const model of models) {
    const error = model.unable?.(request);
    if (!error) return undefined;
    errors.push(error);
  }
  return refusal(errors);
}

/** At boot: why a model is known not to tell log-probabilities; undefined when it may. */
export function unableOfLogprobs(model: Model): GatewayError | undefined {
  return model.unable?.(ownRequest({ model: model.name, messages: [{ role: "user", content: "" }], logprobs: true }));
}

/** What a panel may set anew or leave out for its members, so that it says nothing of them. */
const OWN_FIELDS = ["logprobs", "top_logprobs", "max_tokens", "max_completion_tokens", "modalities", "audio"];

/** Why none of a panel's roles may take a request; undefined when one may. */
export function noneOfRoles(roles: readonly Pick<Role, "model">[], request: ChatRequest): GatewayError | undefined {
  const present = OWN_FIELDS.filter((field) => request.body[field] !== undefined);
  const asked = present.length === 0 ? request : change(request, Object.fromEntries(present.map((field) => [field, undefined])));
  return noneCapable(
    roles.map(({ model }) => model),
    asked,
  );
}

/** Tells of seats that were never asked: their models refused by themselves, before anything was spent, and a reserve has taken the place. */
export function tellLeftOut(errors: readonly GatewayError[], call: Call): void {
  const refused = errors.filter(({ code, details }) => REFUSALS.has(code) && details.upstreamStatus === undefined);
  if (refused.length > 0) tell(call, refused);
}
