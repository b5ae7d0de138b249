import * as z from "zod";
import type { Call } from "../../model/call.ts";
import type { Heeds } from "../../model/heeds.ts";
import type { ChatRequest } from "../../model/request.ts";
import { runFor } from "../interrupt.ts";
import { isPattern } from "../pattern.ts";
import { languageOf, languages } from "./language.ts";
import { estimatedTokens, hasImages, type RouteView } from "./view.ts";
import { offersTools } from "../tools/tools.ts";

const tokens = z.int().min(0);

/** One value or several of which one must fit. */
function some<T extends z.ZodType>(of: T) {
  return z.union([of, z.array(of).min(1)]);
}

export const when = z
  .strictObject({
    tokens: z
      .strictObject({ min: tokens.optional(), max: tokens.optional() })
      .refine(({ min = 0, max = Infinity }) => min <= max, { error: "min is above max" })
      .optional()
      .describe("Size of the conversation in tokens, estimated, both bounds included."),
    language: some(z.enum(languages))
      .optional()
      .describe("Of the deciding message: by script and common words; `unknown` where that does not tell."),
    tools: z.boolean().optional().describe("Whether the request offers tools."),
    images: z.boolean().optional().describe("Whether the conversation has images."),
    schema: z.boolean().optional().describe("Whether the request asks for JSON by `response_format`."),
    header: z
      .record(z.string().regex(/^x-[a-z0-9-]+$/, { error: "expected the name of an x- header in small letters" }), some(z.string()))
      .optional()
      .describe("Values of headers of the client's, by name; all named must fit."),
    key: some(z.string().min(1)).optional().describe("Name of the key that asks."),
    text: z
      .string()
      .refine(isPattern, { error: "expected a regular expression" })
      .optional()
      .describe("A regular expression that the deciding message contains; case does not matter."),
  })
  .refine((own) => Object.values(own).some((value) => value !== undefined), { error: "a rule needs a condition" })
  .describe("All that is named must hold.");

export type When = z.output<typeof when>;

/** What rules heed of a request beside its fields. */
export function heededBy(rules: readonly When[]): Heeds {
  return {
    headers: rules.flatMap(({ header }) => Object.keys(header ?? {})),
    principal: rules.some(({ key }) => key !== undefined),
  };
}

/** What rules look at. */
export interface Shown {
  readonly request: ChatRequest;
  readonly view: RouteView;
  readonly call: Pick<Call, "principal" | "header" | "trace">;
}

/** A request at a route. */
export interface Asked extends Shown {
  readonly call: Call;
}

/** How much of a message a pattern sees, and for how long: an operator's pattern must not stop the process on a client's text. */
const LENGTH = 20_000;
const PATTERN_MS = 250;
/** Without these a pattern looks at each place of a text a bounded number of times. */
const REPEATS = /[*+{]|\\[1-9k]/;

type Test = (shown: Shown) => boolean;

function isOneOf(given: string | readonly string[]): (value: string | undefined) => boolean {
  const allowed = new Set(typeof given === "string" ? [given] : given);
  return (value) => value !== undefined && allowed.has(value);
}

function matches(source: string): Test {
  const pattern = new RegExp(source, "i");
  const repeats = REPEATS.test(source);
  return ({ view, call }) => {
    const text = view.text.slice(0, LENGTH);
    if (!repeats) return pattern.test(text);
    const run = runFor(PATTERN_MS, () => pattern.test(text));
    if (run.done) return run.value;
    call.trace.warnings.push(`route: the pattern ${JSON.stringify(source)} took too long, so its rule did not hold`);
    return false;
  };
}

function asksForJson({ body }: ChatRequest): boolean {
  const type = body.response_format?.type;
  return type === "json_schema" || type === "json_object";
}

function testsOf({ tokens: size, language, tools, images, schema, header, key, text }: When): readonly Test[] {
  const tests: Test[] = [];
  if (tools !== undefined) tests.push(({ request }) => offersTools(request) === tools);
  if (schema !== undefined) tests.push(({ request }) => asksForJson(request) === schema);
  if (images !== undefined) tests.push(({ view }) => hasImages(view.messages) === images);
  if (key !== undefined) {
    const fits = isOneOf(key);
    tests.push(({ call }) => fits(call.principal.name));
  }
  for (const [name, values] of Object.entries(header ?? {})) {
    const fits = isOneOf(values);
    tests.push(({ call }) => fits(call.header?.(name)));
  }
  if (size) {
    const { min = 0, max = Infinity } = size;
    tests.push(({ view }) => {
      const estimate = estimatedTokens(view.messages);
      return estimate >= min && estimate <= max;
    });
  }
  if (language !== undefined) {
    const fits = isOneOf(language);
    tests.push(({ view }) => fits(languageOf(view.text)));
  }
  if (text !== undefined) tests.push(matches(text));
  return tests;
}

/** A rule's condition, the cheap tests first. */
export function conditionOf(own: When): Test {
  const tests = testsOf(own);
  return (shown) => tests.every((test) => test(shown));
}
