import type { ChatBody } from "../../model/request.ts";
import { readEffort, type Effort } from "../translate/effort.ts";
import { isRecord, type Json } from "../translate/json.ts";
import type { Traits } from "./models.ts";

/** What the body says of thinking. */
export interface ThinkingFields {
  readonly thinking?: Json;
  /** For `output_config`. */
  readonly effort?: string;
  readonly warnings: readonly string[];
}

/** Why this request can not be thought about, in the API's own rules; undefined when it can. */
export interface Hindrance {
  readonly forced: boolean;
  readonly prefilled: boolean;
  readonly unsigned: boolean;
}

/** The least that a budget may be. */
const LEAST = 1024;
/** The share of the answer's bound that an effort may think. */
const shares: Readonly<Record<string, number>> = { minimal: 0.1, low: 0.2, medium: 0.5, high: 0.8, xhigh: 0.9, max: 0.95 };

function hindered({ forced, prefilled, unsigned }: Hindrance, mode: Traits["thinking"]): string | undefined {
  if (forced) return "does not think when a tool is forced";
  if (prefilled) return "does not think when it goes on with a given answer";
  if (unsigned && mode === "budget") return "does not think about results of calls whose reasoning was not sent back";
  return undefined;
}

function effortOf(effort: string, { efforts }: Traits): string {
  if (effort === "minimal") return "low";
  if (effort === "low" || effort === "medium" || effort === "high" || efforts.includes(effort)) return effort;
  return "high";
}

function adaptive(effort: string | undefined, traits: Traits, why: string | undefined): ThinkingFields {
  if (effort === "none") return { thinking: { type: "disabled" }, warnings: [] };
  const known = effort === undefined ? {} : { effort: effortOf(effort, traits) };
  if (why !== undefined) return { ...known, warnings: [why] };
  return { ...known, thinking: { type: "adaptive", display: "summarized" }, warnings: [] };
}

function budgeted({ effort, budget }: Effort, maxTokens: number, why: string | undefined): ThinkingFields {
  if (effort === "none") return { warnings: [] };
  if (why !== undefined) return { warnings: [why] };
  if (maxTokens <= LEAST) return { warnings: [`does not think within ${maxTokens} tokens; it needs more than ${LEAST}`] };
  const share = Math.floor(maxTokens * (shares[effort ?? "medium"] ?? 0.5));
  const tokens = Math.min(Math.max(Math.floor(budget ?? share), LEAST), maxTokens - 1);
  return { thinking: { type: "enabled", budget_tokens: tokens }, warnings: [] };
}

/** Translates the wish to think, as far as the model and the rest of the request let it. The client's own `thinking` goes as it is. */
export function thinkingFields(
  body: ChatBody,
  traits: Traits,
  given: { readonly maxTokens: number; readonly hindrance: Hindrance },
): ThinkingFields {
  const own = body["thinking"];
  if (isRecord(own)) return { thinking: own, warnings: [] };
  const asked = readEffort(body);
  if (!asked) return { warnings: [] };
  const why = hindered(given.hindrance, traits.thinking);
  if (traits.thinking === "adaptive") return adaptive(asked.effort, traits, why);
  if (traits.thinking === "budget") return budgeted(asked, given.maxTokens, why);
  return { warnings: asked.effort === "none" ? [] : ['does not take "reasoning_effort"; it was left out'] };
}
