import { expect, test } from "vitest";
import { Aborter } from "../../src/model/abort.ts";
import * as fc from "../support/properties.ts";

/** What a listener does when it is called, or somebody from outside: to listener number `of`. */
interface Step {
  readonly does: "add" | "remove" | "abort";
  readonly of: number;
}

interface Play {
  /** What each listener does when it is told. */
  readonly told: readonly (readonly Step[])[];
  readonly steps: readonly Step[];
}

interface Source {
  readonly signal: Pick<AbortSignal, "aborted" | "reason"> & {
    addEventListener(type: "abort", listener: () => void, options: { readonly once: true }): void;
    removeEventListener(type: "abort", listener: () => void): void;
  };
  abort(reason: unknown): void;
}

const of = fc.nat({ max: 3 });
const step = fc.record({ does: fc.constantFrom<Step["does"][]>("add", "add", "remove", "abort"), of });
/** No "add": by the DOM's standard who comes then is not told, and Node tells some of them. */
const stepWhenTold = fc.record({ does: fc.constantFrom<Step["does"][]>("remove", "abort"), of });
const play: fc.Arbitrary<Play> = fc.record({
  told: fc.array(fc.array(stepWhenTold, { maxLength: 3 }), { minLength: 4, maxLength: 4 }),
  steps: fc.array(step, { maxLength: 12 }),
});

/** Who was told, in order, and what the signal said at each moment. */
function heard({ told, steps }: Play, source: Source): unknown[] {
  const log: unknown[] = [];
  const { signal } = source;
  const listeners = told.map((own, index) => () => {
    log.push(index, signal.aborted, signal.reason);
    for (const one of own) act(one);
  });
  function act({ does, of }: Step): void {
    const listener = listeners[of] ?? (() => {});
    if (does === "add") signal.addEventListener("abort", listener, { once: true });
    else if (does === "remove") signal.removeEventListener("abort", listener);
    else source.abort(`reason ${of}`);
  }
  for (const one of steps) {
    act(one);
    log.push(signal.aborted, signal.reason);
  }
  return log;
}

test("tells whom the platform's signal would tell, in the same order", () => {
  fc.assert(
    fc.property(play, (played) => {
      expect(heard(played, new Aborter())).toEqual(heard(played, new AbortController()));
    }),
    { numRuns: 2000 },
  );
});

test("who comes when it has aborted is not told", () => {
  const aborter = new Aborter();
  let told = 0;
  aborter.signal.addEventListener("abort", () => aborter.signal.addEventListener("abort", () => (told += 1)));
  aborter.abort("enough");
  aborter.signal.addEventListener("abort", () => (told += 1));
  expect(told).toBe(0);
});

test("a listener's fault leaves the others their turn, and is not lost", async () => {
  const uncaught = new Promise((resolve) => {
    const own = process.listeners("uncaughtException");
    process.removeAllListeners("uncaughtException");
    process.once("uncaughtException", (error) => {
      for (const listener of own) process.on("uncaughtException", listener);
      resolve(error);
    });
  });
  const fault = new Error("the listener's own");
  const aborter = new Aborter();
  let told = 0;
  aborter.signal.addEventListener("abort", () => {
    throw fault;
  });
  aborter.signal.addEventListener("abort", () => (told += 1));
  aborter.abort("enough");
  expect(told).toBe(1);
  expect(await uncaught).toBe(fault);
});
