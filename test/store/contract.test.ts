import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as fc from "../support/properties.ts";
import { describe, expect, onTestFinished, test } from "vitest";
import { type Bounds, memoryStore } from "../../src/store/memory.ts";
import { sqliteStore } from "../../src/store/sqlite.ts";
import { KeptText, type Admission, type Admitted, type Lease, type RequestRecord, type Store } from "../../src/store/store.ts";

/** Every implementation, each with an empty state. */
const implementations: Record<string, (bounds?: Partial<Bounds>) => Store> = {
  memory: (bounds = {}) => memoryStore({ bounds }),
  sqlite: (bounds = {}) => {
    const folder = mkdtempSync(join(tmpdir(), "chorale-store-"));
    const store = sqliteStore({ path: join(folder, "chorale.db"), bounds });
    return {
      ...store,
      close: async () => {
        await store.close();
        rmSync(folder, { recursive: true, force: true });
      },
    };
  },
};

const noon = Date.UTC(2026, 10, 23, 12);
const hourMs = 3_600_000;
const dayMs = 24 * hourMs;

const asked = (admission: Partial<Admission> = {}): Admission => ({
  key: "ada",
  limits: {},
  usd: 0,
  now: noon,
  expiresMs: 600_000,
  ...admission,
});

function leaseOf(admitted: Admitted): Lease {
  if (!admitted.ok) throw new Error(`refused by ${admitted.limit}`);
  return admitted.lease;
}

function waitOf(admitted: Admitted): number {
  if (admitted.ok) throw new Error("not refused");
  return admitted.retryAfterMs;
}

/*
 * The model: every step so far, summed up anew each time. Money is in cents. Rates may be exact to a second: between "fewer than
 * the limit in 60 s" and "the limit in 59 s" both answers are right.
 */

type Step =
  | {
      readonly do: "admit";
      readonly key: string;
      readonly cents: number;
      readonly expiresMs: number;
    }
  | {
      readonly do: "settle";
      readonly index: number;
      readonly cents: number;
      readonly tokens: number;
    }
  | { readonly do: "grow"; readonly index: number; readonly cents: number }
  | { readonly do: "wait"; readonly ms: number };

type Limits = Admission["limits"];

const pers = ["minute", "hour", "day", "month"] as const;
const limitNames = ["budget", "concurrency", "requestsPerMinute", "tokensPerMinute"] as const;
const labelLengths = { minute: 16, hour: 13, day: 10, month: 7 };
const windowLabel = (per: (typeof pers)[number], at: number) => new Date(at).toISOString().slice(0, labelLengths[per]);
const sum = (numbers: readonly number[]) => numbers.reduce((total, number) => total + number, 0);

const cents = fc.integer({ min: 0, max: 40 });
const limitsOf: fc.Arbitrary<Limits> = fc.record(
  {
    requestsPerMinute: fc.integer({ min: 0, max: 6 }),
    tokensPerMinute: fc.integer({ min: 0, max: 60 }),
    concurrency: fc.integer({ min: 0, max: 4 }),
    budget: fc.record({ usd: cents.map((n) => n / 20), per: fc.constantFrom(...pers) }),
  },
  { requiredKeys: [] },
);
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    do: fc.constant("admit" as const),
    key: fc.constantFrom("ada", "ada", "bob"),
    cents,
    expiresMs: fc.integer({ min: 1, max: 100_000 }),
  }),
  fc.record({
    do: fc.constant("settle" as const),
    index: fc.nat({ max: 40 }),
    cents,
    tokens: fc.integer({ min: 0, max: 40 }),
  }),
  fc.record({ do: fc.constant("grow" as const), index: fc.nat({ max: 20 }), cents }),
  fc.record({
    do: fc.constant("wait" as const),
    ms: fc.oneof(fc.nat(2000), fc.nat(90_000), fc.nat(2 * hourMs), fc.nat(40 * dayMs)),
  }),
);

