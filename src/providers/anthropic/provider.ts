import type { Call, Timeouts } from "../../model/call.ts";
import { readAnswer } from "./answer.ts";
import { withBetas } from "./betas.ts";
import type { ReaderContext } from "./ending.ts";
import { refusalError } from "./errors.ts";
import { traitsOf, type Traits } from "./models.ts";
import { writeRequest } from "./request.ts";
import { MessageStream } from "./stream.ts";
import type { Options } from "../anthropic.ts";
import type { Capabilities, ProviderInstance, ProviderSite } from "../define.ts";
import { CallMemory } from "../translate/call-memory.ts";
import { TranslatedLeaf, type Codec } from "../translate/leg.ts";
import type { Thought } from "../translate/reasoning.ts";

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

/** Switches on what the API calls betas. */
const BETA = "anthropic-beta";

/** The provider of one address and key. */
export function build(given: Options, site: ProviderSite): ProviderInstance {
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
      const reading = (call: Call): ReaderContext => ({
        upstream: name,
        answer: call.identity.id,
        keep(ids, thoughts) {
          if (thoughts.length > 0) for (const id of ids) remembered(call).keep(id, thoughts);
        },
      });
      const codec: Codec = {
        write(request, call) {
          const recall = (id: string) => remembered(call).recall(id);
          const written = writeRequest(request, call, { upstream: name, model, traits: known, recall });
          return { path, headers: withBetas(headers, call.header?.(BETA)), ...written };
        },
        whole: (bytes, call) => readAnswer(bytes, reading(call)),
        stream: (call) => new MessageStream(reading(call)),
        streamType: "text/event-stream",
        refusal: (refusal) => refusalError(name, refusal),
      };
      return new TranslatedLeaf({ name, pool, timeouts: given.timeouts satisfies Timeouts, codec });
    },
    capabilities: (model) => capabilitiesOf(traits(model, given)),
    heeds: { headers: [BETA] },
    ...(isTheirs ? { pricedAs: "anthropic" } : {}),
  };
}
