/** All the chance that the demo has: a number in [0, 1) that is always the same for the same parts. */
export function uniform(...parts: readonly (string | number)[]): number {
  return hash(parts.join("\u0000")) / 2 ** 32;
}

/** 32 bits of FNV-1a with the finaliser of MurmurHash3, so that texts that differ in one character are far apart. */
export function hash(text: string): number {
  let h = 0x811c9dc5;
  for (let i = 0; i < text.length; i += 1) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

/** The item at a place in [0, 1) of a list; undefined only when the list is empty. */
export function pick<T>(list: readonly T[], at: number): T | undefined {
  return list[Math.floor(at * list.length)];
}
