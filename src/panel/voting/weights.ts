/**
 * What members' votes count, learned from history. The file, written by `chorale learn` or by hand:
 *
 *     {"version": 1, "kind": "vote-weights", "members": {"gpu/qwen3-4b": {"weight": 0.41, "right": 120, "total": 200}}}
 *
 * `members` are named as in the config. `weight` alone is read; what stands beside it tells where it came from.
 */
import * as z from "zod";

const VERSION = 1;

const voteWeights = z.object({
  version: z.literal(VERSION),
  kind: z.literal("vote-weights"),
  members: z.record(z.string(), z.looseObject({ weight: z.number() })),
});

/**
 * The calibrated log-odds of a member that was right `right` times of `total`, where `classes` answers are possible:
 *
 *     w = ln(p (K - 1) / (1 - p)),   p = (right + 1) / (total + 2)
 *
 * A vote by such weights is the most likely answer when errors are independent and spread evenly. Whoever guesses counts nothing, and below
 * that a vote speaks against its own answer. One success and one failure are added, so that a short history gives no certainty.
 */
export function logOdds(right: number, total: number, classes: number): number {
  const p = (right + 1) / (total + 2);
  return Math.log((p * (classes - 1)) / (1 - p));
}

export type WeightsRead =
  | { readonly ok: true; readonly weights: ReadonlyMap<string, number> }
  | { readonly ok: false; readonly fault: string };

function parse(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString("utf8"));
  } catch {
    return undefined;
  }
}

const quoted = (names: readonly string[]) => names.map((name) => JSON.stringify(name)).join(", ");

/**
 * Reads a file of weights for members of these names. Members that the file has and the vote has not are left alone; the other way it was
 * made for others.
 */
export function readWeights(bytes: Buffer, names: readonly string[]): WeightsRead {
  const json = parse(bytes);
  const read = voteWeights.safeParse(json);
  if (!read.success) {
    const [issue] = read.error.issues;
    const at = issue?.path.join(".") ?? "";
    return {
      ok: false,
      fault: json === undefined ? "the file is no JSON" : `the file is no table of vote weights: ${at}`,
    };
  }
  const { members } = read.data;
  const missing = [...new Set(names)].filter((name) => !Object.hasOwn(members, name));
  if (missing.length > 0) {
    const known = quoted(Object.keys(members)) || "nobody";
    const fault = `the table was made for other members: it has no weight for ${quoted(missing)}, but for ${known}; learn it anew for this vote`;
    return { ok: false, fault };
  }
  return { ok: true, weights: new Map(Object.entries(members).map(([name, { weight }]) => [name, weight])) };
}
