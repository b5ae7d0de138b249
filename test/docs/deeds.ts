/** What became of a field on its way to an upstream, in the words of the tables in docs/api.md. */
import { isDeepStrictEqual } from "node:util";

type Fields = Readonly<Record<string, unknown>>;

/** A request as it came in upstream. */
export interface Sent {
  readonly path: string;
  readonly json: Fields;
}

export interface Comparison {
  readonly field: string;
  readonly value: unknown;
  /** The requests with the field, and those of the same model without it. */
  readonly sent: readonly Sent[];
  readonly plain: readonly Sent[];
  /** How many requests a question brings of which nothing is asked but an answer. */
  readonly usual: number;
  readonly warned: boolean;
}

function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** What native APIs put their settings in: what stands in one is told by its own name. */
const holders = new Set([
  "generationConfig",
  "inferenceConfig",
  "outputConfig",
  "output_config",
  "toolConfig",
  "additionalModelRequestFields",
  "metadata",
]);

/** What one body has that another has not. Conversations differ by the marks in them. */
function differences(one: Fields, other: Fields, at = ""): readonly string[] {
  return Object.keys(one).flatMap((key) => {
    const [value, before] = [one[key], other[key]];
    if (key === "messages" || isDeepStrictEqual(value, before)) return [];
    if (isFields(value) && holders.has(key)) return differences(value, isFields(before) ? before : {}, `${at}${key}.`);
    return [`\`${at}${key}\``];
  });
}

/** The last word of an address, for dialects whose streams have one of their own. */
function verb({ path }: Sent): string {
  return /[^/:?]+(?=\?|$)/.exec(path)?.[0] ?? "";
}

/** The cell of a table. */
export function deed({ field, value, sent, plain, usual, warned }: Comparison): string {
  const [first] = sent;
  const [before] = plain;
  if (!first) return "not asked";
  const values = sent.map(({ json }) => json[field]);
  if (values.every((one) => isDeepStrictEqual(one, value))) return sent.length < usual ? "owner" : "as is";
  const isAbsent = values.every((one) => one === undefined);
  if (isAbsent && sent.length === 2 * usual) return "runs";
  if (!isAbsent && (typeof value === "number" || isDeepStrictEqual(values[0], before?.json[field]))) return "own";
  if (warned) return "warning";
  if (!before) return "not sent";
  const found = [...differences(first.json, before.json), ...(verb(first) === verb(before) ? [] : [`\`${verb(first)}\``])];
  return found.length > 0 ? `as ${found.join(", ")}` : "not sent";
}
