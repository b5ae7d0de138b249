import { addUsage, type Usage } from "./usage.ts";

/** One upstream call as it was billed. */
export interface Leg {
  /** `provider/model`. */
  readonly upstream: string;
  readonly status: "ok" | "failed" | "cancelled";
  readonly usage?: Usage;
  /** US dollars; absent when the price is unknown. */
  readonly usd?: number;
  /** The usage was estimated from what was sent and read. */
  readonly estimated: boolean;
}

/** What one client request cost: every leg, winners and losers. Append-only; leaves write through `observe`, the door reads. */
export interface Ledger {
  readonly legs: readonly Leg[];
  add(leg: Leg): void;
  /** Sum over all legs; undefined when no leg said anything. */
  usage(): Usage | undefined;
  /** Sum of known prices, and the share of legs whose price and usage are known (1 when there was none). */
  cost(): { readonly usd: number; readonly coverage: number };
  /** Sum of known prices in US dollars; undefined where calls may have cost something and no price is known: that is not zero. */
  knownUsd(): number | undefined;
}

class Legs implements Ledger {
  readonly legs: Leg[] = [];

  add(leg: Leg): void {
    this.legs.push(leg);
  }

  usage(): Usage | undefined {
    let sum: Usage | undefined;
    for (const { usage } of this.legs) if (usage) sum = sum ? addUsage(sum, usage) : usage;
    return sum;
  }

  cost(): { readonly usd: number; readonly coverage: number } {
    let usd = 0;
    let known = 0;
    for (const leg of this.legs) {
      usd += leg.usd ?? 0;
      if (leg.usd !== undefined && !leg.estimated) known += 1;
    }
    return { usd, coverage: this.legs.length === 0 ? 1 : known / this.legs.length };
  }

  knownUsd(): number | undefined {
    let sum = 0;
    let isKnown = false;
    let isFree = true;
    for (const { status, usage, usd } of this.legs) {
      sum += usd ?? 0;
      // Who refused a request asks nothing for it.
      if (status === "failed" && usage && usage.promptTokens + usage.completionTokens === 0) continue;
      isFree = false;
      isKnown ||= usd !== undefined;
    }
    return isKnown || isFree ? sum : undefined;
  }
}

/** An empty ledger. */
export function newLedger(): Ledger {
  return new Legs();
}
