import * as fc from "../support/properties.ts";
import { describe, expect, test } from "vitest";
import { createTally, leadProbability, type Tally } from "../../src/panel/voting/tally.ts";

interface Vote {
  readonly key: string;
  readonly weight: number;
  readonly order: number;
}

function tallyOf(votes: readonly Vote[]): Tally {
  const tally = createTally();
  for (const vote of votes) tally.add(vote.key, vote.weight, vote.order);
  return tally;
}

/** Votes written as "aab": one letter a voter, in declared order. */
function votesOf(letters: string): Vote[] {
  return letters.split("").map((key, order) => ({ key, weight: 1, order }));
}

/** Every way the pending voters can vote: for a class that has votes, or for one that has none. */
function* futures(pending: readonly Vote[], keys: readonly string[]): Generator<Vote[]> {
  const [next, ...rest] = pending;
  if (next === undefined) {
    yield [];
    return;
  }
  for (const key of keys) for (const tail of futures(rest, keys)) yield [{ ...next, key }, ...tail];
}

/** Integers and halves: their sums are exact, so that brute force and tally see the same ties. */
const dyadic = fc.integer({ min: 1, max: 8 }).map((halves) => halves / 2);
const votes = fc
  .array(fc.record({ key: fc.constantFrom("a", "b", "c", "d"), weight: dyadic }), { maxLength: 8 })
  .map((list) => list.map((vote, order) => ({ ...vote, order })));

describe("leader", () => {
  test("is nobody before the first vote", () => {
    const tally = createTally();
    expect(tally.leader()).toBeUndefined();
    expect(tally.standings()).toEqual([]);
    expect(tally.share()).toBe(0);
    expect(tally.unassailable(3)).toBe(false);
    expect(tally.unassailable(0)).toBe(false);
    expect(tally.beta()).toBe(false);
  });

  test("is the class with the most votes, spoken for by its earliest voter", () => {
    expect(tallyOf(votesOf("abb")).leader()).toEqual({ key: "b", weight: 2, count: 2, order: 1 });
  });

  test("is the class with the most weight, not with the most voters", () => {
    const tally = tallyOf([
      { key: "a", weight: 1, order: 0 },
      { key: "a", weight: 1, order: 1 },
      { key: "b", weight: 2.5, order: 2 },
    ]);
    expect(tally.leader()).toEqual({ key: "b", weight: 2.5, count: 1, order: 2 });
  });

  test("is, in a tie, the class of the earliest declared member, whoever came first", () => {
    const tally = createTally();
    tally.add("late", 1, 3);
    tally.add("long long answer", 1, 2);
    tally.add("early", 1, 0);
    expect(tally.leader()?.key).toBe("early");
    expect(tally.standings().map((standing) => standing.key)).toEqual(["early", "long long answer", "late"]);
  });

  test("sees a tie through the noise of float sums", () => {
    const tally = tallyOf([
      { key: "whole", weight: 0.3, order: 0 },
      { key: "parts", weight: 0.1, order: 1 },
      { key: "parts", weight: 0.2, order: 2 },
    ]);
    expect(tally.leader()?.key).toBe("whole");
  });

  test("does not depend on the order of arrival", () => {
    fc.assert(
      fc.property(
        votes.chain((list) => fc.tuple(fc.constant(list), fc.shuffledSubarray(list, { minLength: list.length }))),
        ([list, shuffled]) => {
          expect(tallyOf(shuffled).standings()).toEqual(tallyOf(list).standings());
        },
      ),
    );
  });

  test("agrees with a plain sort of sums", () => {
    fc.assert(
      fc.property(votes, (list) => {
        const keys = [...new Set(list.map((vote) => vote.key))];
        const sorted = keys
          .map((key) => {
            const own = list.filter((vote) => vote.key === key);
            return {
              key,
              weight: own.reduce((sum, vote) => sum + vote.weight, 0),
              count: own.length,
              order: Math.min(...own.map((vote) => vote.order)),
            };
          })
          .sort((a, b) => b.weight - a.weight || a.order - b.order);
        const tally = tallyOf(list);
        expect(tally.standings()).toEqual(sorted);
        expect(tally.leader()).toEqual(sorted[0]);
      }),
    );
  });

  test("is voted down by a negative weight", () => {
    const tally = tallyOf([
      { key: "a", weight: 1, order: 0 },
      { key: "a", weight: -0.8, order: 1 },
      { key: "b", weight: 0.5, order: 2 },
    ]);
    expect(tally.leader()?.key).toBe("b");
  });
});

describe("share", () => {
  test("is the leader's part of the weight of all valid votes", () => {
    expect(tallyOf(votesOf("aaab")).share()).toBe(0.75);
    expect(tallyOf(votesOf("a")).share()).toBe(1);
    expect(
      tallyOf([
        { key: "a", weight: 3, order: 0 },
        { key: "b", weight: 1, order: 1 },
        { key: "c", weight: 2, order: 2 },
      ]).share(),
    ).toBe(0.5);
  });

  test("counts heads when all weights are zero", () => {
    expect(tallyOf(votesOf("aab").map((vote) => ({ ...vote, weight: 0 }))).share()).toBeCloseTo(2 / 3);
  });

  test("stays between 0 and 1", () => {
    const weights = fc.record({
      key: fc.constantFrom("a", "b"),
      weight: fc.double({ min: -5, max: 5, noNaN: true }),
      order: fc.nat(9),
    });
    fc.assert(
      fc.property(fc.array(weights, { maxLength: 6 }), (list) => {
        const share = tallyOf(list).share();
        expect(share).toBeGreaterThanOrEqual(0);
        expect(share).toBeLessThanOrEqual(1);
      }),
    );
  });
});

