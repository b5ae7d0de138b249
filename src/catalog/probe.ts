import { Aborter, type Signal } from "../model/abort.ts";
import { sleep, type Clock } from "../model/clock.ts";
import { GatewayError } from "../model/errors.ts";
import { openScope } from "../model/scope.ts";
import type { Capabilities } from "../providers/define.ts";
import type { Provided } from "./leaves.ts";

/** A server that may tell what its models can do. */
export interface ServerProbe {
  readonly provider: string;
  /** Asks once and takes what it tells: of how many models. Undefined when it told nothing. Never rejects. */
  ask(signal: Signal, clock: Clock): Promise<number | undefined>;
}

/** For all that one server is asked; each request has bounds of its own. */
const LONGEST_MS = 20_000;
/** Before a server that did not tell is asked again: it may still be loading its model. */
const WAITS_MS = [10_000, 60_000, 300_000];

type Learn = (provider: string, told: ReadonlyMap<string, Capabilities>) => void;

function probeOf({ name: provider, instance, common }: Provided, learn: Learn): readonly ServerProbe[] {
  if (!common.probe || !instance.probe) return [];
  return [
    {
      provider,
      async ask(signal, clock) {
        using scope = openScope(signal);
        using _late = clock.timer(LONGEST_MS, () => scope.abort(new GatewayError("upstream_timeout", `${provider} told nothing in time.`)));
        try {
          const told = await instance.probe?.(scope.signal);
          // An older catalog's server says nothing of a newer one.
          if (!told || signal.aborted) return undefined;
          learn(provider, told);
          return told.size;
        } catch {
          // Not there yet, or something else: nothing is known that was not known before.
          return undefined;
        }
      },
    },
  ];
}

/** The servers of a config that are to be asked. */
export function probesOf(providers: Iterable<Provided>, learn: Learn): readonly ServerProbe[] {
  return [...providers].flatMap((provided) => probeOf(provided, learn));
}

export interface Probing {
  /** All servers were asked once. */
  readonly first: Promise<void>;
  /** Ends what still runs. */
  close(): Promise<void>;
}

interface ProbingOptions {
  readonly clock: Clock;
  /** A server told of so many models; undefined, once, when it told nothing. */
  readonly told: (provider: string, models: number | undefined) => void;
}

/** Asks servers beside the running gateway. Who does not tell is asked a few times more. */
export function startProbing(probes: readonly ServerProbe[], { clock, told }: ProbingOptions): Probing {
  const controller = new Aborter();
  const { signal } = controller;
  const once = async (probe: ServerProbe, isFirst: boolean): Promise<boolean> => {
    const models = await probe.ask(signal, clock);
    if (!signal.aborted && (isFirst || models !== undefined)) told(probe.provider, models);
    return models !== undefined;
  };
  const again = async (probe: ServerProbe): Promise<void> => {
    for (const waitMs of WAITS_MS) {
      try {
        await sleep(clock, waitMs, signal);
      } catch {
        return;
      }
      if (await once(probe, false)) return;
    }
  };
  const firsts = probes.map((probe) => once(probe, true));
  const all = firsts.map(async (first, index) => {
    const probe = probes[index];
    if (!(await first) && probe) await again(probe);
  });
  return {
    first: Promise.all(firsts).then(() => undefined),
    async close() {
      controller.abort(new GatewayError("cancelled", "No longer needed."));
      await Promise.all(all);
    },
  };
}
