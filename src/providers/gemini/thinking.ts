import type { Effort } from "../translate/effort.ts";

/** How a family of models takes the wish to think more or less. */
interface Family {
  readonly models: RegExp;
  /** What each effort becomes; an effort that a family does not have is its nearest one. */
  readonly efforts: Readonly<Record<string, string | number>>;
}

const budgets = { minimal: 1024, low: 1024, medium: 8192, high: 24_576, xhigh: 24_576, max: 24_576 };
const levels = { minimal: "MINIMAL", low: "LOW", medium: "MEDIUM", high: "HIGH", xhigh: "HIGH", max: "HIGH" };

/** The first that fits holds. Budgets are those of Google's own OpenAI endpoint, https://ai.google.dev/gemini-api/docs/openai, 2026-11. */
const families: readonly Family[] = [
  // Thinking can not be switched off there; 128 is the least.
  { models: /^gemini-2\.5-pro/, efforts: { ...budgets, none: 128 } },
  { models: /^gemini-2\.5/, efforts: { ...budgets, none: 0 } },
  { models: /^(?:gemini-[12]|gemma|learnlm)/, efforts: {} },
  { models: /^gemini-3-pro/, efforts: { ...levels, none: "LOW", minimal: "LOW", medium: "HIGH" } },
  { models: /^gemini-[\d.]+-pro/, efforts: { ...levels, none: "LOW", minimal: "LOW" } },
  { models: /^/, efforts: { ...levels, none: "MINIMAL" } },
];

/** The `thinkingConfig` for an effort or a number of tokens; undefined where the model has no such setting. */
export function thinkingConfig(model: string, { effort = "medium", budget }: Effort): Readonly<Record<string, unknown>> | undefined {
  const efforts = families.find(({ models }) => models.test(model))?.efforts;
  // The models with levels take tokens too.
  const setting = budget !== undefined && efforts?.["none"] !== undefined ? budget : efforts?.[effort];
  if (setting === undefined) return undefined;
  const includeThoughts = effort === "none" ? {} : { includeThoughts: true };
  return typeof setting === "number" ? { thinkingBudget: setting, ...includeThoughts } : { thinkingLevel: setting, ...includeThoughts };
}

/** True for models that refuse a function call of their own in the history without its signature. */
export function needsSignature(model: string): boolean {
  return /^gemini-(?![12](?:\.|-|$))/.test(model);
}
