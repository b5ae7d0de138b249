import * as z from "zod";

/** What structured output is asked for. */
export const answerSchema = z.object({ answer: z.number() });

/** What the tool `add` takes. */
export const sumSchema = z.object({ a: z.number(), b: z.number() });
