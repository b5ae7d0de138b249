import { cascade } from "./api/cascade.ts";
import { fallback } from "./api/fallback.ts";
import { retry } from "./api/retry.ts";
import { timeout } from "./api/timeout.ts";
import type { Strategy } from "./define.ts";
import { fuse } from "./text/fuse.ts";
import { vote } from "./text/vote.ts";

const all: readonly Strategy[] = [retry, fallback, timeout, cascade, vote, fuse];

/** Every kind of node there is, by name. */
export const strategies: ReadonlyMap<string, Strategy> = new Map(all.map((strategy) => [strategy.kind, strategy]));