async function replay(store: Store, limits: Limits, steps: readonly Step[]): Promise<void> {
  const admits: { lease: Lease; at: number; expiresAt: number; cents: number; settled: boolean }[] = [];
  const settles: { key: string; at: number; cents: number; tokens: number }[] = [];
  let now = noon;

  const spentOf = (key: string, per: (typeof pers)[number]) =>
    sum(settles.filter((one) => one.key === key && windowLabel(per, one.at) === windowLabel(per, now)).map((one) => one.cents));

  /** For each limit: must it refuse, may it refuse? */
  const judge = (key: string, cents: number) => {
    const within = (ms: number) => (one: { at: number }) => one.at > now - ms;
    const ours = admits.filter(({ lease }) => lease.key === key);
    const open = ours.filter((one) => !one.settled && one.expiresAt > now);
    const tokens = (ms: number) =>
      sum(
        settles
          .filter((one) => one.key === key)
          .filter(within(ms))
          .map((one) => one.tokens),
      );
    const { budget, concurrency = Infinity, requestsPerMinute = Infinity, tokensPerMinute = Infinity } = limits;
    const spent = budget ? spentOf(key, budget.per) : 0;
    const room = budget ? Math.round(budget.usd * 100) : Infinity;
    const left = Math.max(0, room - spent - sum(open.map((one) => one.cents)));
    const broke = spent >= room || (cents > 0 && left === 0);
    const busy = open.length >= concurrency;
    return {
      left,
      budget: { must: broke, may: broke },
      concurrency: { must: busy, may: busy },
      requestsPerMinute: {
        must: ours.filter(within(59_000)).length >= requestsPerMinute,
        may: ours.filter(within(60_000)).length >= requestsPerMinute,
      },
      tokensPerMinute: {
        must: tokens(59_000) >= tokensPerMinute,
        may: tokens(60_000) >= tokensPerMinute,
      },
    };
  };

  const run = {
    wait: ({ ms }: Extract<Step, { do: "wait" }>) => {
      now += ms;
    },
    settle: async ({ index, cents, tokens }: Extract<Step, { do: "settle" }>) => {
      const admit = admits[index];
      if (!admit) return;
      await store.settle(admit.lease, { usd: cents / 100, tokens, now });
      if (!admit.settled) settles.push({ key: admit.lease.key, at: now, cents, tokens });
      admit.settled = true;
    },
    grow: ({ index, cents }: Extract<Step, { do: "grow" }>) => {
      const admit = admits[index];
      if (!admit) return;
      const isOpen = !admit.settled && admit.expiresAt > now;
      const grown = isOpen && cents <= judge(admit.lease.key, cents).left;
      expect(store.grow(admit.lease, { limits, usd: cents / 100, now })).toBe(grown);
      if (grown) admit.cents += cents;
    },
    admit: async ({ key, cents, expiresMs }: Extract<Step, { do: "admit" }>) => {
      const verdict = judge(key, cents);
      const admitted = await store.admit({ key, limits, usd: cents / 100, now, expiresMs });
      if (admitted.ok) {
        expect(limitNames.filter((limit) => verdict[limit].must)).toEqual([]);
        const leased = Math.min(cents, verdict.left);
        expect(admitted.lease.usd).toBe(leased / 100);
        admits.push({ lease: admitted.lease, at: now, expiresAt: now + expiresMs, cents: leased, settled: false });
      } else {
        expect(verdict[admitted.limit].may).toBe(true);
        expect(admitted.retryAfterMs).toBeGreaterThan(0);
      }
    },
  };

  for (const step of steps) {
    if (step.do === "wait") run.wait(step);
    else if (step.do === "grow") run.grow(step);
    else if (step.do === "settle") await run.settle(step);
    else await run.admit(step);
    for (const key of ["ada", "bob"]) for (const per of pers) expect(await store.spent(key, per, now)).toBe(spentOf(key, per) / 100);
  }
}

