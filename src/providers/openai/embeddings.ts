import { GatewayError } from "../../model/errors.ts";
import type { Embedder } from "../../model/leaves.ts";
import type { Batched } from "../define.ts";
import { inOrder, isRecord, noteUsage, postJson, type Endpoint } from "./post-json.ts";

/** Texts in one call. Servers take 32 to 2048; tokens are bounded too, so the middle is safe. */
const MOST = 128;

const FLOAT = 4;

/** Little-endian floats, as every server sends them. */
function fromBase64(text: string): Float32Array | undefined {
  const bytes = Buffer.from(text, "base64");
  if (bytes.length === 0 || bytes.length % FLOAT !== 0) return undefined;
  return Float32Array.from({ length: bytes.length / FLOAT }, (_, at) => bytes.readFloatLE(at * FLOAT));
}

function toVector(embedding: unknown): Float32Array | undefined {
  if (typeof embedding === "string") return fromBase64(embedding);
  if (!Array.isArray(embedding) || embedding.length === 0) return undefined;
  // `Float32Array.from` would make a number of anything.
  return embedding.every((value) => typeof value === "number") ? Float32Array.from(embedding) : undefined;
}

function isSound(vector: Float32Array | undefined): vector is Float32Array {
  return vector !== undefined && vector.every(Number.isFinite);
}

/** `POST /v1/embeddings`, which every server with embeddings speaks. `base64` asks for a third of the bytes; both forms are read in any case. */
export function embeddingsLeaf(
  endpoint: Endpoint,
  { model, base64 }: { readonly model: string; readonly base64: boolean },
): Batched<Embedder> {
  const { name } = endpoint;
  return {
    name,
    most: MOST,
    async embed(texts, call) {
      const answer = await postJson(endpoint, { model, input: texts, ...(base64 ? { encoding_format: "base64" } : {}) }, call);
      noteUsage(answer, call);
      const rows = inOrder(isRecord(answer) ? answer["data"] : undefined, texts.length);
      const vectors = rows?.map(({ embedding }) => toVector(embedding)).filter(isSound);
      const [first] = vectors ?? [];
      if (!vectors || vectors.length !== texts.length || vectors.some(({ length }) => length !== first?.length)) {
        throw new GatewayError("upstream_protocol", `${name} did not send one vector for each text.`, { upstream: name });
      }
      return vectors;
    },
  };
}
