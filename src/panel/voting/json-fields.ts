import { findJson } from "../answers/json.ts";
import { createTally } from "./tally.ts";

/** One valid JSON answer. */
export interface FieldVote {
  readonly value: unknown;
  readonly weight: number;
  /** Place among the voters. */
  readonly order: number;
}

export interface Merged {
  readonly value: unknown;
  /** Share of the weight behind the weakest decision. */
  readonly support: number;
}

type JsonObject = Readonly<Record<string, unknown>>;

function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Objects are one class, to be settled member by member; everything else is compared whole. */
function classOf(value: unknown): string {
  return isObject(value) ? "object" : `leaf ${findJson(JSON.stringify(value))?.key ?? ""}`;
}

/** The votes of the winning class. */
function winning(
  votes: readonly FieldVote[],
  toKey: (vote: FieldVote) => string,
): { readonly votes: readonly FieldVote[]; readonly share: number } {
  const tally = createTally();
  for (const vote of votes) tally.add(toKey(vote), vote.weight, vote.order);
  const key = tally.leader()?.key;
  return { votes: votes.filter((vote) => toKey(vote) === key), share: tally.share() };
}

/** Settles each member by those who have an object there; a member that most left out is left out. */
function mergeMembers(votes: readonly FieldVote[]): Merged {
  const names = new Set(votes.flatMap(({ value }) => (isObject(value) ? Object.keys(value) : [])));
  const entries: [string, unknown][] = [];
  let support = 1;
  for (const name of names) {
    const present = ({ value }: FieldVote) => isObject(value) && Object.hasOwn(value, name);
    const held = winning(votes, (vote) => (present(vote) ? "present" : "absent"));
    support = Math.min(support, held.share);
    const inner = held.votes.filter(present).map((vote) => ({ ...vote, value: isObject(vote.value) ? vote.value[name] : undefined }));
    if (inner.length === 0) continue;
    const merged = mergeFields(inner);
    entries.push([name, merged.value]);
    support = Math.min(support, merged.support);
  }
  return { value: Object.fromEntries(entries), support };
}

/**
 * Majority field by field: leaves and arrays as whole values, objects member by member, ties to the earliest voter. The result may be an
 * object that nobody sent, so it has to be validated again.
 */
export function mergeFields(votes: readonly FieldVote[]): Merged {
  const { votes: agreed, share } = winning(votes, ({ value }) => classOf(value));
  const [first] = agreed;
  if (first === undefined) return { value: undefined, support: 0 };
  if (!isObject(first.value)) return { value: first.value, support: share };
  const merged = mergeMembers(agreed);
  return { value: merged.value, support: Math.min(share, merged.support) };
}

/** Numbers that a double may not hold would change when the merged object is written. */
const MANY_DIGITS = /\d{16}/;

function parse(text: string): { readonly value: unknown } | undefined {
  try {
    return { value: JSON.parse(text) as unknown };
  } catch {
    return undefined;
  }
}

/**
 * The text that most agree on field by field. Undefined where only whole answers can be compared: one is no bare JSON, has numbers too long
 * to be written again, or the merged object does not satisfy the schema.
 */
export function mergeTexts(
  texts: readonly (Omit<FieldVote, "value"> & { readonly text: string })[],
  validator: ((text: string) => string | undefined) | undefined,
): { readonly text: string; readonly support: number } | undefined {
  const votes: FieldVote[] = [];
  for (const { text, weight, order } of texts) {
    const parsed = MANY_DIGITS.test(text) ? undefined : parse(text);
    if (!parsed) return undefined;
    votes.push({ value: parsed.value, weight, order });
  }
  const { value, support } = mergeFields(votes);
  const text = JSON.stringify(value);
  return validator?.(text) === undefined ? { text, support } : undefined;
}
