import { isDeepStrictEqual } from "node:util";
import { isRecord, isText, writeJson, type Json } from "./json.ts";

/** What is copied into one schema, in characters, and how deep: definitions that hold each other grow with every copy. */
const MOST_COPIED = 100_000;
const DEEPEST = 4;
/** Of a definition, what is about its own place. */
const placed = new Set(["$id", "$anchor", "$dynamicAnchor", "$schema", "$comment", "$defs", "definitions"]);

interface Found {
  readonly schema: Json;
  readonly size: number;
}

function find(root: unknown, ref: string): Found | undefined {
  let value: unknown = root;
  for (const step of ref.slice(2).split("/")) {
    const key = step.replaceAll("~1", "/").replaceAll("~0", "~");
    if (!isRecord(value) || !Object.hasOwn(value, key)) return undefined;
    value = value[key];
  }
  return isRecord(value) ? { schema: value, size: JSON.stringify(value).length } : undefined;
}

/** Two schemas that both hold. Where both say something else under one word, the nearer title counts, and of other rules the nearer is told in words. */
function joined(meant: Json, beside: Json): Json {
  const far = Object.fromEntries(Object.entries(meant).filter(([key]) => !placed.has(key)));
  const near = Object.entries(beside).filter(([key]) => key !== "description");
  const isHeld = ([key, value]: readonly [string, unknown]) =>
    key === "title" || !Object.hasOwn(far, key) || isDeepStrictEqual(far[key], value);
  const words = [
    ...new Set([beside["description"], far["description"]].filter(isText)),
    ...near.filter((member) => !isHeld(member)).map(([key, value]) => `${key}: ${writeJson(value)}`),
  ];
  return { ...far, ...Object.fromEntries(near.filter(isHeld)), ...(words.length > 0 ? { description: words.join("\n") } : {}) };
}

/** The references of one schema, for those that have words beside them. */
export class References {
  readonly #root: unknown;
  readonly #found = new Map<string, Found | undefined>();
  /** Those whose copies are being made. */
  readonly #open = new Set<string>();
  #left = MOST_COPIED;

  constructor(root: unknown) {
    this.#root = root;
  }

  /**
   * Makes of a reference with words beside it what says the same in a schema without: a copy of what is meant, with the words in it. Where that
   * is not to be found, or a copy would have no end, it is a choice of one.
   */
  without<Made>({ $ref: ref, ...beside }: Json & { readonly $ref: unknown }, make: (schema: Json) => Made): Made {
    const found = typeof ref === "string" && ref.startsWith("#/") ? this.#find(ref) : undefined;
    if (typeof ref !== "string" || !found || this.#open.has(ref) || this.#open.size >= DEEPEST || found.size > this.#left) {
      return make(joined({ anyOf: [{ $ref: ref }] }, beside));
    }
    this.#left -= found.size;
    this.#open.add(ref);
    const made = make(joined(found.schema, beside));
    this.#open.delete(ref);
    return made;
  }

  #find(ref: string): Found | undefined {
    if (!this.#found.has(ref)) this.#found.set(ref, find(this.#root, ref));
    return this.#found.get(ref);
  }
}
