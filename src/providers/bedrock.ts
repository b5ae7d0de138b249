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

const secret = z
  .string()
  .trim()
  .regex(/^[\x21-\x7e]+$/);

const options = z
  .strictObject({
    region: z
      .string()
      .regex(/^[a-z]{2}(?:-[a-z0-9]+)+$/)
      .describe("Such as `us-east-1`: where the models run, and what signatures are for."),
    apiKey: secret.optional().describe("A Bedrock API key, sent as it is instead of a signature."),
    accessKeyId: secret.optional().describe("With `secretAccessKey`: requests are signed."),
    secretAccessKey: secret.optional(),
    sessionToken: secret.optional().describe("Of temporary credentials."),
    baseUrl: baseUrl.optional().describe("Instead of the public address of the region, such as that of a private endpoint."),
    headers: ownHeaders.describe("Added to every request."),
    timeouts,
  })
  .refine(({ accessKeyId, secretAccessKey }) => (accessKeyId === undefined) === (secretAccessKey === undefined), {
    error: "accessKeyId and secretAccessKey belong together",
  })
  .refine(({ apiKey, accessKeyId }) => (apiKey === undefined) !== (accessKeyId === undefined), {
    error: "needs an apiKey, or accessKeyId and secretAccessKey, and not both",
  });

export type Options = z.output<typeof options>;

/** Amazon Bedrock, by its Converse API. */
export const bedrock = defineProvider({
  kind: "bedrock",
  summary: "Amazon Bedrock, by its Converse API; signed, or with an API key.",
  options,
  // Loaded where a config has one: nobody else pays for it at the start.
  build: async (given, site) => (await import("./bedrock/provider.ts")).build(given, site),
});
