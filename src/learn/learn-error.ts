/** Material that nothing can be learned from. `message` is for the operator, and says what is wrong and what would help. */
export class LearnError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "LearnError";
  }
}

/** Questions below which a figure says nothing, unless the operator says otherwise. */
export const LEAST = 20;

/** Refuses too little material. */
export function needs(least: number, count: number, what: string): void {
  if (count >= least) return;
  throw new LearnError(`${count} ${what}; fewer than ${least} tell nothing. Give more, or say \`--least ${count}\` if you know better`);
}