describe("unassailable", () => {
  test.each([
    ["a", 2, false],
    ["aa", 1, true],
    ["aa", 2, false],
    ["aaa", 2, true],
    ["aab", 1, false],
    ["aaab", 1, true],
    ["ab", 0, true],
    ["ab", 1, false],
    ["a", 0, true],
  ])("%s with %i outstanding: %s", (cast, outstanding, decided) => {
    expect(tallyOf(votesOf(cast)).unassailable(outstanding)).toBe(decided);
  });

  test("is true only if no future makes another class win, and stays true", () => {
    const split = fc.tuple(votes, fc.nat(4)).map(([list, open]) => ({
      cast: list.slice(0, Math.max(0, list.length - open)),
      pending: list.slice(Math.max(0, list.length - open)),
    }));
    fc.assert(
      fc.property(split, ({ cast, pending }) => {
        const tally = tallyOf(cast);
        const outstanding = pending.reduce((sum, vote) => sum + vote.weight, 0);
        const leader = tally.leader();
        const keys = [...new Set([...cast.map((vote) => vote.key), "unseen"])];
        const winners = new Set<string | undefined>();
        for (const future of futures(pending, keys)) winners.add(tallyOf([...cast, ...future]).leader()?.key);
        if (tally.unassailable(outstanding)) {
          expect([...winners]).toEqual([leader?.key]);
        } else if (leader !== undefined) {
          // Nothing is claimed late: then some future at least draws level with the leader.
          const rivals = tally.standings().slice(1);
          const rival = Math.max(0, ...rivals.map((standing) => standing.weight));
          expect(rival + outstanding).toBeGreaterThanOrEqual(leader.weight);
        }
      }),
      { numRuns: 300 },
    );
  });

  test("holds against late voters with negative weights, when their absolute weight is counted", () => {
    const tally = tallyOf(votesOf("aaab"));
    expect(tally.unassailable(1.5)).toBe(true);
    tally.add("a", -1.5, 4);
    expect(tally.leader()?.key).toBe("a");
  });
});

describe("beta", () => {
  test.each([
    [4, 0, 0.969],
    [3, 0, 0.938],
    [6, 1, 0.965],
    [5, 1, 0.938],
    [1, 1, 0.5],
    [0, 0, 0.5],
  ])("%i against %i gives %f", (a, b, probability) => {
    expect(leadProbability(a, b)).toBeCloseTo(probability, 3);
  });

  test.each([
    ["aaa", false],
    ["aaaa", true],
    ["aaaaab", false],
    ["aaaaaab", true],
    ["aaaaaabb", false],
    ["aabb", false],
  ])("%s stops: %s", (cast, stops) => {
    expect(tallyOf(votesOf(cast)).beta()).toBe(stops);
  });

  test("looks at the two largest classes only", () => {
    expect(tallyOf(votesOf("aaaaaabcd")).beta()).toBe(true);
  });

  test("takes another confidence", () => {
    expect(tallyOf(votesOf("aaa")).beta(0.9)).toBe(true);
    expect(tallyOf(votesOf("aaaa")).beta(0.99)).toBe(false);
  });

  test("equals the share of coin sequences that the closed form counts, by enumeration", () => {
    // 1 - I_0.5(a+1, b+1) is the chance that at most a of a+b+1 fair coins show heads.
    for (let a = 0; a <= 6; a += 1) {
      for (let b = 0; b <= 6; b += 1) {
        const coins = a + b + 1;
        let within = 0;
        for (let bits = 0; bits < 2 ** coins; bits += 1) {
          let heads = 0;
          for (let rest = bits; rest > 0; rest >>= 1) heads += rest & 1;
          if (heads <= a) within += 1;
        }
        expect(leadProbability(a, b)).toBeCloseTo(within / 2 ** coins, 12);
      }
    }
  });

  test("equals the integral of the Beta posterior over p > 1/2", () => {
    const integral = (a: number, b: number): number => {
      const steps = 2000;
      let above = 0;
      let all = 0;
      for (let i = 0; i < steps; i += 1) {
        const p = (i + 0.5) / steps;
        const density = Math.exp(a * Math.log(p) + b * Math.log(1 - p));
        all += density;
        if (p > 0.5) above += density;
      }
      return above / all;
    };
    fc.assert(
      fc.property(fc.nat(40), fc.nat(40), (a, b) => {
        expect(leadProbability(a, b)).toBeCloseTo(integral(a, b), 4);
      }),
      { numRuns: 50 },
    );
  });

  test("is symmetric about one half, also for counts in the thousands", () => {
    fc.assert(
      fc.property(fc.nat(5000), fc.nat(5000), (a, b) => {
        expect(leadProbability(a, b) + leadProbability(b, a)).toBeCloseTo(1, 9);
      }),
    );
    expect(leadProbability(5000, 4000)).toBeCloseTo(1, 9);
    expect(leadProbability(4000, 4000)).toBeCloseTo(0.5, 9);
  });
});
