import * as z from "zod";
import { defineProvider, type Capabilities } from "./define.ts";
import { demoModels, isDemoModel } from "./demo-answer.ts";
import { demoLeaf } from "./demo-leaf.ts";
import { demoEmbedder, demoReranker } from "./demo-words.ts";

const capabilities: Capabilities = { schema: true, tools: true, logprobs: true };

/** Models that need no key. What they say is simulated; it costs nothing, so there is no price list. */
export const demo = defineProvider({
  kind: "demo",
  summary: "Simulated models without a key: arithmetic, a small quiz with errors, tools and schemas; what they do not know they echo.",
  options: z.strictObject({
    firstTokenMs: z.number().min(0).default(120).describe("Until the first token of an answer."),
    tokensPerSecond: z.number().min(0).default(60).describe("From there on; 0 is as fast as it goes."),
  }),
  build: (pace, site) => ({
    own: demoModels,
    chat: (model) => demoLeaf(`${site.name}/${model}`, model, pace),
    embedder: (model) => demoEmbedder(`${site.name}/${model}`, pace),
    reranker: (model) => demoReranker(`${site.name}/${model}`, pace),
    capabilities: (model) => (isDemoModel(model) ? capabilities : {}),
  }),
});
