import * as z from "zod";
import type { Signal } from "../../model/abort.ts";
import { labelledLine, TableError } from "../../panel/route/labelled.ts";
import type { Decision } from "../../panel/route/memory.ts";
import { when, type Asked } from "../../panel/route/rules.ts";
import { node, OptionError, type Node } from "../define.ts";
import { role } from "../members.ts";

const on = z
  .enum(["turn", "conversation"])
  .default("turn")
  .describe("What decides: all up to the user's last message, or up to the first, so that a whole conversation stays with one model.");

const otherwise = node.optional().describe("Answers when nothing could be decided; the first member by default.");

const ttlSeconds = z
  .int()
  .min(0)
  .default(3600)
  .describe("How long a decision is kept for the same conversation of the same key; 0 is not.");

const deadlineMs = z.int().min(1).default(10_000).describe("After this the decision is not waited for.");

const paid = { on, else: otherwise, ttlSeconds, deadlineMs };

const name = z.string().min(1).optional().describe("What tables call it; the model's own name by default.");

const named = z.union([node, z.strictObject({ model: node, name })]);

const embedder = node.describe("A model that embeds.");

const byRules = z.strictObject({
  by: z.literal("rules"),
  rules: z
    .array(z.strictObject({ when, model: node }))
    .min(1)
    .max(256)
    .describe("The first rule that holds decides."),
  else: node.describe("Answers when no rule holds."),
  on,
});

const byPrompt = z.strictObject({
  by: z.literal("prompt"),
  members: z
    .array(z.strictObject({ model: node, name, description: z.string().min(1).describe("What it is good for, for the router to read.") }))
    .min(2)
    .max(26),
  router: role.describe("The model that picks. It is shown descriptions, never names."),
  ...paid,
});

export const NEIGHBOURS = 20;
export const CLUSTERS = 25;

const byEmbedding = z.strictObject({
  by: z.literal("embedding"),
  members: z.array(named).min(2).max(64),
  embedder,
  labelled: z
    .union([z.string().min(1), z.array(labelledLine).min(1)])
    .describe("A file of JSON lines {text, scores} or {text, best}, relative to the config file; or the lines themselves."),
  method: z.enum(["knn", "clusters"]).default("knn"),
  k: z.int().min(1).optional().describe(`For \`method: knn\`: neighbours whose grades are averaged, ${NEIGHBOURS} unless said.`),
  clusters: z.int().min(1).max(256).optional().describe(`For \`method: clusters\`: how many, ${CLUSTERS} unless said.`),
  alpha: z.number().min(0).max(1).default(1).describe("Weight of quality against cost; 1 looks at quality alone."),
  ...paid,
});

const byLearned = z
  .strictObject({
    by: z.literal("learned"),
    members: z.array(named).length(2).describe("The weak one, then the strong one."),
    embedder,
    table: z.string().min(1).describe("A router table, relative to the config file."),
    strongShare: z.number().min(0).max(1).optional().describe("Share of requests for the strong member, by the sample in the table."),
    threshold: z.number().min(0).max(1).optional().describe("Win rate of the strong member from which it answers."),
    ...paid,
  })
  .refine(({ strongShare, threshold }) => (strongShare === undefined) !== (threshold === undefined), {
    error: "needs either strongShare or threshold",
    path: ["strongShare"],
  });

export const options = z.discriminatedUnion("by", [byRules, byPrompt, byEmbedding, byLearned]);

export type RouteOptions = z.output<typeof options>;
export type RulesOptions = z.output<typeof byRules>;
export type PromptOptions = z.output<typeof byPrompt>;
export type EmbeddingOptions = z.output<typeof byEmbedding>;
export type LearnedOptions = z.output<typeof byLearned>;
/** The ways to decide that ask a model. */
export type PaidOptions = Exclude<RouteOptions, RulesOptions>;
export type RouteMember = PaidOptions["members"][number];

/** Makes a decision; `signal` ends when it is no longer waited for. A failure is a value. */
export type Decide = (asked: Asked, signal: Signal) => Promise<Decision>;

export function isNode(given: RouteMember): given is Node {
  return typeof given === "string" || "kind" in given;
}

/** The node of a member, without its name. */
export function modelOf(given: RouteMember): Node {
  return isNode(given) ? given : given.model;
}

/** Runs a reader of a file, and tells what is wrong with the file at the option that names it. */
export function reading<T>(at: string, read: () => T): T {
  try {
    return read();
  } catch (thrown) {
    if (thrown instanceof TableError) throw new OptionError(at, thrown.message);
    throw thrown;
  }
}
