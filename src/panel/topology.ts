/** Who reads whom in a debate. */
export type Topology = "chain" | "ring" | "star" | "complete" | "tree";

/** Whether two different seats read each other; in each pair `a` is the smaller. Seat 0 is the head, the centre, the root. */
const LINKED: Readonly<Record<Topology, (a: number, b: number, seats: number) => boolean>> = {
  chain: (a, b) => b === a + 1,
  ring: (a, b, seats) => b === a + 1 || (a === 0 && b === seats - 1),
  star: (a) => a === 0,
  complete: () => true,
  // A binary heap: the children of i are 2i + 1 and 2i + 2.
  tree: (a, b) => a === Math.floor((b - 1) / 2),
};

/**
 * For each seat the seats that it reads, in order: never itself, none twice. Reading goes both ways, as in the code of arXiv 2410.15686, so with
 * two seats or more nobody is alone. The star is a plain one: with the ring that the code lays through its leaves, four seats would be complete.
 */
export function neighbours(topology: Topology, seats: number): readonly (readonly number[])[] {
  const linked = LINKED[topology];
  const all = Array.from({ length: seats }, (_, seat) => seat);
  return all.map((seat) => all.filter((other) => other !== seat && linked(Math.min(seat, other), Math.max(seat, other), seats)));
}
