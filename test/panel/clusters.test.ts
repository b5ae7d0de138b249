import * as fc from "../support/properties.ts";
import { describe, expect, test } from "vitest";
import { clusters } from "../../src/panel/voting/clusters.ts";

const inOrder = (a: string, b: string) => (a < b ? -1 : 1);

/** Groups by name, so that they can be compared whatever the order. */
function named(keys: readonly string[], like: ReadonlyMap<string, number>, least: number): readonly string[] {
  const similarity = (one: number, other: number) => like.get([keys[one] ?? "", keys[other] ?? ""].toSorted(inOrder).join("")) ?? 0;
  return clusters(keys, similarity, (mean) => mean >= least)
    .map((group) =>
      group
        .map((index) => keys[index] ?? "")
        .toSorted(inOrder)
        .join(""),
    )
    .toSorted(inOrder);
}

describe("clusters", () => {
  test("join what is alike, the most alike first", () => {
    // c is nearer to b (0.9) than to d (0.8); then bc to d on the mean (0.8 + 0.2) / 2 = 0.5.
    const like = new Map([
      ["bc", 0.9],
      ["cd", 0.8],
      ["bd", 0.2],
    ]);
    expect(named(["a", "b", "c", "d"], like, 0.6)).toEqual(["a", "bc", "d"]);
    expect(named(["a", "b", "c", "d"], like, 0.5)).toEqual(["a", "bcd"]);
  });

  test("do not follow a chain to its end", () => {
    const chain = new Map([
      ["ab", 1],
      ["bc", 1],
      ["cd", 1],
    ]);
    expect(named(["a", "b", "c", "d"], chain, 0.6)).toEqual(["ab", "cd"]);
  });

  test("are one each where nothing is alike, and none of nothing", () => {
    expect(named(["b", "a"], new Map(), 0.5)).toEqual(["a", "b"]);
    expect(
      clusters(
        [],
        () => 1,
        () => true,
      ),
    ).toEqual([]);
  });

  test("stand in the order of their first member", () => {
    expect(
      clusters(
        ["c", "a", "b"],
        (one, other) => (one + other === 2 ? 1 : 0),
        (mean) => mean > 0.5,
      ),
    ).toEqual([[0, 2], [1]]);
  });

  test("do not depend on the order of the items", () => {
    const keys = ["a", "b", "c", "d", "e", "f"];
    const pairs = keys.flatMap((one, index) => keys.slice(index + 1).map((other) => one + other));
    const similarities = fc.array(fc.constantFrom(0, 0.1, 0.3, 0.5, 0.7, 0.9, 1), { minLength: pairs.length, maxLength: pairs.length });
    const order = fc.shuffledSubarray(keys, { minLength: keys.length, maxLength: keys.length });
    fc.assert(
      fc.property(similarities, order, fc.constantFrom(0.3, 0.5, 0.8), (values, shuffled, least) => {
        const like = new Map(pairs.map((pair, index) => [pair, values[index] ?? 0]));
        expect(named(shuffled, like, least)).toEqual(named(keys, like, least));
      }),
      { numRuns: 500 },
    );
  });
});
