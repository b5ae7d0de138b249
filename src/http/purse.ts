import type { Budget } from "../model/budget.ts";
import { GatewayError } from "../model/errors.ts";

/**
 * The money that a key has for one request. Legs draw on its lease; where that is too small, because an answer had no bound or a prompt grew with
 * the answers that it shows, it grows by what the key has left and no other request holds. `grow` says whether it could.
 */
export function openPurse(leasedUsd: number, grow: (usd: number) => boolean): Budget {
  let left = leasedUsd;
  const has = (usd: number): boolean => {
    if (usd > left) {
      if (!grow(usd - left)) return false;
      left = usd;
    }
    return true;
  };
  return {
    allows: ({ usd }) => has(usd),
    reserve({ usd }) {
      if (!has(usd)) throw new GatewayError("budget_denied", "The budget of this key has no room for another call.");
      left -= usd;
      return {
        settle(actual) {
          left += usd - actual.usd;
          // What it cost beyond its worst price is spent: other requests must not count on it.
          if (left < 0 && grow(-left)) left = 0;
        },
      };
    },
  };
}
