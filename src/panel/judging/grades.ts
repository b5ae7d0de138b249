/** One reviewer's grade of one answer, 0 to 1. */
export interface Grade {
  readonly reviewer: string;
  readonly answer: string;
  readonly grade: number;
}

/** What the grades together say. */
export interface Appraisal {
  /** The estimated quality of each graded answer, 0 to 1. */
  readonly quality: ReadonlyMap<string, number>;
  /** How much each reviewer counts, as shares of 1. Low, never nothing, for one who is often far from the others. */
  readonly reliability: ReadonlyMap<string, number>;
}

/** Keeps a reviewer who happens to be right from counting alone: the variance of grades that nobody could fault, which are 0.2 off. */
const EPSILON = 0.04;

/** Rounds of estimation at most, and the change below which it has settled. */
const ROUNDS = 100;
const SETTLED = 1e-9;

/** The weighted mean grade of each answer. */
function qualities(grades: readonly Grade[], weights: ReadonlyMap<string, number>): Map<string, number> {
  const sums = new Map<string, { weight: number; sum: number }>();
  for (const { reviewer, answer, grade } of grades) {
    const weight = weights.get(reviewer) ?? 0;
    const old = sums.get(answer) ?? { weight: 0, sum: 0 };
    sums.set(answer, { weight: old.weight + weight, sum: old.sum + weight * grade });
  }
  return new Map([...sums].map(([answer, { weight, sum }]) => [answer, sum / weight]));
}

/** Mean squared distance of a reviewer's grades from the qualities. */
function variance(own: readonly Grade[], quality: ReadonlyMap<string, number>): number {
  return own.reduce((sum, { answer, grade }) => sum + (grade - (quality.get(answer) ?? grade)) ** 2, 0) / own.length;
}

function shares(weights: ReadonlyMap<string, number>): Map<string, number> {
  let total = 0;
  for (const weight of weights.values()) total += weight;
  return new Map([...weights].map(([name, weight]) => [name, weight / total]));
}

function byReviewer(grades: readonly Grade[]): ReadonlyMap<string, readonly Grade[]> {
  const own = new Map<string, Grade[]>();
  for (const grade of grades) {
    const list = own.get(grade.reviewer);
    if (list) list.push(grade);
    else own.set(grade.reviewer, [grade]);
  }
  return own;
}

/**
 * Estimates the quality of answers and the reliability of their reviewers together, each from the other, until neither changes (the Vancouver
 * algorithm as arXiv 2512.05066 uses it):
 *
 *     q_j = sum_i w_i g_ij / sum_i w_i        v_i = mean over j of (g_ij - q_j)^2        w_i = h_i / (v_i + 0.04)
 *
 * `trust` is h_i, what is known of a reviewer beforehand: above 0, 1 for one of whom nothing is known. It starts the estimation and stays a factor.
 */
export function appraise(grades: readonly Grade[], trust: (reviewer: string) => number = () => 1): Appraisal {
  const own = byReviewer(grades);
  let weights = shares(new Map([...own.keys()].map((reviewer) => [reviewer, trust(reviewer)])));
  let quality = qualities(grades, weights);
  for (let round = 0; round < ROUNDS; round += 1) {
    const settledAt = quality;
    weights = shares(new Map([...own].map(([reviewer, list]) => [reviewer, trust(reviewer) / (variance(list, settledAt) + EPSILON)])));
    quality = qualities(grades, weights);
    const change = Math.max(0, ...[...quality].map(([answer, value]) => Math.abs(value - (settledAt.get(answer) ?? value))));
    if (change < SETTLED) break;
  }
  return { quality, reliability: weights };
}
