import { THRESHOLDS_VERSION, type ThresholdTable } from "../panel/cascade/thresholds.ts";
import type { GateSample } from "./cascade-samples.ts";
import { isRight } from "./grades.ts";
import { LearnError, needs } from "./learn-error.ts";

/** What a gate should come to. */
export type Target =
  /** Accepts at least this share of the answers that come to it. */
  | { readonly share: number }
  /** Of the answers that it accepts at least this share is right; it accepts as many as it can. */
  | { readonly accuracy: number };

/** A threshold, and what it does on the sample: exactly, because an answer is accepted that measures at least this. */
export interface Chosen {
  readonly min: number;
  readonly accepted: number;
  /** All that came to the gate. */
  readonly total: number;
  /** Of those that were accepted, how many have a grade, and how many of these are right. */
  readonly graded: number;
  readonly right: number;
}

type Measured = GateSample & { readonly measured: number };

function isMeasured(sample: GateSample): sample is Measured {
  return sample.measured !== undefined;
}

/** Whether it is known of each answer on which side of `min` it is. An agreement is, once no vote that was left out could change that. */
function isKnownAt(min: number, samples: readonly GateSample[]): boolean {
  return samples.every(({ measured = min, atMost = measured }) => measured >= min || atMost < min);
}

/** What to do about votes that were left out, where there are any. */
function advice(samples: readonly GateSample[]): string {
  const cut = samples.filter(({ measured = 0, atMost = measured }) => atMost > measured).length;
  return cut === 0
    ? ""
    : `; ${cut} of ${samples.length} votes were stopped early, which leaves few thresholds to choose from: record with \`stop: none\` at this step`;
}

function chosenAt(min: number, samples: readonly GateSample[]): Chosen {
  const accepted = samples.filter(({ measured }) => measured !== undefined && measured >= min);
  const scores = accepted.flatMap(({ score }) => score ?? []);
  return { min, accepted: accepted.length, total: samples.length, graded: scores.length, right: scores.filter(isRight).length };
}

/** Among equal measures, and where votes were left out, there is no threshold, so that more than the share may be accepted, and never less. */
function byShare(samples: readonly GateSample[], share: number): Chosen {
  const falling = samples.filter(isMeasured).map(({ measured }) => measured);
  falling.sort((a, b) => b - a);
  const count = Math.max(1, Math.ceil(share * samples.length));
  const min = falling.slice(count - 1).find((measured) => isKnownAt(measured, samples));
  if (min !== undefined) return chosenAt(min, samples);
  throw new LearnError(
    `${falling.length} of ${samples.length} answers came with what the gate measures, so it can not accept ${count}; lower the share`,
  );
}

function byAccuracy(samples: readonly GateSample[], accuracy: number, least: number): Chosen {
  const graded = samples.filter(isMeasured).filter(({ score }) => score !== undefined);
  needs(least, graded.length, "graded answers came to the gate");
  const mins = [...new Set(graded.map(({ measured }) => measured))].filter((min) => isKnownAt(min, samples)).sort((a, b) => a - b);
  const all = mins.map((min) => chosenAt(min, graded)).filter((chosen) => chosen.accepted >= least);
  const found = all.find((chosen) => chosen.right >= accuracy * chosen.accepted);
  if (found) return chosenAt(found.min, samples);
  if (all.length === 0) throw new LearnError(`no threshold is sure to accept ${least} answers or more${advice(samples)}`);
  const best = all.reduce((best, one) => (one.right / one.accepted > best.right / best.accepted ? one : best));
  throw new LearnError(
    `no threshold is right ${(accuracy * 100).toFixed(0)} % of the time on ${least} answers or more; the best is ${((100 * best.right) / best.accepted).toFixed(1)} % at ${best.min}${advice(samples)}`,
  );
}

/** The threshold of one gate. */
export function chooseThreshold(samples: readonly GateSample[], target: Target, least: number): Chosen {
  needs(least, samples.length, "answers came to the gate");
  return "share" in target ? byShare(samples, target.share) : byAccuracy(samples, target.accuracy, least);
}

/** A gate as the config has it, without its threshold; `takesMin` is false for those that decide by themselves. */
export interface CascadeGate {
  readonly gate: { readonly by: string } & Readonly<Record<string, unknown>>;
  readonly takesMin: boolean;
}

/** The file that a cascade reads as `thresholds`. */
export function thresholdTable(
  models: readonly string[],
  gates: readonly CascadeGate[],
  chosen: readonly (Chosen | undefined)[],
): ThresholdTable {
  return {
    version: THRESHOLDS_VERSION,
    kind: "cascade-thresholds",
    for: [...models],
    thresholds: gates.map(({ gate }, index) => {
      const min = chosen[index]?.min;
      return { gate, ...(min === undefined ? {} : { min }) };
    }),
  };
}
