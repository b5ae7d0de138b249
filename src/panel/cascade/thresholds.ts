/** Files of thresholds: what was learned from history about the gates of one cascade. */
import * as z from "zod";

/** Raised when what a file says means something else than before. Version 1 did not tell one vote from another, nor judges behind a name. */
export const THRESHOLDS_VERSION = 2;

/**
 * `for` tells who answers in each step, in order: an upstream model by its name, any other node by its kind and a hash over all that it is made
 * of; `thresholds` has one entry for each gate in order: the gate's own options as they were when its threshold was learned, its judge as in `for`,
 * and the threshold, where it takes one.
 */
export const thresholdTable = z.strictObject({
  version: z.literal(THRESHOLDS_VERSION),
  kind: z.literal("cascade-thresholds"),
  for: z.array(z.string()).min(2),
  thresholds: z.array(z.strictObject({ gate: z.looseObject({ by: z.string() }), min: z.number().optional() })).min(1),
});

const oldVersion = z.looseObject({ kind: z.literal("cascade-thresholds"), version: z.int().min(1).lt(THRESHOLDS_VERSION) });

export type ThresholdTable = z.output<typeof thresholdTable>;

/** What is wrong with a file, in words that follow its name. */
export type ThresholdsRead = { readonly ok: true; readonly table: ThresholdTable } | { readonly ok: false; readonly problem: string };

/** Reads a file's bytes. */
export function readThresholds(bytes: Buffer): ThresholdsRead {
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString("utf8"));
  } catch {
    return { ok: false, problem: "is not JSON" };
  }
  const old = oldVersion.safeParse(value);
  if (old.success) return { ok: false, problem: `is of version ${old.data.version}, which does not say for certain what it was made for` };
  const parsed = thresholdTable.safeParse(value);
  if (parsed.success) return { ok: true, table: parsed.data };
  const [issue] = parsed.error.issues;
  const at = issue?.path.join(".") ?? "";
  return { ok: false, problem: `is no table of thresholds${at === "" ? "" : ` (${at})`}: ${issue?.message ?? "not valid"}` };
}

/** Thresholds that fit, one for each gate; or why the table is for another cascade. */
export type Fitted =
  | { readonly ok: true; readonly mins: readonly (number | undefined)[] }
  | { readonly ok: false; readonly problem: string };

/** A gate by its options. */
type GateOptions = Readonly<Record<string, unknown>>;

function differs({ gate }: ThresholdTable["thresholds"][number], options: GateOptions): string | undefined {
  const names = [...new Set([...Object.keys(gate), ...Object.keys(options)])].filter((name) => name !== "min");
  return names.find((name) => JSON.stringify(gate[name]) !== JSON.stringify(options[name]));
}

/** Whether a table was made for these models and gates. A threshold of another model, or of another measure, says nothing. */
export function fit({ for: made, thresholds }: ThresholdTable, names: readonly string[], gates: readonly GateOptions[]): Fitted {
  if (JSON.stringify(made) !== JSON.stringify(names)) {
    return { ok: false, problem: `was made for other members: ${made.join(", ")}; these are ${names.join(", ")}` };
  }
  if (thresholds.length !== gates.length) {
    return { ok: false, problem: `has ${thresholds.length} thresholds for ${gates.length} gates` };
  }
  for (const [index, threshold] of thresholds.entries()) {
    const options = gates[index] ?? {};
    const option = differs(threshold, options);
    if (option === undefined) continue;
    const [had, has] = [threshold.gate[option], options[option]].map((value) => JSON.stringify(value) ?? "nothing");
    return { ok: false, problem: `was made for another gate in step ${index + 1}: its ${option} was ${had}, here it is ${has}` };
  }
  return { ok: true, mins: thresholds.map(({ min }) => min) };
}
