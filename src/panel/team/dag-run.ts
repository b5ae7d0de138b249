import type { Dag } from "./dag.ts";

/** What came of a node. */
export interface Made {
  /** A verify node: the work goes back. */
  readonly back?: boolean;
}

/**
 * Makes the work of `names`, each as soon as all that it waits for is there, those that do not need each other at once. When a verify node sends
 * work back, its part of the graph is made again. `make` throws only to end it all: what still runs has to end by itself then, and is waited for.
 */
export async function runDag<Work extends Made>(
  { waits, again }: Dag,
  names: readonly string[],
  make: (name: string, made: ReadonlyMap<string, Work>) => Promise<Work>,
): Promise<ReadonlyMap<string, Work>> {
  const made = new Map<string, Work>();
  const running = new Map<string, Promise<void>>();
  const start = async (name: string): Promise<void> => {
    const work = await make(name, made);
    running.delete(name);
    made.set(name, work);
    if (work.back) for (const one of again.get(name) ?? []) made.delete(one);
  };
  try {
    for (;;) {
      for (const name of names) {
        const ready = !made.has(name) && !running.has(name) && (waits.get(name) ?? []).every((one) => made.has(one));
        if (ready) running.set(name, start(name));
      }
      if (running.size === 0) return made;
      await Promise.race(running.values());
    }
  } finally {
    await Promise.allSettled(running.values());
  }
}
