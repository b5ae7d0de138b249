import { GatewayError } from "../../model/errors.ts";
import type { Reranker } from "../../model/leaves.ts";
import type { Batched } from "../define.ts";
import { inOrder, isRecord, noteUsage, postJson, type Endpoint, type Json } from "./post-json.ts";

/** How a server takes a query and documents. */
export interface RerankWire {
  /** Below the base, or from the server's root when it begins with a slash. */
  readonly path: string;
  readonly query: string;
  readonly documents: string;
}

/** As Jina, Cohere, Together, vLLM and llama.cpp take it. */
export const jina: RerankWire = { path: "rerank", query: "query", documents: "documents" };

/** Documents in one call: a thousand is what hosted services take. */
const MOST = 1000;

function scoreOf(row: Json): number {
  const score = row["relevance_score"] ?? row["score"];
  return typeof score === "number" ? score : Number.NaN;
}

/** The rows stand under `results` (Jina, Cohere, vLLM, llama.cpp), under `data` (Voyage, vLLM's `/score`), or alone. */
function rowsOf(answer: unknown): unknown {
  return isRecord(answer) ? (answer["results"] ?? answer["data"]) : answer;
}

/** A reranker or a reward model behind an endpoint of Jina's shape, or one that differs from it in names. */
export function rerankLeaf(endpoint: Endpoint, { model, wire }: { readonly model: string; readonly wire: RerankWire }): Batched<Reranker> {
  const { name } = endpoint;
  return {
    name,
    most: MOST,
    async rerank(query, documents, call) {
      const answer = await postJson(endpoint, { model, [wire.query]: query, [wire.documents]: documents }, call);
      noteUsage(answer, call);
      const scores = inOrder(rowsOf(answer), documents.length)?.map(scoreOf);
      if (!scores?.every(Number.isFinite))
        throw new GatewayError("upstream_protocol", `${name} did not send one score for each document.`, { upstream: name });
      return scores;
    },
  };
}
