import { balance } from "./api/balance.ts";
import { cache } from "./api/cache.ts";
import { cascade } from "./api/cascade.ts";
import { fallback } from "./api/fallback.ts";
import { race } from "./api/race.ts";
import { retry } from "./api/retry.ts";
import { route } from "./api/route.ts";
import { timeout } from "./api/timeout.ts";
import type { Strategy } from "./define.ts";
import { consensus } from "./text/consensus.ts";
import { council } from "./text/council.ts";
import { abstain } from "./text/abstain.ts";
import { debate } from "./text/debate.ts";
import { fuse } from "./text/fuse.ts";
import { graph } from "./text/graph.ts";
import { knowledgeCard } from "./text/knowledge-card.ts";
import { mixture } from "./text/mixture.ts";
import { mux } from "./text/mux.ts";
import { peerReview } from "./text/peer-review.ts";
import { refine } from "./text/refine.ts";
import { rank } from "./text/rank.ts";
import { reconcile } from "./text/reconcile.ts";
import { blackboard } from "./text/blackboard.ts";
import { pluralism } from "./text/pluralism.ts";
import { vote } from "./text/vote.ts";

const all: readonly Strategy[] = [
  retry,
  fallback,
  timeout,
  balance,
  race,
  route,
  cache,
  cascade,
  vote,
  mux,
  abstain,
  rank,
  fuse,
  graph,
  pluralism,
  blackboard,
  mixture,
  refine,
  peerReview,
  knowledgeCard,
  debate,
  reconcile,
  consensus,
  council,
];

/** Every kind of node there is, by name. */
export const strategies: ReadonlyMap<string, Strategy> = new Map(all.map((strategy) => [strategy.kind, strategy]));
