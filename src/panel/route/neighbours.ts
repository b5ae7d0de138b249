/** Choosing a member by what is known of similar texts: pure functions over vectors of length 1. */

export type Vector = Float32Array;

/** The vector at length 1; one of zeros stays. */
export function normalised(vector: Vector): Vector {
  let sum = 0;
  for (const value of vector) sum += value * value;
  const length = Math.sqrt(sum);
  return length === 0 ? vector : vector.map((value) => value / length);
}

/** Of vectors of length 1 the cosine. */
function dot(a: Vector, b: Vector): number {
  let sum = 0;
  for (let at = 0; at < a.length; at += 1) sum += (a[at] ?? 0) * (b[at] ?? 0);
  return sum;
}

/** Sums in another order differ in their last bits; a tie must not. */
const SAME = 1e-9;

/** Indices from the highest value to the lowest; of equals the earlier comes first. */
export function descending(values: readonly number[]): readonly number[] {
  return values
    .map((_, index) => index)
    .sort((a, b) => {
      const difference = (values[b] ?? 0) - (values[a] ?? 0);
      return Math.abs(difference) <= SAME ? a - b : difference;
    });
}

function mean(rows: readonly (readonly number[])[]): readonly number[] {
  const [first = []] = rows;
  return first.map((_, column) => rows.reduce((sum, row) => sum + (row[column] ?? 0), 0) / rows.length);
}

/** From 0 to 1 over the members; where all are the same, the same for all. */
function spread(values: readonly number[]): readonly number[] {
  const low = Math.min(...values);
  const high = Math.max(...values);
  return values.map((value) => (high - low <= SAME ? 1 : (value - low) / (high - low)));
}

/**
 * Quality against cost (Avengers-Pro, arXiv 2508.12631): alpha * (a - a_min) / (a_max - a_min) + (1 - alpha) * (1 - cost / cost_max). At alpha 1
 * the costs do not count.
 */
export function traded(quality: readonly number[], costs: readonly number[], alpha: number): readonly number[] {
  if (alpha === 1) return quality;
  const dearest = Math.max(...costs);
  const spreadOut = spread(quality);
  return spreadOut.map((value, member) => {
    const cheapness = dearest > 0 ? 1 - (costs[member] ?? 0) / dearest : 1;
    return alpha * value + (1 - alpha) * cheapness;
  });
}

/** What a chooser needs besides the query. */
export interface Trade {
  readonly alpha: number;
  /** US dollars of each member, on any one scale. */
  readonly costs: readonly number[];
}

/** A text of the table with its grades. */
export interface Point {
  readonly vector: Vector;
  readonly scores: readonly number[];
}

/** Each member's value: the mean of its grades over the `k` nearest texts. */
export function byNeighbours(query: Vector, points: readonly Point[], k: number, { alpha, costs }: Trade): readonly number[] {
  const nearest = descending(points.map(({ vector }) => dot(query, vector))).slice(0, k);
  const scores = nearest.flatMap((index) => (points[index] ? [points[index].scores] : []));
  return traded(mean(scores), costs, alpha);
}

/** A group of near texts. */
export interface Cluster {
  readonly centre: Vector;
  /** Members from best to worst. */
  readonly ranking: readonly number[];
}

/** How often centres move at most; they rest sooner nearly always. */
const ROUNDS = 12;

/** The first centres: the first text, then always the one farthest from all centres so far. No chance, so that every process has the same. */
function firstCentres(vectors: readonly Vector[], count: number): Vector[] {
  const [first] = vectors;
  if (!first) return [];
  const centres = [first];
  const nearest = vectors.map((vector) => dot(vector, first));
  while (centres.length < count) {
    const farthest = descending(nearest.map((similarity) => -similarity))[0] ?? 0;
    const centre = vectors[farthest];
    // Fewer different texts than clusters.
    if (!centre || (nearest[farthest] ?? 1) > 1 - SAME) break;
    centres.push(centre);
    for (const [index, vector] of vectors.entries()) nearest[index] = Math.max(nearest[index] ?? -1, dot(vector, centre));
  }
  return centres;
}

function nearestTo(vector: Vector, centres: readonly Vector[]): number {
  let best = 0;
  let most = -Infinity;
  for (const [index, centre] of centres.entries()) {
    const similarity = dot(vector, centre);
    if (similarity > most + SAME) [best, most] = [index, similarity];
  }
  return best;
}

function centreOf(vectors: readonly Vector[], otherwise: Vector): Vector {
  if (vectors.length === 0) return otherwise;
  const sum = new Float32Array(otherwise.length);
  for (const vector of vectors) for (let at = 0; at < sum.length; at += 1) sum[at] = (sum[at] ?? 0) + (vector[at] ?? 0);
  return normalised(sum);
}

/** Spherical k-means without chance; per cluster the members in order of quality against cost there. */
export function clustersOf(points: readonly Point[], count: number, { alpha, costs }: Trade): readonly Cluster[] {
  const vectors = points.map(({ vector }) => vector);
  let centres: readonly Vector[] = firstCentres(vectors, count);
  let owners = vectors.map((vector) => nearestTo(vector, centres));
  for (let round = 0; round < ROUNDS; round += 1) {
    centres = centres.map((centre, cluster) =>
      centreOf(
        vectors.filter((_, index) => owners[index] === cluster),
        centre,
      ),
    );
    const next = vectors.map((vector) => nearestTo(vector, centres));
    const rests = next.every((owner, index) => owner === owners[index]);
    owners = next;
    if (rests) break;
  }
  return centres.flatMap((centre, cluster) => {
    const scores = points.filter((_, index) => owners[index] === cluster).map((point) => point.scores);
    return scores.length === 0 ? [] : [{ centre, ranking: descending(traded(mean(scores), costs, alpha)) }];
  });
}

/** Clusters that are asked, and how fast their say falls with distance. */
const TOP = 3;
const BETA = 9;

/** Each member's value: over the nearest clusters the softmax of -9 times the cosine distance, times 1 / (rank + 1) of the member there. */
export function byClusters(query: Vector, clusters: readonly Cluster[], members: number): readonly number[] {
  const similarities = clusters.map(({ centre }) => dot(query, centre));
  const top = descending(similarities).slice(0, TOP);
  const weights = top.map((index) => Math.exp(-BETA * (1 - (similarities[index] ?? 0))));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const values = Array.from({ length: members }, () => 0);
  for (const [place, index] of top.entries()) {
    for (const [rank, member] of (clusters[index]?.ranking ?? []).entries()) {
      values[member] = (values[member] ?? 0) + (weights[place] ?? 0) / total / (rank + 1);
    }
  }
  return values;
}
