/** A text's embedding, and whether what is to be foretold came true of it. */
export interface Example {
  readonly vector: Float32Array;
  readonly came: boolean;
}

/** Steps of one fit at most, and the gradient below which it has settled. */
const STEPS = 300;
const SETTLED = 1e-5;

export function logistic(x: number): number {
  return 1 / (1 + Math.exp(-x));
}

export function dot(a: Float64Array, b: Float32Array): number {
  let sum = 0;
  for (let at = 0; at < b.length; at += 1) sum += (a[at] ?? 0) * (b[at] ?? 0);
  return sum;
}

/** Vectors have a mean square length of 1 beneath a penalty, so that it means the same for every embedder. */
function meanSquare(examples: readonly Example[]): number {
  let sum = 0;
  for (const { vector } of examples) for (const value of vector) sum += value * value;
  return sum / examples.length || 1;
}

/** The gradient of the mean loss at `weights`, with the penalty. */
function gradientAt(weights: Float64Array, examples: readonly Example[], penalty: number): Float64Array {
  const gradient = weights.map((weight) => penalty * weight);
  for (const { vector, came } of examples) {
    const off = (logistic(dot(weights, vector)) - (came ? 1 : 0)) / examples.length;
    for (let at = 0; at < vector.length; at += 1) gradient[at] = (gradient[at] ?? 0) + off * (vector[at] ?? 0);
  }
  return gradient;
}

/**
 * Logistic regression without an intercept: minimises mean log loss + penalty/2 * |u|^2, by Nesterov's accelerated gradient with the constants
 * of a function that is L-smooth and m-convex. The minimum is the only one, so there is neither chance nor a starting point to choose.
 * `start` only saves time.
 */
export function fitLogistic(examples: readonly Example[], penalty: number, start?: Float64Array): Float64Array {
  const dimensions = examples[0]?.vector.length ?? 0;
  const scale = meanSquare(examples);
  const least = penalty * scale;
  const smooth = scale / 4 + least;
  const momentum = (Math.sqrt(smooth) - Math.sqrt(least)) / (Math.sqrt(smooth) + Math.sqrt(least));
  let weights = start?.slice() ?? new Float64Array(dimensions);
  let ahead = weights.slice();
  for (let step = 0; step < STEPS; step += 1) {
    const gradient = gradientAt(ahead, examples, least);
    const next = ahead.map((weight, at) => weight - (gradient[at] ?? 0) / smooth);
    ahead = next.map((weight, at) => weight + momentum * (weight - (weights[at] ?? 0)));
    weights = next;
    if (gradient.every((value) => Math.abs(value) < SETTLED * Math.sqrt(scale))) break;
  }
  return weights;
}
