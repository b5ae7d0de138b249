import * as z from "zod";
import { converseCodec, type Wiring } from "./bedrock/codec.ts";
import { signatureHeaders, type Credentials } from "./bedrock/sign.ts";
import { defineProvider } from "./define.ts";
import { CallMemory } from "./translate/call-memory.ts";
import { TranslatedLeaf } from "./translate/leg.ts";
import type { Thought } from "./translate/reasoning.ts";

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
    baseUrl: z
      .url({ protocol: /^https?$/ })
      .optional()
      .describe("Instead of the public address of the region, such as that of a private endpoint."),
    headers: z
      .record(z.string().regex(/^[\w-]+$/), z.string().regex(/^[\t\x20-\x7e]*$/))
      .default({})
      .describe("Added to every request."),
    timeouts,
  })
  .refine(({ accessKeyId, secretAccessKey }) => (accessKeyId === undefined) === (secretAccessKey === undefined), {
    error: "accessKeyId and secretAccessKey belong together",
  })
  .refine(({ apiKey, accessKeyId }) => (apiKey === undefined) !== (accessKeyId === undefined), {
    error: "needs an apiKey, or accessKeyId and secretAccessKey, and not both",
  });

function baseOf(region: string): string {
  return `https://bedrock-runtime.${region}.amazonaws.com${region.startsWith("cn-") ? ".cn" : ""}`;
}

type Options = z.output<typeof options>;

/** The fixed headers of a request, and how it is signed. Further headers of AWS have to be signed too. */
function authorised(
  { region, apiKey, accessKeyId, secretAccessKey, sessionToken, headers: extra }: Options,
  origin: string,
): Omit<Wiring, "base" | "memory"> {
  const given = Object.entries(extra).map(([name, value]) => [name.toLowerCase(), value] as const);
  const fixed = [
    "content-type",
    "application/json",
    "accept",
    "application/vnd.amazon.eventstream, application/json",
    "accept-encoding",
    "identity",
  ];
  if (accessKeyId === undefined || secretAccessKey === undefined) {
    return { headers: [...fixed, "authorization", `Bearer ${apiKey}`, ...given.flat()] };
  }
  const credentials: Credentials = { accessKeyId, secretAccessKey, sessionToken };
  const headers = Object.fromEntries(given.filter(([name]) => name.startsWith("x-amz")));
  return {
    headers: [...fixed, ...given.filter(([name]) => headers[name] === undefined).flat()],
    sign: (path, bytes, wallMs) => signatureHeaders(path, bytes, wallMs, { credentials, region, origin, headers }),
  };
}

/** Amazon Bedrock, by its Converse API. */
export const bedrock = defineProvider({
  kind: "bedrock",
  summary: "Amazon Bedrock, by its Converse API; signed, or with an API key.",
  options,
  build(given, site) {
    const { region, baseUrl = baseOf(region), timeouts } = given;
    const { origin, pathname } = new URL(baseUrl);
    const pool = site.pools.of(origin);
    const wiring: Wiring = {
      ...authorised(given, origin),
      base: pathname.replace(/\/+$/, ""),
      memory: new CallMemory<readonly Thought[]>((thoughts) => JSON.stringify(thoughts).length),
    };
    return {
      chat(model) {
        const name = `${site.name}/${model}`;
        return new TranslatedLeaf({ name, pool, timeouts, codec: converseCodec(model, name, wiring) });
      },
      capabilities: () => ({ logprobs: false, audio: false, choices: "one" }),
      pricedAs: "aws",
    };
  },
});
