import * as fc from "../support/properties.ts";
import { expect, test } from "vitest";
import { neighbours, type Topology } from "../../src/panel/topology.ts";

/** Drawn by hand. */
const drawn: Readonly<Record<Topology, Readonly<Record<number, readonly (readonly number[])[]>>>> = {
  // 0 - 1 - 2 - 3 - 4 - 5
  chain: {
    2: [[1], [0]],
    3: [[1], [0, 2], [1]],
    4: [[1], [0, 2], [1, 3], [2]],
    5: [[1], [0, 2], [1, 3], [2, 4], [3]],
    6: [[1], [0, 2], [1, 3], [2, 4], [3, 5], [4]],
  },
  // The chain, closed. Two have one neighbour each, not the same one twice.
  ring: {
    2: [[1], [0]],
    3: [
      [1, 2],
      [0, 2],
      [0, 1],
    ],
    4: [
      [1, 3],
      [0, 2],
      [1, 3],
      [0, 2],
    ],
    5: [
      [1, 4],
      [0, 2],
      [1, 3],
      [2, 4],
      [0, 3],
    ],
    6: [
      [1, 5],
      [0, 2],
      [1, 3],
      [2, 4],
      [3, 5],
      [0, 4],
    ],
  },
  // The centre reads all, all read the centre alone.
  star: {
    2: [[1], [0]],
    3: [[1, 2], [0], [0]],
    4: [[1, 2, 3], [0], [0], [0]],
    5: [[1, 2, 3, 4], [0], [0], [0], [0]],
    6: [[1, 2, 3, 4, 5], [0], [0], [0], [0], [0]],
  },
  complete: {
    2: [[1], [0]],
    3: [
      [1, 2],
      [0, 2],
      [0, 1],
    ],
    4: [
      [1, 2, 3],
      [0, 2, 3],
      [0, 1, 3],
      [0, 1, 2],
    ],
    5: [
      [1, 2, 3, 4],
      [0, 2, 3, 4],
      [0, 1, 3, 4],
      [0, 1, 2, 4],
      [0, 1, 2, 3],
    ],
    6: [
      [1, 2, 3, 4, 5],
      [0, 2, 3, 4, 5],
      [0, 1, 3, 4, 5],
      [0, 1, 2, 4, 5],
      [0, 1, 2, 3, 5],
      [0, 1, 2, 3, 4],
    ],
  },
  //       0
  //     1   2
  //    3 4 5
  tree: {
    2: [[1], [0]],
    3: [[1, 2], [0], [0]],
    4: [[1, 2], [0, 3], [0], [1]],
    5: [[1, 2], [0, 3, 4], [0], [1], [1]],
    6: [[1, 2], [0, 3, 4], [0, 5], [1], [1], [2]],
  },
};

const topologies = Object.keys(drawn) as Topology[];
const cases = topologies.flatMap((topology) =>
  Object.entries(drawn[topology]).map(([seats, expected]) => [topology, Number(seats), expected] as const),
);

test.each(cases)("a %s of %i is the one that was drawn", (topology, seats, expected) => {
  expect(neighbours(topology, seats)).toEqual(expected);
});

test.each(topologies)("a single seat of a %s reads nobody", (topology) => {
  expect(neighbours(topology, 1)).toEqual([[]]);
});

test("reading goes both ways, nobody reads itself, and all are connected", () => {
  const holds = (topology: Topology, seats: number) => {
    const read = neighbours(topology, seats);
    for (const [seat, others] of read.entries()) {
      expect(others).not.toContain(seat);
      expect(others).toEqual([...new Set(others)].toSorted((a, b) => a - b));
      for (const other of others) expect(read[other]).toContain(seat);
    }
    const reached = new Set([0]);
    for (const seat of reached) for (const other of read[seat] ?? []) reached.add(other);
    expect(reached.size).toBe(seats);
  };
  fc.assert(fc.property(fc.constantFrom(...topologies), fc.integer({ min: 2, max: 20 }), holds));
});
