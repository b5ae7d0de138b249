import * as z from "zod";
import type { Timeouts } from "../model/call.ts";
import { defineProvider, type Capabilities } from "./define.ts";
import { dialects, type Dialect, type DialectName } from "./openai/dialects.ts";
import { embeddingsLeaf } from "./openai/embeddings.ts";
import { OpenAiLeaf } from "./openai/leaf.ts";
import { jina, rerankLeaf } from "./openai/rerank.ts";
import { requestWriter } from "./openai/request.ts";

const names = Object.keys(dialects) as [DialectName, ...DialectName[]];

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
    .describe("Sent to this provider and to nobody else."),
  baseUrl: z
    .url({ protocol: /^https?$/ })
    .optional()
    .describe("Up to and with `/v1`. Each dialect knows its own."),
  dialect: z.enum(names).optional().describe("Which server speaks there; what differs between servers is data."),
  headers: z
    .record(z.string().regex(/^[\w-]+$/), z.string().regex(/^[\t\x20-\x7e]*$/))
    .default({})
    .describe("Added to every request."),
  timeouts,
});

function guessed(baseUrl: string | undefined): DialectName {
  return baseUrl === undefined ? "openai" : (names.find((name) => new URL(baseUrl).hostname === hostOf(dialects[name])) ?? "generic");
}

/** The public host of a dialect; a server on a usual local port is not recognised by its address. */
function hostOf(dialect: Dialect): string | undefined {
  return dialect.baseUrl?.startsWith("https:") ? new URL(dialect.baseUrl).hostname : undefined;
}

function headersOf(dialect: Dialect, apiKey: string | undefined, extra: Readonly<Record<string, string>>): string[] {
  const headers = ["content-type", "application/json", "accept", "application/json, text/event-stream", "accept-encoding", "identity"];
  if (apiKey !== undefined) headers.push(...(dialect.keyHeader ? [dialect.keyHeader, apiKey] : ["authorization", `Bearer ${apiKey}`]));
  for (const [name, value] of Object.entries(extra)) headers.push(name.toLowerCase(), value);
  return headers;
}

function capabilitiesOf(dialect: Dialect): Capabilities {
  return {
    ...(dialect.schema === undefined ? {} : { schema: dialect.schema }),
    ...(dialect.logprobs === undefined ? {} : { logprobs: dialect.logprobs }),
    ...(dialect.singleChoice ? { choices: "one" as const } : {}),
  };
}

/** The OpenAI chat API, as OpenAI and as many other servers speak it. */
export const openai = defineProvider({
  kind: "openai",
  summary: "The OpenAI chat API; `dialect` names the server.",
  options,
  build({ apiKey, baseUrl, dialect: named, headers, timeouts }, site) {
    const dialect: Dialect = dialects[named ?? guessed(baseUrl)];
    const base = baseUrl ?? dialect.baseUrl;
    if (base === undefined) throw new Error(`provider "${site.name}" needs a baseUrl`);
    const url = new URL(base);
    const upstreamOf = (model: string) => `${site.name}/${model}`;
    const to = (path: string) => (path.startsWith("/") ? path : `${url.pathname.replace(/\/+$/, "")}/${path}`) + url.search;
    const wire = { pool: site.pools.of(url.origin), headers: headersOf(dialect, apiKey, headers), timeouts: timeouts satisfies Timeouts };
    const shared = { ...wire, path: to("chat/completions"), writer: requestWriter(dialect, upstreamOf) };
    const { embeddings, rerank = jina } = dialect;
    return {
      chat: (model) => new OpenAiLeaf({ ...shared, name: upstreamOf(model), model }),
      ...(embeddings === false
        ? {}
        : {
            embedder: (model: string) =>
              embeddingsLeaf({ ...wire, path: to("embeddings"), name: upstreamOf(model) }, { model, base64: embeddings === "base64" }),
          }),
      ...(rerank === false
        ? {}
        : {
            reranker: (model: string) => rerankLeaf({ ...wire, path: to(rerank.path), name: upstreamOf(model) }, { model, wire: rerank }),
          }),
      capabilities: () => capabilitiesOf(dialect),
      ...(dialect.pricedAs === undefined ? {} : { pricedAs: dialect.pricedAs }),
    };
  },
});
