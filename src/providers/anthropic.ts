import * as z from "zod";
import { baseUrl } from "./base-url.ts";
import { defineProvider } from "./define.ts";
import { ownHeaders } from "./headers.ts";

const timeouts = z
  .strictObject({
    connectMs: z.number().int().positive().default(5000).describe("Until a connection carries the request."),
    firstTokenMs: z.number().int().positive().default(120_000).describe("From there to the first token, or to the head of a whole answer."),
    idleMs: z.number().int().positive().default(60_000).describe("Between two reads; heartbeats of the upstream do not count."),
    totalMs: z.number().int().positive().default(600_000).describe("For the whole call."),
  })
  .prefault({});

const options = z.strictObject({
  apiKey: z
    .string()
    .trim()
    .regex(/^[\x21-\x7e]+$/)
    .optional()
    .describe("Sent to this provider and to nobody else, as `x-api-key`."),
  baseUrl: baseUrl.default("https://api.anthropic.com/v1").describe("Up to and with `/v1`."),
  version: z
    .string()
    .regex(/^\d{4}-\d{2}-\d{2}$/)
    .default("2023-06-01")
    .describe("`anthropic-version`. From 2026-10-21 on the API takes no sampling settings."),
  maxTokens: z
    .number()
    .int()
    .positive()
    .optional()
    .describe("What an answer may have when the request sets no bound; the API wants one. By default the most that the model may write."),
  thinking: z
    .enum(["none", "budget", "adaptive"])
    .optional()
    .describe("How `reasoning_effort` is told: not at all, as a budget of tokens, or as an effort. By default as the model takes it."),
  headers: ownHeaders.describe("Added to every request, such as `anthropic-beta`."),
  timeouts,
});

export type Options = z.output<typeof options>;

/** The Messages API, as Anthropic and some other servers speak it. */
export const anthropic = defineProvider({
  kind: "anthropic",
  summary: "The Anthropic Messages API.",
  options,
  // Loaded where a config has one: nobody else pays for it at the start.
  build: async (given, site) => (await import("./anthropic/provider.ts")).build(given, site),
});
