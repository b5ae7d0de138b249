/**
 * Ids under which each call of a conversation can be told from all others, the same for a call and its result. Calls of the deprecated form have
 * only a name, and some servers count anew in each answer; native APIs refuse an id that they have seen. The first call keeps its id, and
 * what the next becomes hangs on nothing that comes later: a prompt that grows stays the same at its front, so that it stays cached.
 */
export class CallNumbers {
  readonly #taken = new Set<string>();
  /** How many calls wanted an id. */
  readonly #wanted = new Map<string, number>();
  /** What the newest call of an id is told by. */
  readonly #newest = new Map<string, string>();

  call(id: string): string {
    let unique = id;
    let count = (this.#wanted.get(id) ?? 0) + 1;
    if (count > 1) unique = `${id}_${count}`;
    while (this.#taken.has(unique)) {
      count += 1;
      unique = `${id}_${count}`;
    }
    this.#wanted.set(id, count);
    this.#taken.add(unique);
    this.#newest.set(id, unique);
    return unique;
  }

  /** The id of the call that a result is of: results follow their calls before anything else is called. */
  result(id: string): string {
    return this.#newest.get(id) ?? id;
  }
}