describe.each(Object.entries(implementations))("the %s store", (_, make) => {
  const open = (bounds?: Partial<Bounds>): Store => {
    const store = make(bounds);
    onTestFinished(() => store.close());
    return store;
  };

  /** Spends at once. */
  const spend = async (store: Store, usd: number, { now = noon, key = "ada", tokens = 0 } = {}) =>
    store.settle(leaseOf(await store.admit(asked({ key, now }))), { usd, tokens, now });

  describe("rates", () => {
    test("admits everything of a key without limits", async () => {
      const store = open();
      for (let i = 0; i < 1000; i += 1) expect(await store.admit(asked({ usd: 1e6 }))).toMatchObject({ ok: true });
    });

    test("refuses a request beyond the rate exactly until its retryAfterMs", async () => {
      const store = open();
      const limits = { requestsPerMinute: 2 };
      await store.admit(asked({ limits }));
      await store.admit(asked({ limits, now: noon + 20_000 }));
      const refused = await store.admit(asked({ limits, now: noon + 30_000 }));
      expect(refused).toEqual({ ok: false, limit: "requestsPerMinute", retryAfterMs: 30_000 });
      expect(await store.admit(asked({ limits, now: noon + 59_999 }))).toMatchObject({ ok: false });
      expect(await store.admit(asked({ limits, now: noon + 60_000 }))).toMatchObject({ ok: true });
      expect(waitOf(await store.admit(asked({ limits, now: noon + 60_000 })))).toBe(20_000);
    });

    test("tells requests apart that are more than a second apart", async () => {
      const store = open();
      const limits = { requestsPerMinute: 2 };
      await store.admit(asked({ limits }));
      await store.admit(asked({ limits, now: noon + 1500 }));
      expect(await store.admit(asked({ limits, now: noon + 60_000 }))).toMatchObject({ ok: true });
      expect(await store.admit(asked({ limits, now: noon + 60_000 }))).toMatchObject({ ok: false });
    });

    test("does not let twice the rate through at the edge of a minute", async () => {
      const store = open();
      const limits = { requestsPerMinute: 5 };
      const admitted = [];
      for (let now = noon + 59_000; now < noon + 61_000; now += 100) admitted.push(await store.admit(asked({ limits, now })));
      expect(admitted.filter(({ ok }) => ok)).toHaveLength(5);
    });

    test("does not count what it refused", async () => {
      const store = open();
      const limits = { requestsPerMinute: 1 };
      await store.admit(asked({ limits }));
      for (let i = 0; i < 10; i += 1) await store.admit(asked({ limits, now: noon + 1000 }));
      expect(await store.admit(asked({ limits, now: noon + 60_000 }))).toMatchObject({ ok: true });
    });

    test("refuses while the tokens of the last minute reach the limit", async () => {
      const store = open();
      const limits = { tokensPerMinute: 100 };
      await spend(store, 0, { tokens: 60 });
      await spend(store, 0, { tokens: 60, now: noon + 10_000 });
      const refused = await store.admit(asked({ limits, now: noon + 15_000 }));
      expect(refused).toEqual({ ok: false, limit: "tokensPerMinute", retryAfterMs: 45_000 });
      expect(await store.admit(asked({ limits, now: noon + 60_000 }))).toMatchObject({ ok: true });
    });

    test("knows no limit that was not set, whatever was settled", async () => {
      const store = open();
      for (const tokens of [1e308, 1e308, Infinity]) await spend(store, Infinity, { tokens });
      expect(await store.admit(asked())).toMatchObject({ ok: true });
      expect(await store.spent("ada", "day", noon)).toBe(0);
      const limits = { tokensPerMinute: 10 };
      expect(await store.admit(asked({ limits }))).toMatchObject({ ok: false, limit: "tokensPerMinute" });
      // What was counted is forgotten as any other.
      expect(await store.admit(asked({ limits, now: noon + 60_000 }))).toMatchObject({ ok: true });
      await spend(store, 0, { tokens: 10, now: noon + 60_000 });
      expect(await store.admit(asked({ limits, now: noon + 60_000 }))).toMatchObject({ ok: false });
    });

    test("refuses everything at a rate of zero", async () => {
      const refused = await open().admit(asked({ limits: { requestsPerMinute: 0 } }));
      expect(refused).toEqual({ ok: false, limit: "requestsPerMinute", retryAfterMs: 60_000 });
    });

    test("does not refuse for long after the clock was set back", async () => {
      const store = open();
      const limits = { requestsPerMinute: 1 };
      await store.admit(asked({ limits, now: noon + dayMs }));
      expect(await store.admit(asked({ limits }))).toMatchObject({ ok: true });
    });

    test("names the limit that refuses longest", async () => {
      const store = open();
      const limits = {
        requestsPerMinute: 1,
        concurrency: 1,
        budget: { usd: 1, per: "day" },
      } as const;
      leaseOf(await store.admit(asked({ limits })));
      const rate = await store.admit(asked({ limits, now: noon + 1 }));
      expect(rate).toMatchObject({ ok: false, limit: "requestsPerMinute" });
      await spend(store, 1);
      const budget = await store.admit(asked({ limits, now: noon + 1 }));
      expect(budget).toMatchObject({ ok: false, limit: "budget" });
    });
  });

  describe("concurrency", () => {
    test("is the number of open leases", async () => {
      const store = open();
      const limits = { concurrency: 2 };
      const lease = leaseOf(await store.admit(asked({ limits })));
      await store.admit(asked({ limits }));
      const refused = await store.admit(asked({ limits }));
      expect(refused).toMatchObject({ ok: false, limit: "concurrency" });
      expect(waitOf(refused)).toBeGreaterThan(0);
      await store.settle(lease, { usd: 0, tokens: 0, now: noon });
      expect(await store.admit(asked({ limits }))).toMatchObject({ ok: true });
      expect(await store.admit(asked({ limits }))).toMatchObject({ ok: false });
    });

    test("does not ask to wait for longer than a lease lasts", async () => {
      const store = open();
      const limits = { concurrency: 1 };
      await store.admit(asked({ limits, expiresMs: 300 }));
      expect(waitOf(await store.admit(asked({ limits, now: noon + 200 })))).toBe(100);
    });
  });

  describe("budget", () => {
    const edges = [
      ["minute", noon + 59_999, noon + 60_000],
      ["hour", noon + hourMs - 1, noon + hourMs],
      ["day", Date.UTC(2026, 10, 23, 23, 59, 59, 999), Date.UTC(2026, 10, 24)],
      ["month", Date.UTC(2026, 11, 31, 23, 59, 59, 999), Date.UTC(2027, 0, 1)],
      ["month", Date.UTC(2028, 1, 29, 23, 59, 59, 999), Date.UTC(2028, 2, 1)],
    ] as const;

    test.each(edges)("of a %s ends with it, in UTC", async (per, last, next) => {
      const store = open();
      const limits = { budget: { usd: 1, per } };
      await spend(store, 1, { now: last });
      const refused = await store.admit(asked({ limits, now: last }));
      expect(refused).toEqual({ ok: false, limit: "budget", retryAfterMs: 1, leftUsd: 0 });
      expect(await store.spent("ada", per, last)).toBe(1);
      expect(await store.spent("ada", per, next)).toBe(0);
      expect(await store.admit(asked({ limits, usd: 1, now: next }))).toMatchObject({ ok: true });
    });

    test("asks to wait for the end of its window", async () => {
      const store = open();
      await spend(store, 1);
      const limits = { budget: { usd: 1, per: "day" } } as const;
      expect(waitOf(await store.admit(asked({ limits })))).toBe(dayMs / 2);
    });

    test.each([
      [0.1, 0.3],
      [0.67, 2.01],
    ])("has room for three times %d in %d, and no more", async (third, usd) => {
      const store = open();
      const limits = { budget: { usd, per: "hour" } } as const;
      for (let i = 0; i < 3; i += 1) expect(await store.admit(asked({ limits, usd: third }))).toMatchObject({ ok: true });
      expect(await store.admit(asked({ limits, usd: 1e-9 }))).toMatchObject({ ok: false });
    });

    test("may be of millions", async () => {
      const limits = { budget: { usd: 5e6, per: "month" } } as const;
      const store = open();
      for (let i = 0; i < 5; i += 1) expect(await store.admit(asked({ limits, usd: 1e6 }))).toMatchObject({ ok: true });
      expect(await store.admit(asked({ limits, usd: 0.01 }))).toMatchObject({ ok: false });
    });

    test("counts what is held until it is settled", async () => {
      const store = open();
      const limits = { budget: { usd: 1, per: "day" } } as const;
      const lease = leaseOf(await store.admit(asked({ limits, usd: 1 })));
      expect(lease).toMatchObject({ key: "ada", usd: 1 });
      expect(await store.spent("ada", "day", noon)).toBe(0);
      const refused = await store.admit(asked({ limits, usd: 0.1 }));
      expect(refused).toMatchObject({ ok: false, limit: "budget" });
      // Room may be back as soon as the lease ends, long before the day does.
      expect(waitOf(refused)).toBeLessThanOrEqual(600_000);
      await store.settle(lease, { usd: 0.4, tokens: 10, now: noon });
      expect(await store.spent("ada", "day", noon)).toBe(0.4);
      expect(await store.admit(asked({ limits, usd: 0.6 }))).toMatchObject({ ok: true, lease: { usd: 0.6 } });
      expect(await store.admit(asked({ limits, usd: 0.1 }))).toMatchObject({ ok: false, limit: "budget", leftUsd: 0.6 });
    });

    test("caps a lease, and refuses only where nothing is left", async () => {
      const store = open();
      const limits = { budget: { usd: 1, per: "day" } } as const;
      await spend(store, 0.25);
      expect(leaseOf(await store.admit(asked({ limits, usd: 0.5 }))).usd).toBe(0.5);
      const capped = leaseOf(await store.admit(asked({ limits, usd: 0.5 })));
      expect(capped.usd).toBe(0.25);
      expect(await store.admit(asked({ limits, usd: 0.5 }))).toMatchObject({ ok: false, limit: "budget", leftUsd: 0.75 });
      await store.settle(capped, { usd: 0, tokens: 0, now: noon });
      expect(leaseOf(await store.admit(asked({ limits, usd: 0.5 }))).usd).toBe(0.25);
    });

    test("refuses what a part of its price does not help, until there is room for all of it", async () => {
      const store = open();
      const limits = { budget: { usd: 1, per: "day" } } as const;
      const whole = (usd: number) => store.admit(asked({ limits, usd, leastUsd: usd }));
      const lease = leaseOf(await whole(0.75));
      const held = await whole(0.5);
      expect(held).toMatchObject({ ok: false, limit: "budget", leftUsd: 1 });
      expect(waitOf(held)).toBeLessThan(60_000);
      await store.settle(lease, { usd: 0.75, tokens: 0, now: noon });
      expect(await whole(0.5)).toEqual({ ok: false, limit: "budget", leftUsd: 0.25, retryAfterMs: dayMs / 2 });
      expect(leaseOf(await whole(0.25)).usd).toBe(0.25);
    });

    test("lets requests without a price pass until it is spent", async () => {
      const store = open();
      const limits = { budget: { usd: 1, per: "day" } } as const;
      const lease = leaseOf(await store.admit(asked({ limits, usd: 1 })));
      expect(await store.admit(asked({ limits }))).toMatchObject({ ok: true });
      await store.settle(lease, { usd: 1, tokens: 0, now: noon });
      expect(await store.admit(asked({ limits }))).toMatchObject({ ok: false, limit: "budget" });
    });

    test("books what was spent beyond the lease", async () => {
      const store = open();
      const lease = leaseOf(await store.admit(asked({ usd: 0.1 })));
      await store.settle(lease, { usd: 5, tokens: 0, now: noon });
      expect(await store.spent("ada", "month", noon)).toBe(5);
    });

    test("counts spend in the window in which it was settled", async () => {
      const store = open();
      const lease = leaseOf(await store.admit(asked({ usd: 1, now: noon - 1 })));
      const limits = { budget: { usd: 1, per: "hour" } } as const;
      expect(await store.admit(asked({ limits, usd: 1 }))).toMatchObject({ ok: false });
      await store.settle(lease, { usd: 1, tokens: 0, now: noon + 1 });
      expect(await store.spent("ada", "hour", noon - 1)).toBe(0);
      expect(await store.spent("ada", "hour", noon)).toBe(1);
    });

    test("still knows the window before", async () => {
      const store = open();
      await spend(store, 1, { now: noon });
      await spend(store, 2, { now: noon - 1 });
      expect(await store.spent("ada", "hour", noon)).toBe(1);
      expect(await store.spent("ada", "hour", noon - 1)).toBe(2);
    });

    test.each([Number.NaN, -1])("takes a spend of %d for nothing", async (amount) => {
      const store = open();
      await spend(store, 1, { tokens: 1 });
      await spend(store, amount, { tokens: amount });
      expect(await store.spent("ada", "day", noon)).toBe(1);
      const limits = { tokensPerMinute: 1 };
      expect(await store.admit(asked({ limits }))).toMatchObject({ ok: false });
      limits.tokensPerMinute = 2;
      expect(await store.admit(asked({ limits }))).toMatchObject({ ok: true });
    });
  });

  describe("leases", () => {
    const limits = { concurrency: 1, budget: { usd: 1, per: "day" } } as const;

    test("expire by themselves", async () => {
      const store = open();
      await store.admit(asked({ limits, usd: 1, expiresMs: 1000 }));
      const early = await store.admit(asked({ limits, usd: 1, now: noon + 999 }));
      expect(early).toMatchObject({ ok: false });
      const late = await store.admit(asked({ limits, usd: 1, now: noon + 1000 }));
      expect(late).toMatchObject({ ok: true });
    });

    test("book what was spent even after they expired, once", async () => {
      const store = open();
      const lease = leaseOf(await store.admit(asked({ usd: 1, expiresMs: 1000 })));
      const other = leaseOf(await store.admit(asked({ usd: 1, now: noon + 2000 })));
      for (let i = 0; i < 2; i += 1) await store.settle(lease, { usd: 0.25, tokens: 0, now: noon + 3000 });
      expect(await store.spent("ada", "day", noon)).toBe(0.25);
      const admitted = await store.admit(asked({ limits: { concurrency: 1 }, now: noon + 3000 }));
      expect(admitted).toMatchObject({ ok: false });
      await store.settle(other, { usd: 0, tokens: 0, now: noon + 3000 });
    });

    test("are settled once", async () => {
      const store = open();
      const lease = leaseOf(await store.admit(asked({ usd: 1 })));
      const other = leaseOf(await store.admit(asked({ usd: 0.5 })));
      await store.settle(lease, { usd: 0.25, tokens: 7, now: noon });
      await store.settle({ ...lease }, { usd: 0.25, tokens: 7, now: noon });
      expect(await store.spent("ada", "day", noon)).toBe(0.25);
      const rate = { tokensPerMinute: 8 };
      expect(await store.admit(asked({ limits: rate }))).toMatchObject({ ok: true });
      // The other hold is untouched: 0.25 and 0.5 of the budget are not free.
      const budget = { budget: limits.budget };
      expect(leaseOf(await store.admit(asked({ limits: budget, usd: 0.26 }))).usd).toBe(0.25);
      await store.settle(other, { usd: 0, tokens: 0, now: noon });
    });

    test("grow by what nobody holds, and no further", async () => {
      const store = open();
      const grow = (lease: Lease, usd: number, now = noon) => store.grow(lease, { limits: { budget: limits.budget }, usd, now });
      const lease = leaseOf(await store.admit(asked({ usd: 0.25 })));
      const other = leaseOf(await store.admit(asked({ usd: 0.25 })));
      expect(grow(lease, 0.51)).toBe(false);
      expect([grow(lease, 0.25), grow(other, 0.25), grow(lease, 0.01), grow(lease, 0)]).toEqual([true, true, false, true]);
      expect(await store.admit(asked({ limits: { budget: limits.budget }, usd: 0.1 }))).toMatchObject({ ok: false, leftUsd: 1 });
      await store.settle(other, { usd: 0.25, tokens: 0, now: noon });
      expect([grow(other, 0), grow(lease, 0.26), grow(lease, 0.25)]).toEqual([false, false, true]);
      await store.settle(lease, { usd: 0.7, tokens: 0, now: noon });
      expect(leaseOf(await store.admit(asked({ limits: { budget: limits.budget }, usd: 1 }))).usd).toBe(0.05);
    });

    test("do not grow once they have expired", async () => {
      const store = open();
      const lease = leaseOf(await store.admit(asked({ usd: 0.1, expiresMs: 1000 })));
      expect(store.grow(lease, { limits: {}, usd: 0.1, now: noon + 1000 })).toBe(false);
      expect(store.grow({ ...lease, key: "eve" }, { limits: {}, usd: 0.1, now: noon })).toBe(false);
    });

    test("of another store change nothing", async () => {
      const [store, other] = [open(), open()];
      await store.admit(asked());
      const lease = leaseOf(await other.admit(asked()));
      await store.settle(lease, { usd: 1, tokens: 1, now: noon });
      expect(await store.spent("ada", "day", noon)).toBe(0);
    });

    test("that are asked for at once do not overshoot", async () => {
      const store = open();
      const admission = asked({ limits: { budget: { usd: 0.7, per: "day" } }, usd: 0.1 });
      const all = await Promise.all(Array.from({ length: 100 }, async () => store.admit(admission)));
      expect(all.filter(({ ok }) => ok)).toHaveLength(7);
    });
  });

  test("keeps keys apart", async () => {
    const store = open();
    const limits = {
      requestsPerMinute: 1,
      tokensPerMinute: 1,
      concurrency: 1,
      budget: { usd: 1, per: "day" },
    } as const;
    await spend(store, 1, { tokens: 10 });
    await store.admit(asked());
    expect(await store.spent("bob", "day", noon)).toBe(0);
    expect(await store.admit(asked({ key: "bob", limits, usd: 1 }))).toMatchObject({ ok: true });
  });

  test("forgets none of many keys that spent this month or hold a lease", async () => {
    const store = open();
    const longAgo = noon - 40 * dayMs;
    const hold = asked({ key: "held", now: longAgo, expiresMs: 90 * dayMs });
    const held = leaseOf(await store.admit(hold));
    for (const now of [longAgo, noon - hourMs, noon]) for (let i = 0; i < 1500; i += 1) await spend(store, 1, { key: `${now} ${i}`, now });
    expect(await store.spent(`${longAgo} 7`, "month", noon)).toBe(0);
    for (let i = 0; i < 1500; i += 1) expect(await store.spent(`${noon - hourMs} ${i}`, "month", noon)).toBe(1);
    const limits = { concurrency: 1 };
    expect(await store.admit(asked({ key: "held", limits }))).toMatchObject({ ok: false });
    await store.settle(held, { usd: 2, tokens: 0, now: noon });
    expect(await store.spent("held", "month", noon)).toBe(2);
  });

  test("agrees with a plain model over any sequence", { timeout: 30_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(limitsOf, fc.array(step, { maxLength: 60 }), async (limits, steps) => {
        const store = make();
        try {
          await replay(store, limits, steps);
        } finally {
          await store.close();
        }
      }),
      { numRuns: 150 },
    );
  });

  describe("request records", () => {
    const record = (id: string, { key = "ada", at = noon } = {}) => ({
      id,
      key,
      at,
      body: new KeptText(JSON.stringify({ id, key })),
    });
    /** A record as what it says. */
    const told = (record: RequestRecord | undefined) => record && { ...record, body: record.body.json() };

    test("are for the key that made them", async () => {
      const store = open();
      await store.putRequest(record("one"));
      await store.putRequest(record("one", { key: "bob" }));
      expect(told(await store.getRequest("ada", "one", noon))).toEqual(told(record("one")));
      expect(told(await store.getRequest("bob", "one", noon))).toEqual(told(record("one", { key: "bob" })));
      expect(await store.getRequest("eve", "one", noon)).toBeUndefined();
      expect(await store.getRequest("adaon", "e", noon)).toBeUndefined();
    });

    test("are kept for 24 hours", async () => {
      const store = open();
      await store.putRequest(record("one"));
      expect(told(await store.getRequest("ada", "one", noon + dayMs - 1))).toEqual(told(record("one")));
      expect(await store.getRequest("ada", "one", noon + dayMs)).toBeUndefined();
    });

    test("are the newest so many", async () => {
      const store = open({ requests: 3 });
      for (const id of ["one", "two", "three", "two", "four", "five"]) await store.putRequest(record(id));
      expect(await store.getRequest("ada", "one", noon)).toBeUndefined();
      expect(await store.getRequest("ada", "three", noon)).toBeUndefined();
      for (const id of ["two", "four", "five"]) expect(told(await store.getRequest("ada", id, noon))).toEqual(told(record(id)));
    });

    test("are no more than so many bytes in memory", async () => {
      const store = memoryStore({ bounds: { requestBytes: 1000 } });
      const large = (id: string) => ({ ...record(id), body: new KeptText("x".repeat(200)) });
      for (const id of ["one", "two", "three"]) await store.putRequest(large(id));
      expect(await store.getRequest("ada", "one", noon)).toBeUndefined();
      for (const id of ["two", "three"]) expect(await store.getRequest("ada", id, noon)).toBeDefined();
      await store.putRequest({ ...record("huge"), body: new KeptText("x".repeat(1000)) });
      for (const id of ["two", "three", "huge"]) expect(await store.getRequest("ada", id, noon)).toBeUndefined();
      await store.putRequest(large("four"));
      expect(await store.getRequest("ada", "four", noon)).toBeDefined();
    });

    test("are 10,000", async () => {
      const store = open();
      for (let i = 0; i <= 10_000; i += 1) await store.putRequest(record(`r${i}`));
      expect(await store.getRequest("ada", "r0", noon)).toBeUndefined();
      expect(told(await store.getRequest("ada", "r1", noon))).toEqual(told(record("r1")));
    });
  });

  describe("values", () => {
    const put = (store: Store, key: string, value = "x") => store.set("cache", key, { value, ttlMs: 1000, now: noon });

    test("expire", async () => {
      const store = open();
      await put(store, "one");
      expect(await store.get("cache", "one", noon + 999)).toBe("x");
      expect(await store.get("cache", "one", noon + 1000)).toBeUndefined();
    });

    test("are replaced", async () => {
      const store = open();
      await put(store, "one");
      await store.set("cache", "one", { value: "y", ttlMs: 5000, now: noon });
      expect(await store.get("cache", "one", noon + 4000)).toBe("y");
    });

    test("are apart by space", async () => {
      const store = open();
      await put(store, "one");
      expect(await store.get("other", "one", noon)).toBeUndefined();
      expect(await store.get("cacheo", "ne", noon)).toBeUndefined();
    });

    test("go by least recent use when they are too many", async () => {
      const store = open({ values: 3 });
      for (const key of ["one", "two", "three"]) await put(store, key);
      await store.get("cache", "one", noon);
      await put(store, "two");
      await put(store, "four");
      expect(await store.get("cache", "three", noon)).toBeUndefined();
      for (const key of ["one", "two", "four"]) expect(await store.get("cache", key, noon)).toBe("x");
    });

    test("go by least recent use when they are too large together", async () => {
      const store = open({ valueBytes: 10_000 });
      for (const key of ["one", "two", "three"]) await put(store, key, "x".repeat(2000));
      expect(await store.get("cache", "one", noon)).toBeUndefined();
      expect(await store.get("cache", "two", noon)).toHaveLength(2000);
    });

    test("that are too large alone are not kept, nor push others out", async () => {
      const store = open({ valueBytes: 10_000 });
      await put(store, "one");
      await put(store, "two");
      await put(store, "two", "x".repeat(10_000));
      expect(await store.get("cache", "two", noon)).toBeUndefined();
      expect(await store.get("cache", "one", noon)).toBe("x");
    });
  });

  test("closes twice", async () => {
    const store = make();
    await spend(store, 1);
    await store.close();
    await store.close();
  });
});
