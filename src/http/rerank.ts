import type { Call } from "../model/call.ts";
import { latin1Json } from "../model/latin1.ts";
import { rootCall, type Asked } from "./asked.ts";
import { readJson, refuseDuplicate } from "./chat.ts";
import type { Dialect } from "./dialect.ts";
import { sendError } from "./errors.ts";
import type { Pieces } from "./openai/completion.ts";
import { embeddingUsage } from "./openai/embeddings.ts";
import { passedPieces } from "./openai/passed.ts";
import { asTexts, canonicalRanking, ranked, readRerank, type RerankAsked } from "./openai/rerank.ts";
import { wholeOnly } from "./passage-dialect.ts";
import { badAnswer, exposed, noEndpoint, passThrough } from "./passage.ts";

async function passed(asked: Asked<RerankAsked>, call: Call): Promise<Pieces | undefined> {
  const found = await passThrough("rerank", asked, call);
  if (!found) return undefined;
  const { model } = call.identity;
  const canonical = canonicalRanking(found.answer, asked.reading);
  if (!canonical) throw badAnswer(asked.entry.name, "no ranking of the documents");
  const extension = exposed(asked, call);
  if (canonical === found.answer) return passedPieces(found, model, extension);
  return [latin1Json({ ...canonical, model, ...(extension === undefined ? {} : { chorale: extension }) })];
}

/** Over a leaf that scores texts and nothing else. */
async function scored(asked: Asked<RerankAsked>, call: Call): Promise<Pieces> {
  const { entry, reading } = asked;
  const reranker = entry.reranker?.();
  if (!reranker) throw noEndpoint(entry, "/v1/rerank");
  const { query, texts } = asTexts(reading, entry.name);
  const scores = await reranker.rerank(query, texts, rootCall(call, entry));
  const { id, model } = call.identity;
  const extension = exposed(asked, call);
  return [
    latin1Json({
      id,
      model,
      results: ranked(scores, reading, texts),
      usage: embeddingUsage(call.ledger.usage()),
      ...(extension === undefined ? {} : { chorale: extension }),
    }),
  ];
}

/** `POST /v1/rerank`, as Jina and Cohere have it: through to a server that has it, else over what a leaf scores documents with. */
export const rerankDialect: Dialect<RerankAsked> = wholeOnly({
  idPrefix: "rerank-",
  read(body) {
    const { body: parsed, source } = readJson(body);
    const asked = readRerank(parsed, source);
    refuseDuplicate(source);
    return asked;
  },
  answer: async (asked, call) => (await passed(asked, call)) ?? (await scored(asked, call)),
  fail: sendError,
});
