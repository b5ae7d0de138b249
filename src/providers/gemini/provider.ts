import type { Call } from "../../model/call.ts";
import type { Capabilities, ProviderInstance, ProviderSite } from "../define.ts";
import type { Options } from "../gemini.ts";
import { CallMemory } from "../translate/call-memory.ts";
import { TranslatedLeaf, type Codec } from "../translate/leg.ts";
import { refusalError } from "./errors.ts";
import { writeRequest } from "./request.ts";
import { readWhole, ResponseStream } from "./stream.ts";

function headersOf(apiKey: string | undefined, extra: Readonly<Record<string, string>>): readonly string[] {
  const headers = ["content-type", "application/json", "accept-encoding", "identity"];
  // Never in the URL, where Google takes it too: addresses are logged everywhere.
  if (apiKey !== undefined) headers.push("x-goog-api-key", apiKey);
  for (const [name, value] of Object.entries(extra)) headers.push(name.toLowerCase(), value);
  return headers;
}

/** A model's name as a path: `gemini-3-pro`, or with its own kind in front such as `tunedModels/mine`. */
function pathOf(model: string): string {
  // A segment of dots would lead elsewhere.
  const segment = (name: string) => (/^\.+$/.test(name) ? name.replaceAll(".", "%2E") : encodeURIComponent(name));
  const path = model.split("/").map(segment).join("/");
  return model.includes("/") ? path : `models/${path}`;
}

/** Of the Gemini models; the same API serves others, of which nobody knows. */
const capabilities: Capabilities = { schema: true, tools: true, images: true, files: true, logprobs: true };

/** The provider of one address and key. */
export function build({ apiKey, baseUrl, headers: extra, timeouts }: Options, site: ProviderSite): ProviderInstance {
  const url = new URL(baseUrl);
  const base = url.pathname.replace(/\/+$/, "");
  const headers = headersOf(apiKey, extra);
  const pool = site.pools.of(url.origin);
  const signatures = new CallMemory<string>((signature) => signature.length);
  const contextOf = (upstream: string, { identity, principal }: Call) => ({
    upstream,
    callId: identity.id,
    signatures: signatures.of(principal.name),
  });
  const codecOf = (model: string, name: string): Codec => ({
    streamType: "text/event-stream",
    write(request, call) {
      const { bytes, dropped } = writeRequest(request, { model, upstream: name, signatures: signatures.of(call.principal.name) });
      const method = call.delivery === "unary" ? "generateContent" : "streamGenerateContent?alt=sse";
      return {
        path: `${base}/${pathOf(model)}:${method}`,
        headers,
        bytes,
        warnings: dropped.map((field) => `does not take "${field}"; it was left out`),
      };
    },
    whole: (bytes, call) => readWhole(bytes, contextOf(name, call)),
    stream: (call) => new ResponseStream(contextOf(name, call)),
    refusal: (refused) => refusalError(name, refused),
  });
  const nameOf = (model: string) => `${site.name}/${model}`;
  return {
    chat: (model) => new TranslatedLeaf({ name: nameOf(model), pool, timeouts, codec: codecOf(model, nameOf(model)) }),
    capabilities: (model) => (model.startsWith("gemini") ? capabilities : {}),
    pricedAs: "google",
  };
}
