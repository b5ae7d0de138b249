import type { RouterTableFile } from "../panel/route/table.ts";
import { LearnError } from "./learn-error.ts";
import { dot, fitLogistic, logistic, type Example } from "./logistic.ts";

/** Penalties that are tried, strong to weak; each fit begins where the one before ended. */
const PENALTIES = [0.3, 0.1, 0.03, 0.01, 0.003, 0.001];
const FOLDS = 4;
/** The vectors are in memory, and every fit reads all of them some hundred times. */
const MOST = 10_000;

/** What training found. */
export interface Trained {
  /** u of sigma(u . e). */
  readonly weights: Float64Array;
  readonly penalty: number;
  /** The win rate of each example as a table that never saw it tells it. */
  readonly heldOut: readonly number[];
}

function logLoss(rates: readonly number[], examples: readonly Example[]): number {
  const each = examples.map(({ came }, index) => {
    const rate = Math.min(1 - 1e-9, Math.max(1e-9, rates[index] ?? 0.5));
    return -Math.log(came ? rate : 1 - rate);
  });
  return each.reduce((sum, loss) => sum + loss, 0) / each.length;
}

/** The held-out rates for each penalty. Every fourth example is left out in turn, so that neighbours in a sorted file are spread. */
function crossValidated(examples: readonly Example[]): readonly (readonly number[])[] {
  const rates = PENALTIES.map(() => examples.map(() => 0.5));
  for (let fold = 0; fold < FOLDS; fold += 1) {
    const seen = examples.filter((_, index) => index % FOLDS !== fold);
    let weights: Float64Array | undefined;
    for (const [place, penalty] of PENALTIES.entries()) {
      weights = fitLogistic(seen, penalty, weights);
      for (let index = fold; index < examples.length; index += FOLDS) {
        const vector = examples[index]?.vector;
        const row = rates[place];
        if (vector && row) row[index] = logistic(dot(weights, vector));
      }
    }
  }
  return rates;
}

/**
 * Learns when the strong member wins (`came`). For two members RouteLLM's matrix factorisation is a logistic model of the embedding: its win rate
 * sigma(w . ((v_s - v_w) * P e)) depends on one vector u = P^T (w * (v_s - v_w)) alone. So u is fitted itself, which has one minimum, where
 * factors have many. How much it is penalised is chosen by what was held out.
 */
export function trainRouter(examples: readonly Example[]): Trained {
  const wins = examples.filter(({ came }) => came).length;
  if (examples.length > MOST) throw new LearnError(`${examples.length} texts; at most ${MOST} are worked with: leave some out`);
  const [first] = examples;
  const other = examples.find(({ vector }) => vector.length !== first?.vector.length);
  if (other) throw new LearnError(`the embedder gave vectors of ${first?.vector.length} and of ${other.vector.length} numbers`);
  if (Math.min(wins, examples.length - wins) < FOLDS) {
    throw new LearnError(
      `the strong member wins ${wins} of ${examples.length} questions; a router needs at least ${FOLDS} that it wins and ${FOLDS} that it does not`,
    );
  }
  const rates = crossValidated(examples);
  const losses = rates.map((row) => logLoss(row, examples));
  const best = losses.indexOf(Math.min(...losses));
  let weights: Float64Array | undefined;
  for (const penalty of PENALTIES.slice(0, best + 1)) weights = fitLogistic(examples, penalty, weights);
  return { weights: weights ?? new Float64Array(), penalty: PENALTIES[best] ?? 0, heldOut: rates[best] ?? [] };
}

/** How likely a question that the strong member wins has a higher rate than one that it does not: 1 is always, 0.5 is chance. */
export function areaUnder(rates: readonly number[], came: readonly boolean[]): number {
  const ranked = rates.map((rate, index) => ({ rate, came: came[index] === true })).sort((a, b) => a.rate - b.rate);
  let below = 0;
  let area = 0;
  let won = 0;
  for (let from = 0; from < ranked.length;) {
    let to = from;
    while (to < ranked.length && ranked[to]?.rate === ranked[from]?.rate) to += 1;
    const group = ranked.slice(from, to);
    const wins = group.filter((one) => one.came).length;
    const losses = group.length - wins;
    area += wins * (below + losses / 2);
    won += wins;
    below += losses;
    from = to;
  }
  return won * below === 0 ? 0.5 : area / (won * below);
}

function base64(values: Float32Array): string {
  const bytes = Buffer.alloc(values.length * 4);
  for (const [index, value] of values.entries()) bytes.writeFloatLE(value, index * 4);
  return bytes.toString("base64");
}

export interface TableNames {
  readonly weak: string;
  readonly strong: string;
  /** `provider/model` whose embeddings were learned from. */
  readonly embedder: string;
}

/** The table in RouteLLM's form: one row P = u / 2 and the models at -1 and 1, so that their difference is u . e. */
export function routerTable({ weights, heldOut }: Trained, { weak, strong, embedder }: TableNames): RouterTableFile {
  return {
    format: "chorale/router-table",
    version: 1,
    embedder: { model: embedder, dimensions: weights.length },
    weak: { name: weak, vector: [-1] },
    strong: { name: strong, vector: [1] },
    projection: [base64(Float32Array.from(weights, (weight) => weight / 2))],
    winRates: heldOut.map((rate) => Number(rate.toFixed(6))),
  };
}
