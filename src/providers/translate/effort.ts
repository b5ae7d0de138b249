import type { ChatBody } from "../../model/request.ts";
import { isRecord, isText } from "./json.ts";

/** How much a client wants a model to think. */
export interface Effort {
  /** One of OpenAI's words. */
  readonly effort?: string;
  /** Tokens, where the client names them. */
  readonly budget?: number;
}

/** `reasoning_effort`, or the `reasoning` object that other gateways take; undefined when the request says nothing. */
export function readEffort({ reasoning_effort: effort, reasoning }: ChatBody): Effort | undefined {
  const { effort: theirs, max_tokens: budget, enabled } = isRecord(reasoning) ? reasoning : {};
  const said = effort ?? theirs ?? (enabled === true ? "medium" : enabled === false ? "none" : undefined);
  if (!isText(said) && typeof budget !== "number") return undefined;
  return { ...(isText(said) ? { effort: said } : {}), ...(typeof budget === "number" && budget > 0 ? { budget } : {}) };
}
