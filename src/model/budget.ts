import { GatewayError } from "./errors.ts";

/** What a subtree may still spend. Absent means unbounded. */
export interface BudgetLimits {
  readonly usd?: number;
  /** Upstream calls. */
  readonly calls?: number;
  /** Prompt and completion tokens together. */
  readonly tokens?: number;
}

/** What one leg may cost at worst. `usd` is 0 when its price is unknown. */
export interface Worst {
  readonly usd: number;
  readonly tokens: number;
}

/** Room that a leg holds while it runs. Settle it exactly once. */
export interface Reservation {
  /** Gives back what was held and books what was spent. */
  settle(actual: Worst): void;
}

/**
 * A purse shared by parallel legs: each reserves its worst case before it starts and settles after it, so that together they can not
 * overshoot. Budgets nest; a leg needs room in every one above it.
 */
export interface Budget {
  /** Throws `budget_denied` when there is no room. */
  reserve(worst: Worst): Reservation;
  /** Room for a further leg of this size, or for so many that have it together; a strategy asks before it plans them. */
  allows(worst: Worst, legs?: number): boolean;
}

/** No bound at all: the path of a request without a budget costs nothing. */
export const unbounded: Budget = {
  reserve: () => ({ settle: () => {} }),
  allows: () => true,
};

/** A budget inside `parent`. `owner` names the node in the error. */
export function openBudget(limits: BudgetLimits, parent: Budget, owner: string): Budget {
  let usd = limits.usd ?? Infinity;
  let calls = limits.calls ?? Infinity;
  let tokens = limits.tokens ?? Infinity;
  const lacking = (worst: Worst, legs = 1): string | undefined => {
    if (calls < legs) return "calls";
    if (worst.usd > usd) return "usd";
    return worst.tokens > tokens ? "tokens" : undefined;
  };
  return {
    allows: (worst, legs) => lacking(worst, legs) === undefined && parent.allows(worst, legs),
    reserve(worst) {
      const what = lacking(worst);
      if (what !== undefined) throw new GatewayError("budget_denied", `The ${what} budget of ${owner} has no room for another call.`);
      const above = parent.reserve(worst);
      usd -= worst.usd;
      calls -= 1;
      tokens -= worst.tokens;
      return {
        settle(actual) {
          usd += worst.usd - actual.usd;
          tokens += worst.tokens - actual.tokens;
          above.settle(actual);
        },
      };
    },
  };
}
