/**
 * The attempts of one slot: a client request through its retries and fallbacks, or one member of a panel. One budget whatever the nesting, so
 * that retries inside fallbacks inside retries do not multiply.
 */
export interface Slot {
  /** Takes the attempt of one upstream call; false when the slot has none left. */
  take(): boolean;
  /** Asks whether a model may be tried again: the slot has an attempt left, and the budget of the whole process has room. Takes no attempt. */
  retry(): boolean;
  /** A slot of its own for a panel member, on the same process budget. */
  fresh(): Slot;
}

/** Retries of the whole process: each first attempt earns a share of one, so that a brown-out is not amplified. */
export interface RetryBudget {
  earn(): void;
  spend(): boolean;
}

/** A token bucket: `share` of a retry per attempt, `burst` at most in hand. */
export function newRetryBudget(share = 0.2, burst = 100): RetryBudget {
  let tokens = burst;
  return {
    earn: () => {
      tokens = Math.min(burst, tokens + share);
    },
    spend: () => {
      if (tokens < 1) return false;
      tokens -= 1;
      return true;
    },
  };
}

class Attempts implements Slot {
  readonly #retries: RetryBudget;
  readonly #attempts: number;
  #left: number;
  /** Retries that were granted: the call that comes next is not a first attempt and earns nothing. */
  #granted = 0;

  constructor(retries: RetryBudget, attempts: number) {
    this.#retries = retries;
    this.#attempts = attempts;
    this.#left = attempts;
  }

  take(): boolean {
    if (this.#left <= 0) return false;
    this.#left -= 1;
    if (this.#granted > 0) this.#granted -= 1;
    else this.#retries.earn();
    return true;
  }

  retry(): boolean {
    if (this.#left <= 0 || !this.#retries.spend()) return false;
    this.#granted += 1;
    return true;
  }

  fresh(): Slot {
    return new Attempts(this.#retries, this.#attempts);
  }
}

/** Upstream calls of one slot at most. */
export const SLOT_ATTEMPTS = 6;

/** A slot with `attempts` in hand. */
export function newSlot(retries: RetryBudget, attempts = SLOT_ATTEMPTS): Slot {
  return new Attempts(retries, attempts);
}
