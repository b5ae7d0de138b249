import { pick, uniform } from "./demo-random.ts";
import { boundsOf, isSchema, merge, namesOf, numberAt, pointed, rangeOf, typeOf, valuesOf, type Schema } from "./demo-schema-flat.ts";

/** What a value made from a schema should say where it can. */
export interface Hints {
  /** For the string that asks for the answer. */
  readonly answer: string;
  /** For strings that ask for reasons. */
  readonly reason: string;
  /** Values of an enum to prefer, best first. */
  readonly labels: readonly string[];
  /** For numbers that ask how sure it is, 0 to 1. */
  readonly confidence: number;
  /** Names the chance that decides all else. */
  readonly seed: string;
}

/** From here on only what is required is filled, and recursion takes the way out. */
const DEEP = 5;
const MANY = 400;
/** Here a schema that demands itself without end is given up. */
const DEEPEST = 40;
const MOST = 4000;
const LONGEST = 1000;

const MOST_ITEMS = 256;

const soonest = ["null", "boolean", "integer", "number", "string", "array", "object"];

const formats: ReadonlyMap<string, string> = new Map([
  ["date-time", "2026-01-01T00:00:00Z"],
  ["date", "2026-01-01"],
  ["time", "00:00:00Z"],
  ["duration", "P1D"],
  ["email", "simulated@example.com"],
  ["hostname", "example.com"],
  ["ipv4", "192.0.2.1"],
  ["ipv6", "2001:db8::1"],
  ["uri", "https://example.com/simulated"],
  ["uuid", "00000000-0000-4000-8000-000000000000"],
]);

const asksAnswer = /answer|result|value|solution|final|output|content|text/i;
const asksReason = /reason|explain|explanation|analysis|rationale|comment|feedback|thought|critique|why/i;
const asksConfidence = /confiden|probab|certain|likel/i;

/** Makes a value that fits a JSON schema: bounded, always the same for the same seed. `pattern`, `not` and `if` are not looked at. */
export function fill(schema: unknown, hints: Hints): unknown {
  return new Filler(schema, hints).value(schema, { path: "", key: "", depth: 0 });
}

interface Place {
  readonly path: string;
  /** The property's name; an item has that of its array. */
  readonly key: string;
  readonly depth: number;
}

class Filler {
  readonly #root: unknown;
  readonly #hints: Hints;
  #values = 0;
  #told = false;
  #counted = false;

  constructor(root: unknown, hints: Hints) {
    this.#root = root;
    this.#hints = hints;
  }

