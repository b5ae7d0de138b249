import type { Options } from "../bedrock.ts";
import type { ProviderInstance, ProviderSite } from "../define.ts";
import { CallMemory } from "../translate/call-memory.ts";
import { TranslatedLeaf } from "../translate/leg.ts";
import type { Thought } from "../translate/reasoning.ts";
import { converseCodec, type Wiring } from "./codec.ts";
import { signatureHeaders, type Credentials } from "./sign.ts";

function baseOf(region: string): string {
  return `https://bedrock-runtime.${region}.amazonaws.com${region.startsWith("cn-") ? ".cn" : ""}`;
}

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

/** The provider of one region and its credentials. */
export function build(given: Options, site: ProviderSite): ProviderInstance {
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
}
