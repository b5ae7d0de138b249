import { describe, expect, test } from "vitest";
import { byClusters, byNeighbours, clustersOf, descending, normalised, traded } from "../../src/panel/route/neighbours.ts";

const at = (...values: number[]) => normalised(Float32Array.from(values));
const quality = { alpha: 1, costs: [] };

test("values go from high to low, and of equals the earlier is first", () => {
  expect(descending([1, 3, 2, 3])).toEqual([1, 3, 2, 0]);
  // Sums in another order: 0.1 + 0.2 is not 0.3 to the last bit.
  expect(descending([0.3, 0.1 + 0.2])).toEqual([0, 1]);
});

describe("quality against cost", () => {
  test("is quality alone at alpha 1", () => {
    expect(traded([0.2, 0.9], [1, 100], 1)).toEqual([0.2, 0.9]);
  });

  test("is spread over the members and weighed with cheapness", () => {
    // Quality (0, 0.5, 1), cheapness (1 - 1/10, 1 - 5/10, 0).
    const values = traded([0.2, 0.4, 0.6], [1, 5, 10], 0.5);
    expect(values.map((value) => Number(value.toFixed(4)))).toEqual([0.45, 0.5, 0.5]);
  });

  test("is cheapness where the members are equally good, and survives what costs nothing", () => {
    expect(descending(traded([0.5, 0.5], [2, 1], 0.7))).toEqual([1, 0]);
    expect(traded([0.5, 0.5], [0, 0], 0.7)).toEqual([1, 1]);
  });
});

test("neighbours: the mean grade over the nearest, by angle and not by length", () => {
  const points = [
    { vector: at(1, 0), scores: [1, 0] },
    { vector: at(5, 1), scores: [0.5, 0.1] },
    { vector: at(0, 1), scores: [0, 1] },
  ];
  expect(byNeighbours(at(9, 1), points, 2, quality)).toEqual([0.75, 0.05]);
  expect(byNeighbours(at(0, 9), points, 1, quality)).toEqual([0, 1]);
  // More neighbours than there are texts: all of them.
  expect(byNeighbours(at(1, 0), points, 50, quality).map((value) => Number(value.toFixed(3)))).toEqual([0.5, 0.367]);
});

describe("clusters", () => {
  const points = [
    { vector: at(1, 0), scores: [0.9, 0.1, 0.5] },
    { vector: at(10, 1), scores: [0.7, 0.3, 0.5] },
    { vector: at(0, 1), scores: [0.1, 0.2, 0.9] },
    { vector: at(1, 10), scores: [0.1, 0.4, 0.7] },
  ];

  test("hold what is near, each with its own ranking, the same every time", () => {
    const clusters = clustersOf(points, 2, quality);
    expect(clusters.map(({ ranking }) => ranking)).toEqual([
      [0, 2, 1],
      [2, 1, 0],
    ]);
    expect(clustersOf(points, 2, quality)).toEqual(clusters);
  });

  test("are no more than there are different texts", () => {
    expect(clustersOf([...points, ...points], 25, quality)).toHaveLength(4);
  });

  test("speak by softmax of -9 times the distance, a member by 1 / (rank + 1)", () => {
    const clusters = [
      { centre: at(1, 0), ranking: [0, 1] },
      { centre: at(0, 1), ranking: [1, 0] },
    ];
    // Distances 0 and 1: weights 1 / (1 + e^-9) and e^-9 / (1 + e^-9).
    const far = Math.exp(-9) / (1 + Math.exp(-9));
    const [first = 0, second = 0] = byClusters(at(1, 0), clusters, 2);
    expect(first).toBeCloseTo(1 - far + far / 2, 10);
    expect(second).toBeCloseTo((1 - far) / 2 + far, 10);
  });

  test("beyond the three nearest have no say", () => {
    const clusters = [...[0, 1, 2].map((tilt) => ({ centre: at(10, tilt), ranking: [0, 1] })), { centre: at(0, 1), ranking: [1, 0] }];
    expect(byClusters(at(1, 0), clusters, 2)).toEqual([1, 0.5]);
  });
});
