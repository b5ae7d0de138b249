import * as z from "zod";
import type { Call, Timeouts } from "../model/call.ts";
import { readAnswer } from "./anthropic/answer.ts";
import { withBetas } from "./anthropic/betas.ts";
import type { Keep } from "./anthropic/ending.ts";
import { refusalError } from "./anthropic/errors.ts";
import { traitsOf, type Traits } from "./anthropic/models.ts";
import { writeRequest } from "./anthropic/request.ts";
import { MessageStream } from "./anthropic/stream.ts";
import { defineProvider, type Capabilities } from "./define.ts";
import { CallMemory } from "./translate/call-memory.ts";
import { TranslatedLeaf, type Codec } from "./translate/leg.ts";
import type { Thought } from "./translate/reasoning.ts";

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
  baseUrl: z
    .url({ protocol: /^https?$/ })
    .default("https://api.anthropic.com/v1")
    .describe("Up to and with `/v1`."),
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
  headers: z
    .record(z.string().regex(/^[\w-]+$/), z.string().regex(/^[\t\x20-\x7e]*$/))
    .default({})
    .describe("Added to every request, such as `anthropic-beta`."),
  timeouts,
});

type Options = z.output<typeof options>;

/** The first version of the API that refuses `temperature`, `top_p` and `top_k`. */
const WITHOUT_SAMPLING = "2026-10-21";

function traits(model: string, { version, maxTokens, thinking }: Options): Traits {
  const known = traitsOf(model);
  return {
    ...known,
    sampling: known.sampling && version < WITHOUT_SAMPLING,
    maxTokens: maxTokens ?? known.maxTokens,
    thinking: thinking ?? known.thinking,
  };
}

function headersOf({ apiKey, version, headers }: Options): readonly string[] {
  const flat = ["content-type", "application/json", "accept", "application/json, text/event-stream", "accept-encoding", "identity"];
  flat.push("anthropic-version", version);
  if (apiKey !== undefined) flat.push("x-api-key", apiKey);
  for (const [name, value] of Object.entries(headers)) flat.push(name.toLowerCase(), value);
  return flat;
}

function capabilitiesOf({ schema }: Traits): Capabilities {
  return { ...(schema === undefined ? {} : { schema }), tools: true, images: true, logprobs: false, choices: "one" };
}

/** The Messages API, as Anthropic and some other servers speak it. */
export const anthropic = defineProvider({
  kind: "anthropic",
  summary: "The Anthropic Messages API.",
  options,
  build(given, site) {
    const url = new URL(given.baseUrl);
    const path = `${url.pathname.replace(/\/+$/, "")}/messages${url.search}`;
    const headers = headersOf(given);
    const pool = site.pools.of(url.origin);
    const memory = new CallMemory<readonly Thought[]>((thoughts) => JSON.stringify(thoughts).length);
    const isTheirs = url.hostname === "api.anthropic.com";
    return {
      chat(model) {
        const name = `${site.name}/${model}`;
        const known = traits(model, given);
        // A model takes back its own thoughts only.
        const remembered = (call: Call) => memory.of(JSON.stringify([call.principal.name, model]));
        const keeping =
          (call: Call): Keep =>
          (ids, thoughts) => {
            if (thoughts.length > 0) for (const id of ids) remembered(call).keep(id, thoughts);
          };
        const codec: Codec = {
          write(request, call) {
            const recall = (id: string) => remembered(call).recall(id);
            const written = writeRequest(request, call, { upstream: name, model, traits: known, recall });
            return { path, headers: withBetas(headers, call.header?.("anthropic-beta")), ...written };
          },
          whole: (bytes, call) => readAnswer(bytes, name, keeping(call)),
          stream: (call) => new MessageStream(name, keeping(call)),
          streamType: "text/event-stream",
          refusal: (refusal) => refusalError(name, refusal),
        };
        return new TranslatedLeaf({ name, pool, timeouts: given.timeouts satisfies Timeouts, codec });
      },
      capabilities: (model) => capabilitiesOf(traits(model, given)),
      ...(isTheirs ? { pricedAs: "anthropic" } : {}),
    };
  },
});
