/** Means of the same similarities in another order differ in the last bits; a group must not. */
const SAME = 1e-9;

/**
 * Groups items whose similarity is known, by average linkage: the two groups with the highest mean similarity become one, again and again,
 * as long as `joins` says so of that mean. The result depends on the items alone, not on the order in which they come: pairs are looked at
 * in the order of the keys, which have to be distinct, and of equal means the first one in that order goes first.
 *
 * A chain (A like B, B like C, A unlike C) is not one group unless the mean over all pairs says so, as it would be in a transitive closure.
 * Groups hold indices and stand in the order of their first member; their members too.
 */
export function clusters(
  keys: readonly string[],
  similarity: (one: number, other: number) => number,
  joins: (mean: number) => boolean,
): readonly (readonly number[])[] {
  const inOrder = [...keys.keys()].sort((a, b) => ((keys[a] ?? "") < (keys[b] ?? "") ? -1 : 1));
  let groups: (readonly number[])[] = inOrder.map((index) => [index]);
  const mean = (one: readonly number[], other: readonly number[]) => {
    let sum = 0;
    for (const a of one) for (const b of other) sum += similarity(a, b);
    return sum / (one.length * other.length);
  };
  for (;;) {
    let best: { readonly one: readonly number[]; readonly other: readonly number[]; readonly mean: number } | undefined;
    for (const [index, one] of groups.entries()) {
      for (const other of groups.slice(index + 1)) {
        const found = mean(one, other);
        if (best === undefined || found > best.mean + SAME) best = { one, other, mean: found };
      }
    }
    if (best === undefined || !joins(best.mean)) break;
    const { one, other } = best;
    groups = groups.filter((group) => group !== other).map((group) => (group === one ? [...one, ...other] : group));
  }
  return groups.map((group) => group.toSorted((a, b) => a - b)).sort((a, b) => (a[0] ?? 0) - (b[0] ?? 0));
}
