import type { Form } from "../judging/verdict.ts";

/** What somebody who checks work says of it. */
export interface Inspection {
  readonly pass: boolean;
  /** What is to be mended; may be empty. */
  readonly feedback: string;
}

function verdictOf(value: unknown): Inspection | undefined {
  if (typeof value !== "object" || value === null || !("verdict" in value)) return undefined;
  const { verdict } = value;
  const feedback = "feedback" in value && typeof value.feedback === "string" ? value.feedback.trim() : "";
  const word = typeof verdict === "string" ? verdict.trim().toLowerCase() : undefined;
  return word === "pass" || word === "revise" ? { pass: word === "pass", feedback } : undefined;
}

/** Pass, or revise with what is to be mended. */
export const inspection: Form<Inspection> = {
  name: "inspection",
  schema: {
    type: "object",
    properties: { feedback: { type: "string" }, verdict: { type: "string", enum: ["pass", "revise"] } },
    required: ["feedback", "verdict"],
    additionalProperties: false,
  },
  shape: '{"feedback": "what has to be mended, or empty", "verdict": "pass" | "revise"}',
  read: verdictOf,
  bare: (text) => (/^[\s*_`"']*pass(?:ed)?[\s*_`"'.!]*$/i.test(text) ? { pass: true, feedback: "" } : undefined),
};