  value(schema: unknown, place: Place): unknown {
    this.#values += 1;
    if (place.depth > DEEPEST || this.#values > MOST) return null;
    const flat = this.#flatten(schema, place);
    if ("const" in flat) return flat["const"];
    if (Array.isArray(flat["enum"])) return this.#choose(flat["enum"], place);
    switch (typeOf(flat)) {
      case "object":
        return this.#object(flat, place);
      case "array":
        return this.#array(flat, place);
      case "integer":
        return this.#number(flat, place, true);
      case "number":
        return this.#number(flat, place, false);
      case "boolean":
        return this.#roll(place) < 0.5;
      case "null":
        return null;
      default:
        return this.#string(flat, place);
    }
  }

  /** One schema without references and alternatives. */
  #flatten(schema: unknown, place: Place, hops = 0): Schema {
    this.#values += 1;
    if (!isSchema(schema) || this.#values > MOST || hops > DEEPEST) return {};
    const { $ref, allOf, anyOf, oneOf, ...own } = schema;
    const parts: unknown[] = Array.isArray(allOf) ? [...allOf] : [];
    if (typeof $ref === "string") parts.push(pointed(this.#root, $ref));
    for (const branches of [anyOf, oneOf]) if (Array.isArray(branches)) parts.push(this.#branch(branches, place));
    return parts.reduce<Schema>((flat, part) => merge(flat, this.#flatten(part, place, hops + 1)), own);
  }

  /** The branch that lists a preferred label, else the first that is not null; where it is deep, the one that ends soonest. */
  #branch(branches: readonly unknown[], place: Place): unknown {
    const ranks = branches.map((branch) => {
      const target = isSchema(branch) && typeof branch["$ref"] === "string" ? pointed(this.#root, branch["$ref"]) : branch;
      const flat = isSchema(target) ? target : {};
      if (this.#frugal(place)) return soonest.indexOf(typeOf(flat));
      if (valuesOf(flat).some((value) => this.#hints.labels.includes(String(value)))) return -1;
      return typeOf(flat) === "null" ? 1 : 0;
    });
    return branches[ranks.indexOf(Math.min(...ranks))];
  }

  #choose(values: readonly unknown[], place: Place): unknown {
    const { labels, answer } = this.#hints;
    const hinted = [...labels, answer].find((label) => values.some((value) => String(value) === label));
    if (hinted !== undefined) return values.find((value) => String(value) === hinted);
    const real = values.filter((value) => value !== null);
    return pick(real, this.#roll(place)) ?? null;
  }

  #object(schema: Schema, place: Place): unknown {
    const properties = isSchema(schema["properties"]) ? schema["properties"] : {};
    const more = schema["additionalProperties"];
    const optional = this.#frugal(place) ? [] : Object.keys(properties);
    const names = new Set([...optional, ...namesOf(schema["required"])]);
    const least = more === false ? 0 : Math.min(numberAt(schema, "minProperties", 0), MOST_ITEMS);
    for (let i = 1; names.size < least; i += 1) names.add(`field${i}`);
    const entries = [...names].map((name) => {
      const inner = Object.hasOwn(properties, name) ? properties[name] : more;
      return [name, this.value(inner, { path: `${place.path}/${name}`, key: name, depth: place.depth + 1 })] as const;
    });
    return Object.fromEntries(entries);
  }

  #array(schema: Schema, place: Place): unknown {
    const { items, prefixItems, uniqueItems } = schema;
    const prefix: readonly unknown[] = Array.isArray(prefixItems) ? prefixItems : Array.isArray(items) ? items : [];
    const rest = Array.isArray(items) ? schema["additionalItems"] : items;
    const values: unknown[] = this.#ranking(rest, place);
    const wanted = values.length > 0 ? values.length : Math.max(prefix.length, this.#frugal(place) ? 0 : 2);
    const most = rest === false ? prefix.length : numberAt(schema, "maxItems", Infinity);
    const count = Math.max(0, Math.min(Math.max(wanted, numberAt(schema, "minItems", 0)), most, MOST_ITEMS));
    values.length = Math.min(values.length, count);
    const seen = new Set(values.map((value) => JSON.stringify(value)));
    for (let tries = 0; values.length < count && tries < 8 * count; tries += 1) {
      const inner = values.length < prefix.length ? prefix[values.length] : rest;
      const value = this.value(inner, { path: `${place.path}/${tries}`, key: place.key, depth: place.depth + 1 });
      const text = JSON.stringify(value);
      if (uniqueItems === true && seen.has(text)) continue;
      seen.add(text);
      values.push(value);
    }
    return values;
  }

  /** The labels in order, where the items of an array are labels: a ranking. */
  #ranking(items: unknown, place: Place): string[] {
    if (this.#hints.labels.length === 0) return [];
    const values = valuesOf(this.#flatten(items, place));
    return this.#hints.labels.filter((label) => values.includes(label));
  }

  #number(schema: Schema, place: Place, whole: boolean): number {
    const step = numberAt(schema, "multipleOf", whole ? 1 : 0);
    const bounds = asksConfidence.test(place.key) ? boundsOf({ minimum: 0, maximum: 1, ...schema }) : boundsOf(schema);
    const [low, high] = bounds;
    const [from, to] = rangeOf(bounds);
    const fits = (value: number) =>
      value >= low && value <= high && (step === 0 || Math.abs(value / step - Math.round(value / step)) < 1e-9);
    const told = Number(this.#hints.answer);
    if (this.#hints.answer.trim() !== "" && fits(told) && (asksAnswer.test(place.key) || !this.#counted)) {
      this.#counted = true;
      return told;
    }
    const value = from + this.#share(place) * (to - from);
    // Twelve digits: three times 0.1 is 0.3, not 0.30000000000000004.
    const stepped = (steps: number) => Number((steps * step).toPrecision(12));
    const rounded = step > 0 ? stepped(Math.round(value / step)) : Math.round(value * 100) / 100;
    if (fits(rounded)) return rounded;
    return step > 0 ? stepped(Math.ceil(from / step)) : value;
  }

  /** How far up in its range a number lies. */
  #share(place: Place): number {
    const { confidence, labels } = this.#hints;
    const rank = labels.indexOf(place.key);
    if (rank >= 0) return 1 - rank / labels.length;
    return asksConfidence.test(place.key) ? confidence : this.#roll(place);
  }

  #string(schema: Schema, place: Place): string {
    const format = formats.get(String(schema["format"]));
    if (format !== undefined) return format;
    // Lengths of a schema count code points.
    const characters = Array.from(this.#words(place));
    const least = Math.min(numberAt(schema, "minLength", 0), LONGEST);
    if (characters.length < least) return characters.join("") + ".".repeat(least - characters.length);
    return characters.slice(0, numberAt(schema, "maxLength", characters.length)).join("");
  }

  #words(place: Place): string {
    if (asksReason.test(place.key)) return this.#hints.reason;
    if (asksAnswer.test(place.key) || !this.#told) {
      this.#told = true;
      return this.#hints.answer;
    }
    const item = /\/(\d+)$/.exec(place.path)?.[1];
    return `simulated ${place.key || "text"}${item === undefined ? "" : ` ${Number(item) + 1}`}`;
  }

  #frugal(place: Place): boolean {
    return place.depth >= DEEP || this.#values > MANY;
  }

  #roll(place: Place): number {
    return uniform(this.#hints.seed, place.path);
  }
}
