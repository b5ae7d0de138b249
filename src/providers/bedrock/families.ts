import type { Json } from "../translate/json.ts";

/** What a request asks of thinking, where the model has it. */
export interface Wish {
  readonly effort?: string;
  /** Tokens, where the client names them. */
  readonly budget?: number;
  readonly maxTokens: number | undefined;
}

export interface Asked extends Wish {
  readonly effort: string;
}

/** Where a wish for effort goes in a request. */
export interface Thinking {
  /** `additionalModelRequestFields`: the model's own words. */
  readonly fields?: Json;
  /** `outputConfig.effort`. */
  readonly effort?: string;
}

/** How the models of one maker differ behind one API. */
export interface Family {
  /** What an id of a call may look like. */
  readonly ids: RegExp;
  /** Whose thoughts they are, in `reasoning_details`: the signatures of a maker hold wherever its models are served. */
  readonly thoughts: string;
  /** Undefined where the wish can not be told. */
  readonly thinking: (asked: Asked) => Thinking | undefined;
  /** The same for Anthropic's `thinking`; absent where the model has no such thing. */
  readonly own?: (thinking: Json, wish: Wish) => Thinking | undefined;
  readonly isClaude: boolean;
  /** Takes `top_k`, in its own words. */
  readonly topK: boolean;
  /** Refuses temperature and its like. */
  readonly isUnsampled: boolean;
  /** Thinking can not go with a forced tool, a begun answer or a temperature. */
  readonly isStrict: boolean;
  /** Nor with results of calls whose thoughts were lost. */
  readonly needsThoughts: boolean;
}

const anyId = /^[\w-]{1,64}$/;
const none: Family = {
  ids: anyId,
  thoughts: "bedrock-converse-v1",
  thinking: () => undefined,
  isClaude: false,
  topK: false,
  isUnsampled: false,
  isStrict: false,
  needsThoughts: false,
};

const three: Readonly<Record<string, string>> = { minimal: "low", low: "low", medium: "medium", high: "high", xhigh: "high", max: "high" };
const five: Readonly<Record<string, string>> = { ...three, xhigh: "xhigh", max: "max" };
const budgets: Readonly<Record<string, number>> = { minimal: 1024, low: 2048, medium: 8192, high: 16_384, xhigh: 24_576, max: 32_000 };
const LEAST_BUDGET = 1024;

/** The older Claudes are given tokens to think with, fewer than the answer may have. */
function budgeted({ effort, budget: named, maxTokens = Infinity }: Asked): Thinking | undefined {
  if (effort === "none") return {};
  const budget = Math.min(named ?? budgets[effort] ?? LEAST_BUDGET, maxTokens - 1);
  return budget < LEAST_BUDGET ? undefined : { fields: { thinking: { type: "enabled", budget_tokens: budget } } };
}

function adaptive({ effort }: Asked): Thinking {
  if (effort === "none") return { fields: { thinking: { type: "disabled" } } };
  return { fields: { thinking: { type: "adaptive" } }, effort: five[effort] ?? "high" };
}

/** Tokens are all that the older ones know: who asks for another mode gets as many as for the effort that it has when nothing is said. */
function ownBudget(thinking: Json, { effort = "high", ...wish }: Wish): Thinking | undefined {
  const { type } = thinking;
  return type === "enabled" || type === "disabled" ? { fields: { thinking } } : budgeted({ ...wish, effort });
}

function ownAdaptive(thinking: Json, { effort }: Wish): Thinking {
  const known = effort === undefined ? undefined : five[effort];
  return { fields: { thinking }, ...(known === undefined ? {} : { effort: known }) };
}

/** The version in a name such as `anthropic.claude-opus-4-6-v1:0` or `claude-3-7-sonnet-20250219`. */
function versionOf(name: string): number {
  const found = /-(\d{1,2})(?:[-.](\d{1,2}))?(?=$|[-@:.])/.exec(name);
  return found ? Number(`${found[1]}.${found[2] ?? 0}`) : Infinity;
}

function claude(model: string): Family {
  const version = versionOf(/claude(-.*)$/.exec(model)?.[1] ?? "");
  const any = { ...none, thoughts: "anthropic-claude-v1", isClaude: true };
  if (version < 3.7) return { ...any, topK: true };
  if (version < 4.6) return { ...any, topK: true, thinking: budgeted, own: ownBudget, isStrict: true, needsThoughts: true };
  const isUnsampled = version >= (model.includes("sonnet") ? 5 : model.includes("haiku") ? 5.5 : 4.7);
  return { ...any, topK: !isUnsampled, thinking: adaptive, own: ownAdaptive, isUnsampled, isStrict: true };
}

const nova: Family = {
  ...none,
  thinking: ({ effort }) => ({
    fields: {
      reasoningConfig: effort === "none" ? { type: "disabled" } : { type: "enabled", maxReasoningEffort: three[effort] ?? "high" },
    },
  }),
};

const gptOss: Family = { ...none, thinking: ({ effort }) => ({ fields: { reasoning_effort: three[effort] ?? "low" } }) };

/**
 * What is known of a model by its id, which may be an address (ARN) with the id in it. From the makers' pages in the Bedrock guide, read in
 * 2026-11; none of it was tried at the service.
 */
export function familyOf(model: string): Family {
  if (model.includes("claude")) return claude(model);
  if (/nova-(?:[2-9]|premier-2)/.test(model)) return nova;
  if (model.includes("gpt-oss")) return gptOss;
  // As `@ai-sdk/amazon-bedrock` of https://github.com/vercel/ai has it: nine letters or digits, and nothing else.
  if (model.includes("mistral")) return { ...none, ids: /^[a-zA-Z0-9]{9}$/ };
  return none;
}
