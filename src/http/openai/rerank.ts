import type { ChatRequest, Source } from "../../model/request.ts";
import { checkBody, fail, isCount, isObject, isPresent, unsupported, unwritten, type Json } from "./passage-body.ts";

export interface RerankAsked {
  readonly request: ChatRequest;
  readonly query: unknown;
  readonly documents: readonly unknown[];
  readonly topN: number | undefined;
  readonly returnDocuments: boolean;
}

const understood = new Set(["model", "query", "documents", "top_n", "return_documents", "user", "chorale"]);

/** Reads the body of a rerank request in the shape of Jina and Cohere. Throws `invalid_request` with `param`; unknown fields travel. */
export function readRerank(parsed: unknown, source: Source): RerankAsked {
  const body = checkBody(parsed, ["user"]);
  const { query, documents, top_n: topN, return_documents: returnDocuments } = body;
  if (!isPresent(query) || query === "") fail("query", "it is required");
  if (typeof query !== "string" && !isObject(query)) fail("query", "expected a string");
  if (!Array.isArray(documents) || documents.length === 0) fail("documents", "expected an array of at least one document");
  const wrong = documents.findIndex((document) => typeof document !== "string" && !isObject(document));
  if (wrong >= 0) fail(`documents[${wrong}]`, "expected a string or an object");
  if (isPresent(topN) && !isCount(topN, 1)) fail("top_n", "expected an integer of at least 1");
  if (isPresent(returnDocuments) && typeof returnDocuments !== "boolean") fail("return_documents", "expected a boolean");
  return {
    request: unwritten(body, source),
    query,
    documents,
    topN: isCount(topN, 1) ? topN : undefined,
    returnDocuments: returnDocuments === true,
  };
}

function textOf(document: unknown): string | undefined {
  if (typeof document === "string") return document;
  const text = isObject(document) ? document["text"] : undefined;
  return typeof text === "string" ? text : undefined;
}

/** The query and the documents as texts, for a model that takes nothing else. Throws by name what it would not be told. */
export function asTexts(
  { request, query, documents }: RerankAsked,
  name: string,
): { readonly query: string; readonly texts: readonly string[] } {
  for (const [field, value] of Object.entries(request.body)) {
    if (understood.has(field) || !request.source.scan.spans.has(field) || !isPresent(value)) continue;
    unsupported(field, `${name} scores texts for a query, and no more`);
  }
  const texts = documents.map((document, at) => textOf(document) ?? unsupported(`documents[${at}]`, `${name} scores texts`));
  return { query: textOf(query) ?? unsupported("query", `${name} takes a text`), texts };
}

/** Documents by their scores, best first, as many as were asked for. */
export function ranked(scores: readonly number[], { topN, returnDocuments }: RerankAsked, texts: readonly string[]): readonly Json[] {
  const rows = scores.map((score, index) => ({
    index,
    relevance_score: score,
    ...(returnDocuments ? { document: shown(texts[index]) } : {}),
  }));
  return rows.sort((a, b) => b.relevance_score - a.relevance_score).slice(0, topN);
}

interface Row extends Json {
  readonly index: number;
  readonly relevance_score: number;
}

function toRow(row: unknown, count: number): Row | undefined {
  if (!isObject(row)) return undefined;
  const { index, score, ...rest } = row;
  const relevance = row["relevance_score"] ?? score;
  if (!isCount(index, 0) || index >= count || typeof relevance !== "number") return undefined;
  return { index, ...rest, relevance_score: relevance };
}

/** A document as answers show it. */
function shown(document: unknown): unknown {
  return typeof document === "string" ? { text: document } : document;
}

/**
 * An upstream's answer with its results best first, and with the documents where they were asked for. The same object when it is so already;
 * undefined when it scores no documents of ours.
 */
export function canonicalRanking(answer: Json, { documents, topN = Infinity, returnDocuments }: RerankAsked): Json | undefined {
  const { data, ...rest } = answer;
  // Voyage has them under another name.
  const results: unknown = answer["results"] ?? data;
  if (!Array.isArray(results)) return undefined;
  const rows = results.map((row) => toRow(row, documents.length)).filter((row) => row !== undefined);
  if (rows.length !== results.length || new Set(rows.map(({ index }) => index)).size !== rows.length) return undefined;
  const isRanked = rows.every((row, at) => at === 0 || (rows[at - 1]?.relevance_score ?? 0) >= row.relevance_score);
  const isNamed = results === answer["results"] && (results as readonly Json[]).every((row) => row["relevance_score"] !== undefined);
  const isShown = !returnDocuments || rows.every((row) => isPresent(row["document"]));
  if (isRanked && isNamed && isShown && rows.length <= topN) return answer;
  const best = rows.sort((a, b) => b.relevance_score - a.relevance_score).slice(0, topN);
  return { ...rest, results: isShown ? best : best.map((row) => ({ document: shown(documents[row.index]), ...row })) };
}
