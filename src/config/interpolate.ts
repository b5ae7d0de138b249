import type { Problem } from "./config-error.ts";
import { problemAt, showPath, type Origin, type Path } from "./origin.ts";
import { isSecret, mustNotBeEmpty } from "./secrets.ts";

export type Env = Readonly<Record<string, string | undefined>>;

export interface Interpolated {
  readonly value: unknown;
  readonly problems: readonly Problem[];
  /** By path: the text of each interpolated value as it was written. */
  readonly written: ReadonlyMap<string, string>;
  /** Values that logs must not show. */
  readonly secrets: readonly string[];
}

/** Short values would redact innocent text. */
const MIN_SECRET = 8;

/**
 * Replaces `${NAME}` and `${NAME:-default}` in the text values of a parsed config; `$${` stands for itself. It works on parsed values, never on
 * raw text, so that a variable can not change the structure.
 */
export function interpolate(raw: unknown, env: Env, origin: Origin): Interpolated {
  const walk = new Interpolation(env, origin);
  return {
    value: walk.value(raw, []),
    problems: walk.problems,
    written: walk.written,
    secrets: [...walk.secrets],
  };
}

class Interpolation {
  readonly problems: Problem[] = [];
  readonly written = new Map<string, string>();
  readonly secrets = new Set<string>();
  readonly #env: Env;
  readonly #origin: Origin;

  constructor(env: Env, origin: Origin) {
    this.#env = env;
    this.#origin = origin;
  }

  value(raw: unknown, path: Path): unknown {
    if (typeof raw === "string") return this.#text(raw, path);
    if (Array.isArray(raw)) return raw.map((item, index) => this.value(item, [...path, index]));
    if (typeof raw !== "object" || raw === null) return raw;
    // A key with nothing after it is an absent key: its children may just be commented out.
    const entries = Object.entries(raw).filter(([, value]) => value !== null);
    if (Object.hasOwn(raw, "__proto__")) this.#wrong(path, 'the name "__proto__" is not legal');
    return Object.fromEntries(entries.map(([key, value]) => [key, this.value(value, [...path, key])]));
  }

  #text(raw: string, path: Path): string {
    const text = raw.includes("${") ? this.#replaced(raw, path) : raw;
    if (isSecret(path) && text.length >= MIN_SECRET) this.secrets.add(text);
    return text;
  }

  #replaced(raw: string, path: Path): string {
    this.written.set(showPath(path), raw);
    return raw.replaceAll(/\$\$\{|\$\{([^}]*)\}/g, (place: string, inner: string | undefined) => {
      return inner === undefined ? "${" : this.#variable(place, inner, path);
    });
  }

  #variable(place: string, inner: string, path: Path): string {
    const [, name, fallback] = /^([A-Za-z_]\w*)(?::-(.*))?$/s.exec(inner) ?? [];
    if (name === undefined)
      return this.#wrong(path, `${place} does not name an environment variable; write $\${ for the characters themselves`);
    const value = this.#env[name];
    const found = value === undefined || (value === "" && fallback !== undefined) ? fallback : value;
    if (found === undefined) return this.#wrong(path, `the environment variable ${name} is not set`);
    if (found === "" && mustNotBeEmpty(path)) return this.#wrong(path, `the environment variable ${name} is empty`);
    return found;
  }

  #wrong(path: Path, message: string): string {
    this.problems.push(problemAt(this.#origin, path, message));
    return "";
  }
}
