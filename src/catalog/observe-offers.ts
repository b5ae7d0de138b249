import { enter, type Call } from "../model/call.ts";
import { collect } from "../model/collect.ts";
import { toGatewayError } from "../model/errors.ts";
import type { Embedder, Reranker } from "../model/leaves.ts";
import type { Model } from "../model/model.ts";
import { ownRequest, type ChatRequest } from "../model/request.ts";
import type { Batched } from "../providers/define.ts";

/** What leaves may offer besides chat, by name. */
export interface Offers {
  readonly embedder: Embedder;
  readonly reranker: Reranker;
}

export type Offer = keyof Offers;

/** Puts round a leaf what stands round every leaf: retries, attempts, and the place that reserves, settles and records. */
export type Frame = (leaf: Model) => Model;

/** One upstream call for one result per text. */
type Ask<Result> = (given: { readonly query: string; readonly texts: readonly string[] }, call: Call) => Promise<readonly Result[]>;

/**
 * The call as a model, so that it goes through the very frames of chat: its result is an answer without choices. `max_tokens` tells whoever
 * reserves that nothing is written.
 */
function asModel<Result>(name: string, ask: Ask<Result>): Model {
  return {
    name,
    async *stream({ body }, call) {
      const { query, texts } = body as unknown as { readonly query: string; readonly texts: readonly string[] };
      let results: readonly Result[];
      try {
        results = await ask({ query, texts }, call);
      } catch (thrown) {
        throw toGatewayError(thrown, call.signal);
      }
      const { usage, estimated } = call.span;
      yield { type: "finish", completion: { choices: [], extra: { results }, ...(usage && estimated === false ? { usage } : {}) } };
    },
  };
}

function requestFor(model: string, query: string, texts: readonly string[]): ChatRequest {
  return ownRequest({ model, messages: [], max_tokens: 0, query, texts });
}

/** Asks for as many texts at once as the upstream takes; each call of several has a span and attempts of its own. */
function inBatches<Result>(name: string, most: number, model: Model) {
  const one = async (query: string, texts: readonly string[], call: Call): Promise<readonly Result[]> => {
    const { extra } = await collect(model.stream(requestFor(name, query, texts), call));
    return extra?.["results"] as readonly Result[];
  };
  return async (query: string, texts: readonly string[], call: Call): Promise<readonly Result[]> => {
    const whole: Call = { ...call, delivery: "unary" };
    if (texts.length <= most) return texts.length === 0 ? [] : one(query, texts, whole);
    const { span, clock } = call;
    Object.assign(span, { node: name, kind: "batches", status: "failed" });
    try {
      const results: Result[] = [];
      for (let from = 0; from < texts.length; from += most) {
        const inner = enter(whole, { label: `batch ${from / most + 1}`, member: true });
        results.push(...(await one(query, texts.slice(from, from + most), inner)));
      }
      span.status = "ok";
      return results;
    } finally {
      span.endMs = clock.now();
    }
  };
}

export function embedderOver(inner: Batched<Embedder> | undefined, frame: Frame): Embedder | undefined {
  if (!inner) return undefined;
  const { name, most } = inner;
  const ask = inBatches<Float32Array>(name, most, frame(asModel(name, ({ texts }, call) => inner.embed(texts, call))));
  return { name, embed: (texts, call) => ask("", texts, call) };
}

export function rerankerOver(inner: Batched<Reranker> | undefined, frame: Frame): Reranker | undefined {
  if (!inner) return undefined;
  const { name, most } = inner;
  const ask = inBatches<number>(name, most, frame(asModel(name, ({ query, texts }, call) => inner.rerank(query, texts, call))));
  return { name, rerank: ask };
}
