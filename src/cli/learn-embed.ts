import { buildCatalog } from "../catalog/build.ts";
import { LearnError } from "../learn/learn-error.ts";
import { unbounded } from "../model/budget.ts";
import { enter, noTimeouts, type Call } from "../model/call.ts";
import { systemClock } from "../model/clock.ts";
import { GatewayError } from "../model/errors.ts";
import { newLedger } from "../model/ledger.ts";
import type { Embedder } from "../model/leaves.ts";
import { newRetryBudget, newSlot } from "../model/slot.ts";
import { newTrace } from "../model/trace.ts";
import { shown } from "../panel/route/vectors.ts";
import { openPools } from "../upstream/pools.ts";
import type { CommandSite } from "./command.ts";
import { configOf, upstreamOf } from "./learn-material.ts";

/** Texts in one call, as a route embeds its labelled texts. */
const CHUNK = 100;

/** A call that no client made. */
function ownCall({ io }: CommandSite): Call {
  const trace = newTrace(systemClock.now(), false);
  return {
    id: "learn",
    identity: { id: "learn", model: "learn", created: Math.floor(systemClock.wall() / 1000) },
    principal: { name: "learn" },
    signal: new AbortController().signal,
    delivery: "unary",
    clock: systemClock,
    random: Math.random,
    log: { warn: (_, message) => io.err(`warning: ${message}\n`) },
    slot: newSlot(newRetryBudget()),
    budget: unbounded,
    ledger: newLedger(),
    trace,
    span: trace.root,
    timeouts: noTimeouts,
    hops: 0,
  };
}

/** Vectors of texts, and what they cost. */
export interface Embeddings {
  /** `provider/model`. */
  readonly embedder: string;
  readonly vectors: readonly Float32Array[];
  readonly calls: number;
  readonly usd: number;
  /** Share of the calls whose cost is known. */
  readonly coverage: number;
}

async function embedAll(embedder: Embedder, texts: readonly string[], site: CommandSite): Promise<Embeddings> {
  const call = ownCall(site);
  const vectors: Float32Array[] = [];
  try {
    for (let from = 0; from < texts.length; from += CHUNK) {
      const inner = enter(call, { label: `texts ${from + 1}`, member: true });
      vectors.push(...(await embedder.embed(texts.slice(from, from + CHUNK).map(shown), inner)));
    }
  } catch (thrown) {
    if (!(thrown instanceof GatewayError)) throw thrown;
    throw new LearnError(`the embedder failed after ${vectors.length} of ${texts.length} texts: ${thrown.message}`);
  }
  return { embedder: embedder.name, vectors, calls: call.ledger.legs.length, ...call.ledger.cost() };
}

/** Embeds texts with a model of the config, as a route would. Of the config only the providers are built: a route may name the very table that is learned. */
export async function embedTexts(name: string, texts: readonly string[], site: CommandSite): Promise<Embeddings> {
  const config = configOf(site);
  if (!config) throw new LearnError("an embedder needs a config file that tells where it is: give `--config`");
  const pools = openPools();
  try {
    const catalog = await buildCatalog(
      { ...config, keys: [], models: { embedder: upstreamOf(name, config) } },
      { pools, clock: systemClock, warn: () => {} },
    );
    const embedder = catalog.get("embedder")?.embedder?.();
    if (!embedder) throw new LearnError(`${name} does not embed; name a model of a provider that does`);
    return await embedAll(embedder, texts, site);
  } finally {
    await pools.close();
  }
}
