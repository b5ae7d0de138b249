import * as z from "zod";

/** What any node and any provider may have beside the options of its kind. */

const nodeBudget = z
  .strictObject({
    usd: z.number().positive().exactOptional().describe("US dollars that the calls below may cost together."),
    calls: z.number().int().positive().exactOptional().describe("Upstream calls."),
    tokens: z.number().int().positive().exactOptional().describe("Prompt and completion tokens together."),
    ms: z.number().positive().exactOptional().describe("Milliseconds until whatever still runs is stopped."),
  })
  .describe("What one request may spend below this node.");

export type NodeBudget = z.output<typeof nodeBudget>;

const nodePrompts = z
  .record(z.string(), z.string().min(1))
  .describe("Files that replace the prompts of this kind, by name; relative to the config file.");

/** Keys of every node that are not options of its kind. */
export const nodeCommon = z.strictObject({
  budget: nodeBudget.exactOptional(),
  prompts: nodePrompts.exactOptional(),
});

const modelPrice = z
  .strictObject({
    in: z.number().nonnegative().describe("Per million prompt tokens."),
    out: z.number().nonnegative().describe("Per million completion tokens."),
    cachedIn: z
      .number()
      .nonnegative()
      .exactOptional()
      .describe("Per million prompt tokens that the upstream had cached; `in` when absent."),
  })
  .describe("US dollars per million tokens.");

/** US dollars per million tokens. */
export type Price = z.output<typeof modelPrice>;

const can = (what: string) => z.boolean().exactOptional().describe(what);

const modelCapabilities = z
  .strictObject({
    schema: can("Enforces a JSON Schema by itself."),
    tools: can("Calls tools."),
    logprobs: can("Tells log-probabilities."),
    images: can("Sees images."),
    audio: can("Hears and speaks."),
    files: can("Reads documents."),
    continuation: can("Goes on with an assistant's message that stands last."),
    tokenise: can("Tells its tokens without generating any."),
    adapters: can("Takes adapters with a request."),
    contextLength: z.int().min(1).exactOptional().describe("Tokens of prompt and answer together."),
    maxOutput: z.int().min(1).exactOptional().describe("The most tokens that it writes."),
    choices: z.literal("one").exactOptional().describe("Has no `n`: independent runs instead."),
  })
  .describe("What a model can do. What is left out stays as it is known; what nobody knows counts as able.");

/** Keys of every provider that are not options of its kind. */
export const providerCommon = z.strictObject({
  capabilities: z
    .record(z.string(), modelCapabilities)
    .default({})
    .describe('What its models can do, by model; "*" is every model. They win over what is known of them.'),
  probe: z.boolean().default(true).describe("Ask it after the start what its models can do, where its dialect tells that for nothing."),
  prices: z.record(z.string(), modelPrice).default({}).describe("Prices by model; they win over the price list."),
  models: z
    .union([z.literal("*"), z.array(z.string().min(1))], {
      error: 'expected a list of model names, or "*"',
    })
    .exactOptional()
    .describe('What it serves. "*", the default, takes any name that a client asks for.'),
  retry: z
    .looseObject({
      attempts: z.number().int().min(1).default(2).describe("Counting the first; 1 is no retry."),
    })
    .prefault({})
    .describe("A `retry` node round each of its models."),
});

export type ProviderCommon = z.output<typeof providerCommon>;

/** Splits a map into the keys of a strict schema and the rest. */
export function splitKeys(map: Readonly<Record<string, unknown>>, schema: z.ZodObject): { readonly common: object; readonly rest: object } {
  const entries = Object.entries(map);
  const isCommon = ([key]: [string, unknown]) => Object.hasOwn(schema.shape, key);
  return {
    common: Object.fromEntries(entries.filter(isCommon)),
    rest: Object.fromEntries(entries.filter((entry) => !isCommon(entry))),
  };
}
