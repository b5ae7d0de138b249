import * as z from "zod";
import { GatewayError } from "../model/errors.ts";
import { readWhole } from "./bedrock/answer.ts";
import { refusalError } from "./bedrock/errors.ts";
import { familyOf } from "./bedrock/families.ts";
import { writeRequest } from "./bedrock/request.ts";
import { signatureHeaders, type SignOptions } from "./bedrock/sign.ts";
import { ConverseStream } from "./bedrock/stream.ts";
import { defineProvider } from "./define.ts";
import { CallMemory } from "./translate/call-memory.ts";
import { TranslatedLeaf, type Codec } from "./translate/leg.ts";
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

/** Headers by their lower-case names; those of AWS are signed where requests are. */
function lowerCase(headers: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
}

type Signing = Pick<SignOptions, "credentials"> | undefined;

/** Amazon Bedrock, by its Converse API. */
export const bedrock = defineProvider({
  kind: "bedrock",
  summary: "Amazon Bedrock, by its Converse API; signed, or with an API key.",
  options,
  build({ region, apiKey, accessKeyId, secretAccessKey, sessionToken, baseUrl = baseOf(region), headers: extra, timeouts }, site) {
    const url = new URL(baseUrl);
    const { origin } = url;
    const base = url.pathname.replace(/\/+$/, "");
    const pool = site.pools.of(origin);
    const fixed = Object.entries({
      "content-type": "application/json",
      accept: "application/vnd.amazon.eventstream, application/json",
      "accept-encoding": "identity",
      ...(apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` }),
      ...lowerCase(extra),
    });
    const signing: Signing =
      accessKeyId === undefined || secretAccessKey === undefined
        ? undefined
        : { credentials: { accessKeyId, secretAccessKey, sessionToken } };
    const isSigned = ([name]: readonly [string, string]) => signing !== undefined && name.startsWith("x-amz");
    const plain = fixed.filter((header) => !isSigned(header)).flat();
    const signed = Object.fromEntries(fixed.filter(isSigned));

    const memory = new CallMemory<readonly Thought[]>((thoughts) => JSON.stringify(thoughts).length);

    const codecOf = (model: string, name: string, format = familyOf(model).thoughts): Codec => ({
      streamType: "application/vnd.amazon.eventstream",
      async write(request, call) {
        // A path of dots would lead elsewhere.
        if (/^\.+$/.test(model)) throw new GatewayError("upstream_model_not_found", `${name} does not exist.`, { upstream: name });
        const { bytes, dropped } = writeRequest(request, { model, upstream: name, memory: memory.of(call.principal.name) });
        const path = `${base}/model/${encodeURIComponent(model)}/converse${call.delivery === "unary" ? "" : "-stream"}`;
        const own = signing ? await signatureHeaders(path, bytes, call.clock.wall(), { ...signing, region, origin, headers: signed }) : [];
        return {
          path,
          headers: [...plain, ...own],
          bytes,
          warnings: dropped.map((field) => `does not take "${field}"; it was left out`),
        };
      },
      whole: (bytes, { principal }) => readWhole(bytes, { upstream: name, format, memory: memory.of(principal.name) }),
      stream: ({ principal }) => new ConverseStream({ upstream: name, format, memory: memory.of(principal.name) }),
      refusal: (refused) => refusalError(name, refused),
    });
    const nameOf = (model: string) => `${site.name}/${model}`;
    return {
      chat: (model) => new TranslatedLeaf({ name: nameOf(model), pool, timeouts, codec: codecOf(model, nameOf(model)) }),
      capabilities: () => ({ logprobs: false, choices: "one" }),
      pricedAs: "aws",
    };
  },
});
