/**
 * The router table: a file that `chorale learn` writes and `route` by `learned` reads. JSON, versioned. RouteLLM's matrix factorisation (arXiv
 * 2406.18665): delta(m, q) = w . (v_m / |v_m| * (P e(q))), where e(q) is the query's embedding, and the strong member's win rate is
 * sigma(delta(strong) - delta(weak)).
 */
import * as z from "zod";
import { TableError } from "./labelled.ts";

const FORMAT = "chorale/router-table";
const VERSION = 1;
const FLOAT = 4;

/** Numbers, or the same as little-endian 32-bit floats in base64: a sixth of the size. */
const vector = z.union([z.array(z.number()).min(1), z.base64().min(1)]).transform((given, context) => {
  const values = typeof given === "string" ? fromBase64(given) : Float32Array.from(given);
  // What is finite in 64 bits may not be in 32: a table of it would give every request to one member.
  if (values?.every(Number.isFinite)) return values;
  context.addIssue({ code: "custom", message: typeof given === "string" ? "expected 32-bit floats in base64" : "expected 32-bit floats" });
  return z.NEVER;
});

function fromBase64(text: string): Float32Array | undefined {
  const bytes = Buffer.from(text, "base64");
  if (bytes.length % FLOAT !== 0) return undefined;
  return Float32Array.from({ length: bytes.length / FLOAT }, (_, at) => bytes.readFloatLE(at * FLOAT));
}

const schema = z.strictObject({
  format: z.literal(FORMAT),
  version: z.literal(VERSION),
  embedder: z.strictObject({
    model: z.string().min(1).describe("`provider/model` whose embeddings it was trained on; the provider's own name does not matter."),
    dimensions: z.int().min(1),
  }),
  weak: z.strictObject({ name: z.string().min(1), vector }),
  strong: z.strictObject({ name: z.string().min(1), vector }),
  projection: z.array(vector).min(1).describe("One row for each number of a model's vector, as long as an embedding."),
  weights: vector.optional().describe("The classifier's weights; ones when absent."),
  winRates: z
    .array(z.number().min(0).max(1))
    .default([])
    .describe("The strong member's win rates over a sample of traffic: what a share is calibrated on."),
});

export type RouterTableFile = z.input<typeof schema>;
export type RouterTable = z.output<typeof schema>;

function checkSizes({ embedder, weak, strong, projection, weights }: RouterTable): void {
  const size = projection.length;
  const wrong = [weak.vector, strong.vector, ...(weights ? [weights] : [])].find(({ length }) => length !== size);
  if (wrong) throw new TableError(`a vector has ${wrong.length} numbers, the projection ${size} rows`);
  const row = projection.find(({ length }) => length !== embedder.dimensions);
  if (row) throw new TableError(`a row of the projection has ${row.length} numbers, an embedding ${embedder.dimensions}`);
}

/** Reads a table. Throws a `TableError`. */
export function readRouterTable(text: string): RouterTable {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new TableError("it is not JSON");
  }
  const parsed = schema.safeParse(value);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw new TableError(`it is no router table of version ${VERSION}: ${[...(issue?.path ?? []), issue?.message].join(" ")}`);
  }
  checkSizes(parsed.data);
  return parsed.data;
}

/** The model of a full name: a provider may be called anything. */
function modelOf(name: string): string {
  return name.slice(name.indexOf("/") + 1);
}

/** Says why a table is none for these; undefined when it is. */
export function misfit(
  table: RouterTable,
  given: { readonly members: readonly [string, string]; readonly embedder: string },
): string | undefined {
  const { weak, strong, embedder } = table;
  const [first, second] = given.members;
  if (weak.name !== first || strong.name !== second) {
    return `it was made for ${weak.name} (weak) and ${strong.name} (strong), not for ${first} and ${second}`;
  }
  return modelOf(embedder.model) === modelOf(given.embedder)
    ? undefined
    : `it was made on embeddings of ${embedder.model}, not of ${given.embedder}`;
}

function delta(member: Float32Array, projected: readonly number[], weights: Float32Array | undefined): number {
  let square = 0;
  for (const value of member) square += value * value;
  const length = Math.sqrt(square) || 1;
  let sum = 0;
  for (const [at, value] of projected.entries()) sum += (weights?.[at] ?? 1) * ((member[at] ?? 0) / length) * value;
  return sum;
}

/** How likely the strong member's answer wins. The embedding goes in as it came: the training did not normalise it either. */
export function winRate({ weak, strong, projection, weights }: RouterTable, embedding: Float32Array): number {
  const projected = projection.map((row) => {
    let sum = 0;
    for (let at = 0; at < row.length; at += 1) sum += (row[at] ?? 0) * (embedding[at] ?? 0);
    return sum;
  });
  return 1 / (1 + Math.exp(delta(weak.vector, projected, weights) - delta(strong.vector, projected, weights)));
}

/**
 * The threshold at which this share of the sample goes to the strong member, which it does from the threshold up. 0 sends nobody: no rate reaches
 * infinity.
 */
export function thresholdFor(winRates: readonly number[], share: number): number {
  const falling = winRates.toSorted((a, b) => b - a);
  const strong = Math.round(share * falling.length);
  return strong === 0 ? Infinity : (falling[strong - 1] ?? 0);
}
