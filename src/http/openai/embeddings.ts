import type { Source, ChatRequest } from "../../model/request.ts";
import type { Usage } from "../../model/usage.ts";
import { checkBody, fail, isCount, isObject, isPresent, unsupported, unwritten, type Json } from "./passage-body.ts";

/** What the OpenAI API takes at once. */
const MOST_INPUTS = 2048;
const FLOAT = 4;

export interface EmbeddingsAsked {
  readonly request: ChatRequest;
  readonly format: "float" | "base64";
  /** How many vectors shall come. */
  readonly count: number;
  /** The texts; undefined for tokens. */
  readonly texts: readonly string[] | undefined;
}

/** Fields that say nothing to a model. */
const understood = new Set(["model", "input", "encoding_format", "user", "chorale"]);

function isTokens(value: unknown): boolean {
  return Array.isArray(value) && value.length > 0 && value.every((token) => isCount(token, 0));
}

function readInput(input: unknown): Pick<EmbeddingsAsked, "count" | "texts"> {
  if (!isPresent(input)) fail("input", "it is required");
  if (input === "") fail("input", "expected a text that is not empty");
  if (typeof input === "string") return { count: 1, texts: [input] };
  if (!Array.isArray(input) || input.length === 0) fail("input", "expected a string, an array of strings, or arrays of tokens");
  if (isTokens(input)) return { count: 1, texts: undefined };
  if (input.length > MOST_INPUTS) fail("input", `expected at most ${MOST_INPUTS} inputs`);
  const rows: readonly unknown[] = input;
  const empty = rows.findIndex((row) => row === "" || (Array.isArray(row) && row.length === 0));
  if (empty >= 0) fail(`input[${empty}]`, "expected an input that is not empty");
  if (rows.every((row) => typeof row === "string")) return { count: rows.length, texts: rows };
  const wrong = rows.findIndex((row) => !isTokens(row));
  if (wrong >= 0) fail(`input[${wrong}]`, "expected a string, or an array of tokens where all are such arrays");
  return { count: rows.length, texts: undefined };
}

/** Reads the body of an embeddings request. Throws `invalid_request` with `param`; unknown fields travel. */
export function readEmbeddings(parsed: unknown, source: Source): EmbeddingsAsked {
  const body = checkBody(parsed, ["user"]);
  const { dimensions, encoding_format: format } = body;
  const input = readInput(body["input"]);
  if (isPresent(dimensions) && !isCount(dimensions, 1)) fail("dimensions", "expected an integer of at least 1");
  if (isPresent(format) && format !== "float" && format !== "base64") fail("encoding_format", "expected one of float, base64");
  return { ...input, request: unwritten(body, source), format: format === "base64" ? "base64" : "float" };
}

/** The texts, where they are all that a model has to know. Throws by name what it would not be told. */
export function onlyTexts({ request, texts }: EmbeddingsAsked, name: string): readonly string[] {
  for (const [field, value] of Object.entries(request.body)) {
    if (understood.has(field) || !request.source.scan.spans.has(field) || !isPresent(value)) continue;
    unsupported(field, `${name} embeds texts as they are`);
  }
  return texts ?? unsupported("input", `${name} embeds texts, not tokens`);
}

function toBase64(vector: readonly number[] | Float32Array): string {
  const bytes = Buffer.alloc(vector.length * FLOAT);
  for (const [at, value] of vector.entries()) bytes.writeFloatLE(value, at * FLOAT);
  return bytes.toString("base64");
}

function fromBase64(text: string): readonly number[] {
  const bytes = Buffer.from(text, "base64");
  return Array.from({ length: bytes.length / FLOAT }, (_, at) => bytes.readFloatLE(at * FLOAT));
}

function isVector(embedding: unknown): boolean {
  if (typeof embedding === "string") {
    const { length } = Buffer.from(embedding, "base64");
    return length > 0 && length % FLOAT === 0;
  }
  return Array.isArray(embedding) && embedding.length > 0 && embedding.every((value) => typeof value === "number");
}

function inForm(embedding: unknown, format: EmbeddingsAsked["format"]): unknown {
  if (format === "base64") return typeof embedding === "string" ? embedding : toBase64(embedding as readonly number[]);
  return typeof embedding === "string" ? fromBase64(embedding) : embedding;
}

/** The rows of an answer in the order of what was sent; undefined unless there is exactly one vector for each. */
function rowsOf(data: unknown, count: number): readonly Json[] | undefined {
  if (!Array.isArray(data) || data.length !== count) return undefined;
  const ordered: Json[] = [];
  for (const [position, row] of (data as readonly unknown[]).entries()) {
    if (!isObject(row) || !isVector(row["embedding"])) return undefined;
    const { index = position } = row;
    if (!isCount(index, 0) || index >= count || ordered[index]) return undefined;
    ordered[index] = row;
  }
  return ordered;
}

function isUsage(usage: unknown): boolean {
  return isObject(usage) && isCount(usage["prompt_tokens"], 0) && isCount(usage["total_tokens"], 0);
}

/**
 * An upstream's answer as the OpenAI API writes it: one row for each input, in order, in the form that was asked for. The same object when that is
 * what it is already; undefined when it can not be.
 */
export function canonicalEmbeddings(answer: Json, asked: EmbeddingsAsked, usage: Usage | undefined): Json | undefined {
  const { count, format } = asked;
  const rows = rowsOf(answer["data"], count);
  if (!rows) return undefined;
  const wanted = format === "base64" ? "string" : "object";
  const told = Array.isArray(answer["data"]) ? (answer["data"] as readonly Json[]) : [];
  const isCanonical = rows.every(
    (row, at) => told[at] === row && row["index"] === at && row["object"] === "embedding" && typeof row["embedding"] === wanted,
  );
  if (isCanonical && answer["object"] === "list" && isUsage(answer["usage"])) return answer;
  return {
    ...answer,
    object: "list",
    data: rows.map((row, index) => ({ ...row, object: "embedding", index, embedding: inForm(row["embedding"], format) })),
    usage: isUsage(answer["usage"]) ? answer["usage"] : embeddingUsage(usage),
  };
}

export function embeddingUsage(usage: Usage | undefined): Json {
  const tokens = usage?.promptTokens ?? 0;
  return { prompt_tokens: tokens, total_tokens: tokens };
}

/** Vectors of the gateway's own making, in the form that was asked for. */
export function embeddingRows(vectors: readonly Float32Array[], format: EmbeddingsAsked["format"]): readonly Json[] {
  return vectors.map((vector, index) => ({
    object: "embedding",
    index,
    embedding: format === "base64" ? toBase64(vector) : Array.from(vector),
  }));
}
