import * as z from "zod";
import { baseUrl } from "./base-url.ts";
import { defineProvider } from "./define.ts";
import { ownHeaders } from "./headers.ts";

const timeouts = z
  .strictObject({
    connectMs: z.number().int().positive().default(5000).describe("Until a connection carries the request."),
    firstTokenMs: z.number().int().positive().default(120_000).describe("From there to the first token, or to the head of a whole answer."),
    idleMs: z.number().int().positive().default(60_000).describe("Between two reads."),
    totalMs: z.number().int().positive().default(600_000).describe("For the whole call."),
  })
  .prefault({});

const options = z.strictObject({
  apiKey: z
    .string()
    .trim()
    .regex(/^[\x21-\x7e]+$/)
    .optional()
    .describe("Sent to this provider and to nobody else, in a header."),
  baseUrl: baseUrl.default("https://generativelanguage.googleapis.com/v1beta").describe("Up to and with the version."),
  headers: ownHeaders.describe("Added to every request."),
  timeouts,
});

export type Options = z.output<typeof options>;

/** The API of Gemini, as Google speaks it: `generateContent`. */
export const gemini = defineProvider({
  kind: "gemini",
  summary: "Google's Gemini API, by its own dialect.",
  options,
  // Loaded where a config has one: nobody else pays for it at the start.
  build: async (given, site) => (await import("./gemini/provider.ts")).build(given, site),
});
