import type { ChatRequest } from "../../model/request.ts";
import { readEffort, type Effort } from "../translate/effort.ts";
import { isRecord, isText, type Json } from "../translate/json.ts";
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

interface Given {
  readonly maxTokens: number;
  readonly hindrance: Hindrance;
}

/** The least that a budget may be. */
const LEAST = 1024;
/** The share of the answer's bound that an effort may think. */
const shares: Readonly<Record<string, number>> = { minimal: 0.1, low: 0.2, medium: 0.5, high: 0.8, xhigh: 0.9, max: 0.95 };

const untold: ThinkingFields = { warnings: ["can not be told not to think; the wish was left out"] };

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

/** An effort beside a `thinking` of the client's own, or without the wish to think. */
function effortFields(effort: string | undefined, traits: Traits): ThinkingFields {
  if (effort === undefined || effort === "none") return { warnings: [] };
  if (traits.effort) return { effort: effortOf(effort, traits), warnings: [] };
  return { warnings: ["takes no effort; it was left out"] };
}

function adaptive(effort: string | undefined, traits: Traits, why: string | undefined, display: unknown = "summarized"): ThinkingFields {
  if (effort === "none") return traits.disables ? { thinking: { type: "disabled" }, warnings: [] } : untold;
  const known = effort === undefined ? {} : { effort: effortOf(effort, traits) };
  if (why !== undefined) return { ...known, warnings: [why] };
  return { ...known, thinking: { type: "adaptive", display }, warnings: [] };
}

function budgeted({ effort, budget }: Effort, maxTokens: number, why: string | undefined, shown: Json = {}): ThinkingFields {
  if (effort === "none") return { warnings: [] };
  if (why !== undefined) return { warnings: [why] };
  if (maxTokens <= LEAST) return { warnings: [`does not think within ${maxTokens} tokens; it needs more than ${LEAST}`] };
  const share = Math.floor(maxTokens * (shares[effort ?? "medium"] ?? 0.5));
  const tokens = Math.min(Math.max(Math.floor(budget ?? share), LEAST), maxTokens - 1);
  return { thinking: { type: "enabled", budget_tokens: tokens, ...shown }, warnings: [] };
}

const none: ThinkingFields = { warnings: ['does not take "reasoning_effort"; it was left out'] };

/** What a client of the same API asked for, in the mode that the model knows. Where it is the client's own, it goes as it is. */
function native(thinking: Json, asked: Effort, traits: Traits, { maxTokens, hindrance }: Given): ThinkingFields {
  const { type, display } = thinking;
  const why = hindered(hindrance, traits.thinking);
  if (type === "disabled" && !traits.disables) return untold;
  if (type !== "enabled" && type !== "adaptive") return { thinking, warnings: [] };
  if (traits.thinking === "none") return none;
  if (traits.thinking === "adaptive") {
    if (type === "enabled") return adaptive(asked.effort, traits, why, display);
    return why === undefined ? { thinking, warnings: [] } : { warnings: [why] };
  }
  if (type === "adaptive" && !traits.known) return { thinking, warnings: [] };
  // Adaptive thinking is at a high effort unless another one is asked for.
  return budgeted({ effort: "high", ...asked }, maxTokens, why, display === undefined ? {} : { display });
}

/** The words of a client of the same API; undefined where there are none, or somebody on the way asked for something else. */
function ownWords({ foreign, edits }: ChatRequest): { readonly thinking: unknown; readonly effort: string | undefined } | undefined {
  const { thinking, output_config: config } = foreign?.native ?? {};
  if (["thinking", "reasoning_effort", "reasoning"].some((field) => Object.hasOwn(edits, field))) return undefined;
  const effort = isRecord(config) && isText(config["effort"]) ? config["effort"] : undefined;
  return thinking === undefined && effort === undefined ? undefined : { thinking, effort };
}

/**
 * Translates the wish to think, as far as the model and the rest of the request let it. The client's own `thinking` goes as it is. An effort of
 * a chat is a wish to think; this API's own effort is none.
 */
export function thinkingFields(request: ChatRequest, traits: Traits, given: Given): ThinkingFields {
  const { body } = request;
  const asked = readEffort(body);
  const words = ownWords(request);
  const own = words ? words.thinking : body["thinking"];
  if (words || isRecord(own)) {
    const effort = effortFields(words ? words.effort : asked?.effort, traits);
    const thought = !isRecord(own) ? { warnings: [] } : words ? native(own, asked ?? {}, traits, given) : { thinking: own, warnings: [] };
    return { ...effort, ...thought, warnings: [...effort.warnings, ...thought.warnings] };
  }
  if (!asked) return { warnings: [] };
  const why = hindered(given.hindrance, traits.thinking);
  if (traits.thinking === "adaptive") return adaptive(asked.effort, traits, why);
  if (traits.thinking === "budget") return budgeted(asked, given.maxTokens, why);
  return asked.effort === "none" ? { warnings: [] } : none;
}
