/** Answers that say the same in other words: compared by embeddings, or by a judge who says of every two whether they are the same. */
import { enter } from "../../model/call.ts";
import { throwIfAborted, toGatewayError } from "../../model/errors.ts";
import type { Embedder } from "../../model/leaves.ts";
import { clusters } from "./clusters.ts";
import { askAll, put, type Putting, type Reply, type Sitting } from "../judging/judge.ts";
import type { Role } from "../seats.ts";
import type { Showable } from "../showing.ts";
import { oneOf } from "../judging/verdict.ts";

/** A wording that stands for all that are equal to it without any comparison. */
export interface Wording extends Showable {
  /** Distinct among the wordings of one panel. */
  readonly key: string;
  /** Whether it is a number, a date, a list: vectors of 41 and 42 are near each other, and they are not the same. */
  readonly formal: boolean;
}

/** What a comparison came to. */
export type Compared =
  | {
      readonly ok: true;
      /** Keys of the wordings that say the same, group by group. */
      readonly groups: readonly (readonly string[])[];
      /** For the record: plain JSON. */
      readonly told: Readonly<Record<string, unknown>>;
      /** What part of it failed. */
      readonly missing?: string;
    }
  /** Nothing could be compared. */
  | { readonly ok: false; readonly why: string };

/** A way to compare two or more wordings. Throws only when the call was aborted. */
export type Compare = (wordings: readonly Wording[], sitting: Sitting) => Promise<Compared>;

function groupsOf(
  wordings: readonly Wording[],
  similarity: (one: number, other: number) => number,
  joins: (mean: number) => boolean,
): readonly (readonly string[])[] {
  const keys = wordings.map(({ key }) => key);
  return clusters(keys, similarity, joins).map((group) => group.map((index) => keys[index] ?? ""));
}

function length(vector: Float32Array): number {
  return Math.hypot(...vector);
}

/** The cosine of the angle between two vectors; 0 where one has no length. */
function cosine(one: Float32Array, other: Float32Array): number {
  let sum = 0;
  for (const [index, value] of one.entries()) sum += value * (other[index] ?? 0);
  const lengths = length(one) * length(other);
  return lengths > 0 ? sum / lengths : 0;
}

/** One vector for each wording, in one call. */
async function vectorsOf(
  embedder: Embedder,
  wordings: readonly Wording[],
  { call, signal = call.signal }: Sitting,
): Promise<Reply<readonly Float32Array[]>> {
  if (signal.aborted) return { ok: false, why: "deadline" };
  const inner = enter(call, { label: "embeddings", member: true, delivery: "unary", signal });
  try {
    const vectors = await embedder.embed(
      wordings.map(({ text }) => text),
      inner,
    );
    const size = vectors[0]?.length ?? 0;
    const whole = vectors.length === wordings.length && size > 0 && vectors.every((vector) => vector.length === size);
    return whole ? { ok: true, value: vectors } : { ok: false, why: "no vectors" };
  } catch (thrown) {
    return { ok: false, why: signal.aborted ? "deadline" : toGatewayError(thrown, call.signal).code };
  }
}

/**
 * Two groups are one when the mean cosine between their wordings is at least `threshold`. Two numbers, dates or lists of different forms
 * never are. One call.
 */
export function byEmbeddings(embedder: Embedder, threshold: number): Compare {
  return async (wordings, sitting) => {
    const vectors = await vectorsOf(embedder, wordings, sitting);
    throwIfAborted(sitting.call.signal);
    if (!vectors.ok) return vectors;
    const at = (index: number) => vectors.value[index] ?? new Float32Array();
    const isFormal = (index: number) => wordings[index]?.formal === true;
    const similarity = (one: number, other: number) =>
      isFormal(one) && isFormal(other) ? Number.NEGATIVE_INFINITY : cosine(at(one), at(other));
    const groups = groupsOf(wordings, similarity, (mean) => mean >= threshold);
    return { ok: true, groups, told: { by: "embedder", threshold } };
  };
}

interface Pair {
  readonly one: number;
  readonly other: number;
}

function pairsOf(count: number): readonly Pair[] {
  return Array.from({ length: count }, (_, one) =>
    Array.from({ length: count - one - 1 }, (_, more) => ({ one, other: one + 1 + more })),
  ).flat();
}

/** How many pairs so many wordings have. */
export function countPairs(count: number): number {
  return (count * (count - 1)) / 2;
}

/**
 * A judge is asked of every two wordings whether they say the same, all pairs at once; two groups are one when most pairs between them do.
 * A pair without a verdict is not the same: that can split a class, and never makes answers equal that nobody called equal.
 */
export function byYesNo(judge: Role, putting: Putting): Compare {
  return async (wordings, sitting) => {
    const pairs = pairsOf(wordings.length);
    const questions = pairs.map(({ one, other }) => {
      const items = [wordings[one], wordings[other]].filter((wording) => wording !== undefined);
      const label = `same ${items.map(({ label }) => label).join(" ")}`;
      return put(items, { ...putting, judge, label, form: () => oneOf(["yes", "no"], "same") }, sitting).question;
    });
    const replies = await askAll(questions, sitting.request, sitting.call, sitting);
    const failed = replies.filter((reply) => !reply.ok);
    const why = [...new Set(failed.map((reply) => reply.why))].join(", ");
    if (failed.length === replies.length) return { ok: false, why };
    const same = new Set(pairs.filter((_, index) => isYes(replies[index])).map(({ one, other }) => `${one} ${other}`));
    const groups = groupsOf(
      wordings,
      (one, other) => (same.has(`${Math.min(one, other)} ${Math.max(one, other)}`) ? 1 : 0),
      (mean) => mean > 0.5,
    );
    const missing = `${failed.length} of ${pairs.length} comparisons without a verdict (${why}), they count as different`;
    return { ok: true, groups, told: { by: "judge", pairs: pairs.length, same: same.size }, ...(failed.length > 0 ? { missing } : {}) };
  };
}

function isYes(reply: Reply<string> | undefined): boolean {
  return reply?.ok === true && reply.value === "yes";
}
