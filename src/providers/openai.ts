import * as z from "zod";
import type { Signal } from "../model/abort.ts";
import type { Timeouts } from "../model/call.ts";
import type { Passage } from "../model/leaves.ts";
import { baseUrl } from "./base-url.ts";
import { defineProvider, type Capabilities } from "./define.ts";
import { ownHeaders } from "./headers.ts";
import { dialects, type Dialect, type DialectName } from "./openai/dialects.ts";
import { embeddingsLeaf } from "./openai/embeddings.ts";
import { CompletionsLeaf } from "./openai/completions.ts";
import { OpenAiLeaf } from "./openai/leaf.ts";
import { jina, rerankLeaf } from "./openai/rerank.ts";
import { passageLeaf } from "./openai/passage.ts";
import { probeServer } from "./openai/probe.ts";
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
  baseUrl: baseUrl.optional().describe("Up to and with `/v1`. Each dialect knows its own."),
  dialect: z.enum(names).optional().describe("Which server speaks there; what differs between servers is data."),
  headers: ownHeaders.describe("Added to every request."),
  timeouts,
});

const keyHeaders = /^(?:authorization|api-key|x-api-key)$/i;

function guessed(baseUrl: string | undefined): DialectName {
  if (baseUrl === undefined) return "openai";
  const { hostname } = new URL(baseUrl);
  return names.find((name) => isHostOf(dialects[name], hostname)) ?? "generic";
}

/** What is likely forgotten. */
function adviceOf(dialect: Dialect, { url, isKeyed }: { readonly url: URL; readonly isKeyed: boolean }): readonly string[] {
  const advice: string[] = [];
  if (url.pathname === "/" && !dialect.rerank && !isHostOf(dialect, url.hostname))
    advice.push("its baseUrl has no path, and most servers have their API under /v1");
  if (!isKeyed && isHostOf(dialect, url.hostname)) advice.push("it has no apiKey, and this server wants one");
  return advice;
}

/** The public host of a dialect; a server on a usual local port is not recognised by its address. */
function hostOf(dialect: Dialect): string | undefined {
  return dialect.baseUrl?.startsWith("https:") ? new URL(dialect.baseUrl).hostname : undefined;
}

function isHostOf(dialect: Dialect, hostname: string): boolean {
  return hostname === hostOf(dialect) || dialect.hosts?.test(hostname) === true;
}

/** A name as one segment of a path; one of dots would lead elsewhere. */
function segment(name: string): string {
  return /^\.+$/.test(name) ? name.replaceAll(".", "%2E") : encodeURIComponent(name);
}

/** The addresses of a model's endpoints, below the base of its provider. */
function addressOf({ modelPath = "", query }: Dialect, url: URL): (path: string, model: string) => string {
  const base = url.pathname.replace(/\/+$/, "");
  const search = url.search === "" && query !== undefined ? `?${query}` : url.search;
  return (path, model) => (path.startsWith("/") ? path : `${base}/${modelPath.replace("{model}", () => segment(model))}${path}`) + search;
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
    ...dialect.can,
    ...(dialect.singleChoice ? { choices: "one" as const } : {}),
  };
}

/** Models of OpenAI's that complete text and can not chat. */
const textOnly = /^(?:gpt-3\.5-turbo-instruct|babbage-002|davinci-002)/;

/** Where bodies of an endpoint go as they are; undefined where they can not. */
function pathOf({ completions, embeddings, rerank = jina, moderations }: Dialect, endpoint: Passage, model: string): string | undefined {
  const has = {
    completions: completions ?? textOnly.test(model),
    embeddings: embeddings !== false,
    moderations: moderations !== false,
    rerank: rerank === jina,
  };
  return has[endpoint] ? endpoint : undefined;
}

/** The OpenAI chat API, as OpenAI and as many other servers speak it. */
export const openai = defineProvider({
  kind: "openai",
  dialects: Object.keys(dialects),
  summary: "The OpenAI chat API; `dialect` names the server.",
  options,
  build({ apiKey, baseUrl, dialect: named, headers, timeouts }, site) {
    const dialect: Dialect = dialects[named ?? guessed(baseUrl)];
    const base = baseUrl ?? dialect.baseUrl;
    if (base === undefined) throw new Error(`provider "${site.name}" needs a baseUrl`);
    const url = new URL(base);
    const upstreamOf = (model: string) => `${site.name}/${model}`;
    const to = addressOf(dialect, url);
    const wire = { pool: site.pools.of(url.origin), headers: headersOf(dialect, apiKey, headers), timeouts: timeouts satisfies Timeouts };
    const shared = { ...wire, writer: requestWriter(dialect, upstreamOf) };
    const { embeddings, rerank = jina, telling } = dialect;
    return {
      chat: (model) => new OpenAiLeaf({ ...shared, path: to("chat/completions", model), name: upstreamOf(model), model }),
      ...(embeddings === false
        ? {}
        : {
            embedder: (model: string) =>
              embeddingsLeaf(
                { ...wire, path: to("embeddings", model), name: upstreamOf(model) },
                { model, base64: embeddings === "base64" },
              ),
          }),
      ...(rerank === false
        ? {}
        : {
            reranker: (model: string) =>
              rerankLeaf({ ...wire, path: to(rerank.path, model), name: upstreamOf(model) }, { model, wire: rerank }),
          }),
      passage: (endpoint, model) => {
        const name = upstreamOf(model);
        const options = { model, writer: shared.writer };
        const path = pathOf(dialect, endpoint, model);
        if (path === undefined) return undefined;
        const at = { ...wire, path: to(path, model), name };
        return endpoint === "completions"
          ? new CompletionsLeaf(at, { ...options, refused: dialect.unread ?? [] })
          : passageLeaf(at, { ...options, isFloatOnly: embeddings !== "base64" });
      },
      capabilities: () => capabilitiesOf(dialect),
      advice: adviceOf(dialect, { url, isKeyed: apiKey !== undefined || Object.keys(headers).some((name) => keyHeaders.test(name)) }),
      ...(telling === undefined
        ? {}
        : {
            probe: (signal: Signal) => {
              const { pool, headers } = wire;
              return probeServer(telling, {
                name: site.name,
                pool,
                base: url.pathname.replace(/\/+$/, ""),
                headers,
                clock: site.clock,
                signal,
              });
            },
          }),
      ...(dialect.heedsMetadata ? { heeds: { metadata: "all" as const } } : {}),
      ...(dialect.pricedAs === undefined ? {} : { pricedAs: dialect.pricedAs }),
    };
  },
});
