import { invalid, isObject, quoted, type Json } from "../openai/responses/json.ts";
import { isGiven } from "./fields.ts";

export interface Thinking {
  /** Fields of the chat. */
  readonly fields: Json;
  /** The answer may tell what was thought. Without that wish it has no such blocks: many clients read the first block as the text. */
  readonly isShown: boolean;
}

const LEAST = 1024;
const efforts = new Set<unknown>(["low", "medium", "high", "xhigh", "max"]);

/** Tokens up to which a budget is taken for this effort, for models that take no budget. The ones that gateways commonly use. */
const steps: readonly (readonly [number, string])[] = [
  [2048, "low"],
  [8192, "medium"],
  [Infinity, "high"],
];

function effortOf(config: Json): string | undefined {
  const { effort } = config;
  if (!isGiven(effort)) return undefined;
  return efforts.has(effort)
    ? (effort as string)
    : invalid("output_config.effort", `${quoted(effort)} is none of ${[...efforts].join(", ")}`);
}

function enabled({ budget_tokens: budget }: Json, effort: string | undefined, maxTokens: unknown): Json {
  const at = "thinking.budget_tokens";
  if (typeof budget !== "number" || !Number.isInteger(budget) || budget < LEAST) invalid(at, `expected an integer of at least ${LEAST}`);
  if (typeof maxTokens === "number" && budget >= maxTokens) invalid(at, "it must be less than max_tokens");
  const near = steps.find(([most]) => budget <= most)?.[1];
  return { reasoning_effort: effort ?? near, reasoning: { max_tokens: budget } };
}

/**
 * The wish to think as a chat has it: an effort, and the budget under the name that leaves know. A mode without either travels as it is, for
 * leaves of the same API.
 */
export function thinkingOf(thinking: unknown, config: Json, maxTokens: unknown): Thinking {
  const effort = effortOf(config);
  const said = effort === undefined ? {} : { reasoning_effort: effort };
  if (!isGiven(thinking)) return { fields: said, isShown: false };
  if (!isObject(thinking)) invalid("thinking", "expected an object");
  const { type, display } = thinking;
  if (isGiven(display) && display !== "summarized" && display !== "omitted")
    invalid("thinking.display", "expected one of summarized, omitted");
  const isShown = display !== "omitted";
  switch (type) {
    case "enabled":
      return { fields: enabled(thinking, effort, maxTokens), isShown };
    case "adaptive":
      return { fields: effort === undefined ? { thinking } : said, isShown };
    case "between_tools":
      return { fields: { ...said, thinking }, isShown };
    case "disabled":
      return { fields: { ...said, thinking }, isShown: false };
    default:
      return invalid("thinking.type", "expected one of enabled, adaptive, disabled, between_tools");
  }
}
