import type { Call } from "../model/call.ts";
import { latin1Json } from "../model/latin1.ts";
import { rootCall, type Asked } from "./asked.ts";
import { readJson, refuseDuplicate } from "./chat.ts";
import type { Dialect } from "./dialect.ts";
import { sendError } from "./errors.ts";
import type { Pieces } from "./openai/completion.ts";
import {
  canonicalEmbeddings,
  embeddingRows,
  embeddingUsage,
  onlyTexts,
  readEmbeddings,
  type EmbeddingsAsked,
} from "./openai/embeddings.ts";
import { passedPieces } from "./openai/passed.ts";
import { wholeOnly } from "./passage-dialect.ts";
import { badAnswer, exposed, noEndpoint, passThrough } from "./passage.ts";

async function passed(asked: Asked<EmbeddingsAsked>, call: Call): Promise<Pieces | undefined> {
  const found = await passThrough("embeddings", asked, call);
  if (!found) return undefined;
  const { model } = call.identity;
  const canonical = canonicalEmbeddings(found.answer, asked.reading, call.ledger.usage());
  if (!canonical) throw badAnswer(asked.entry.name, "no vector for each input");
  const extension = exposed(asked, call);
  if (canonical === found.answer) return passedPieces(found, model, extension);
  return [latin1Json({ ...canonical, model, ...(extension === undefined ? {} : { chorale: extension }) })];
}

/** Over a leaf that embeds texts and nothing else. */
async function embedded(asked: Asked<EmbeddingsAsked>, call: Call): Promise<Pieces> {
  const { entry, reading } = asked;
  const embedder = entry.embedder?.();
  if (!embedder) throw noEndpoint(entry, "/v1/embeddings");
  const vectors = await embedder.embed(onlyTexts(reading, entry.name), rootCall(call, entry));
  const extension = exposed(asked, call);
  return [
    latin1Json({
      object: "list",
      data: embeddingRows(vectors, reading.format),
      model: call.identity.model,
      usage: embeddingUsage(call.ledger.usage()),
      ...(extension === undefined ? {} : { chorale: extension }),
    }),
  ];
}

/** `POST /v1/embeddings`: through to a server that has it, else over what a leaf embeds with. */
export const embeddingsDialect: Dialect<EmbeddingsAsked> = wholeOnly({
  idPrefix: "embd-",
  read(body) {
    const { body: parsed, source } = readJson(body);
    const asked = readEmbeddings(parsed, source);
    refuseDuplicate(source);
    return asked;
  },
  answer: async (asked, call) => (await passed(asked, call)) ?? (await embedded(asked, call)),
  fail: sendError,
});
