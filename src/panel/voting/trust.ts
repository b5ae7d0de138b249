/** Between those who were always wrong and those who were always right a factor of 100 is enough: no history makes one the judge of all. */
const LEAST = 0.1;
const MOST = 10;

/** How much a reviewer's grades count that has this weight, a log-odds, in a table of vote weights: its odds, so that one who guesses counts 1. */
export function trustOf(logOdds: number): number {
  return Math.min(MOST, Math.max(LEAST, Math.exp(logOdds)));
}
