/** The forms that verdicts have: what a judge is asked to reply, and how its reply is read. */
import { findJson } from "../answers/json.ts";
import { withoutThoughts } from "../answers/plain.ts";

/** A kind of verdict. */
export interface Form<T> {
  /** Name of the schema on the wire. */
  readonly name: string;
  /** Strict: every property required, none beside them. */
  readonly schema: Readonly<Record<string, unknown>>;
  /** The schema in words that a model without structured outputs can follow; fills `{{form}}` in prompts. */
  readonly shape: string;
  /** The verdict in a reply's JSON; undefined when it is none. Must not throw. */
  read(value: unknown): T | undefined;
  /** The verdict of a reply that is no JSON. Must not throw. */
  bare?(text: string): T | undefined;
}

type Fields = Readonly<Record<string, unknown>>;

function isObject(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function strictObject(properties: Fields): Fields {
  return { type: "object", properties, required: Object.keys(properties), additionalProperties: false };
}

/** What a reply says under `key`, or under another name where it says only one thing, or itself where it is no object. */
function under(key: string, value: unknown): unknown {
  if (!isObject(value)) return value;
  if (Object.hasOwn(value, key)) return value[key];
  const said = Object.values(value);
  return said.length === 1 ? said[0] : undefined;
}

const quoted = (labels: readonly string[]) => labels.map((label) => JSON.stringify(label));

/** The label that a word stands for, whatever its case; undefined when it is not on the list. */
function labelIn(labels: readonly string[], given: unknown): string | undefined {
  if (typeof given !== "string") return undefined;
  const plain = given.trim().replace(/^(?:answer|candidate|option)\s+/i, "");
  return labels.find((label) => label === given || label === plain) ?? labels.find((label) => label.toLowerCase() === plain.toLowerCase());
}

/** Marks round a word that is alone. Not braces: those are JSON's. */
const LONE = /^[\s*_`"'([]*(?:(?:answer|candidate|option)\s+)?([^\s*_`"'()[\]{}.!]+)[\s*_`"')\].!]*$/i;
/** A last line that only states: "Answer: B", "**The best answer is B.**" */
const STATED =
  /^[\s*_#>-]*(?:(?:the|my|final|best|better|overall)\s+)*(?:answer|candidate|choice|label|verdict|winner|best|option)(?:\s+is|\s*:)?[\s*_`"'([:=]+(?:(?:answer|candidate|option)\s+)?([^\s*_`"'()[\]{}.!]+)[\s*_`"')\].!]*$/i;

/** Replies to be read without JSON are short or end in a line of their own. */
const LONGEST_LINE = 200;

function bareLabel(labels: readonly string[], text: string): string | undefined {
  const last = text.slice(text.lastIndexOf("\n") + 1);
  if (last.length > LONGEST_LINE) return undefined;
  const word = (text === last ? LONE.exec(last)?.[1] : undefined) ?? STATED.exec(last)?.[1];
  return labelIn(labels, word);
}

/** One of some labels: the pick of a judge, yes or no, a class. A label that is not on the list is no verdict. */
export function oneOf(labels: readonly string[], key = "best"): Form<string> {
  return {
    name: "verdict",
    schema: strictObject({ [key]: { type: "string", enum: labels } }),
    shape: `{${JSON.stringify(key)}: ${quoted(labels).join(" | ")}}`,
    read: (value) => labelIn(labels, under(key, value)),
    bare: (text) => bareLabel(labels, text),
  };
}

/** Bounded, because a small model under a grammar goes on with the labels for ever. */
function listOf(labels: readonly string[]): Fields {
  return { type: "array", items: { type: "string", enum: labels }, maxItems: labels.length };
}

/** Distinct labels of the list; undefined as soon as one is unknown or comes twice. */
function labelsIn(labels: readonly string[], given: unknown): readonly string[] | undefined {
  if (!Array.isArray(given)) return undefined;
  const seen = new Set<string>();
  for (const one of given as readonly unknown[]) {
    const label = labelIn(labels, one);
    if (label === undefined || seen.has(label)) return undefined;
    seen.add(label);
  }
  return [...seen];
}

/** The labels from best to worst. Some may be missing, but not all; an unknown or repeated one makes it no verdict. */
export function orderOf(labels: readonly string[], key = "order"): Form<readonly string[]> {
  const some = (order: readonly string[] | undefined) => (order === undefined || order.length === 0 ? undefined : order);
  return {
    name: "order",
    schema: strictObject({ [key]: listOf(labels) }),
    shape: `{${JSON.stringify(key)}: [every one of ${quoted(labels).join(", ")}, the best first]}`,
    read: (value) => some(labelsIn(labels, under(key, value))),
    bare: (text) => some(text.length > LONGEST_LINE ? undefined : labelsIn(labels, text.split(/\s*(?:[>,\n])\s*/))),
  };
}

/** Some of the labels, perhaps none. */
export function someOf(labels: readonly string[], key = "labels"): Form<readonly string[]> {
  return {
    name: "labels",
    schema: strictObject({ [key]: listOf(labels) }),
    shape: `{${JSON.stringify(key)}: [those of ${quoted(labels).join(", ")} that apply]}`,
    read: (value) => labelsIn(labels, under(key, value)),
  };
}

export interface Range {
  readonly min: number;
  readonly max: number;
}

/** A number of a range, also written as text, as "7/10" or, where the range is 0 to 1, as "70%". Outside of the range is no verdict. */
function numberIn({ min, max }: Range, given: unknown): number | undefined {
  const [, digits, rest] = typeof given === "string" ? (/^\s*(-?\d+(?:\.\d+)?)\s*(%|\/\s*\d+(?:\.\d+)?)?\s*$/.exec(given) ?? []) : [];
  let value = typeof given === "number" ? given : Number(digits ?? Number.NaN);
  if (rest === "%") value = min === 0 && max === 1 ? value / 100 : Number.NaN;
  else if (rest !== undefined && Number(rest.slice(1)) !== max) return undefined;
  return value >= min && value <= max ? value : undefined;
}

/** One number: a score, a confidence. */
export function numberOf({ min, max }: Range, key = "score"): Form<number> {
  return {
    name: "score",
    schema: strictObject({ [key]: { type: "number", minimum: min, maximum: max } }),
    shape: `{${JSON.stringify(key)}: a number from ${min} to ${max}}`,
    read: (value) => numberIn({ min, max }, under(key, value)),
    bare: (text) => numberIn({ min, max }, text.replaceAll(/[*_`]/g, "")),
  };
}

/** A grade for each label, none left out. */
export function gradesOf(labels: readonly string[], { min, max }: Range): Form<Readonly<Record<string, number>>> {
  const grade = { type: "number", minimum: min, maximum: max };
  return {
    name: "grades",
    schema: strictObject(Object.fromEntries(labels.map((label) => [label, grade]))),
    shape: `{${quoted(labels)
      .map((label) => `${label}: a number from ${min} to ${max}`)
      .join(", ")}}`,
    read(value) {
      if (!isObject(value)) return undefined;
      const grades = labels.flatMap((label) => {
        const found = Object.hasOwn(value, label) ? numberIn({ min, max }, value[label]) : undefined;
        return found === undefined ? [] : [[label, found] as const];
      });
      return grades.length === labels.length ? Object.fromEntries(grades) : undefined;
    },
  };
}

/**
 * The verdict in a judge's reply: JSON, bare, in a code fence or within prose, behind any thoughts; or what the form reads without JSON. A
 * last line that states a verdict goes before JSON that was only quoted on the way. Undefined when there is none. Never throws.
 */
export function readVerdict<T>(text: string, form: Form<T>): T | undefined {
  const visible = withoutThoughts(text).trim();
  const found = findJson(visible);
  const read = () => (found === undefined ? undefined : form.read(JSON.parse(found.shown)));
  if (found?.shown === visible) return read() ?? form.bare?.(visible);
  return form.bare?.(visible) ?? read();
}
