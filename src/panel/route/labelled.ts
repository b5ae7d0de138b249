import * as z from "zod";

/**
 * A labelled file: JSON lines, each `{text, scores}` or `{text, best}`. `scores` grades every member (any scale, higher is better), `best` names
 * the one that should answer; `costs` may tell in US dollars what each answer cost. Further keys are let through, so that recorded history can be
 * labelled in place.
 */
const line = z
  .looseObject({
    text: z.string().min(1),
    scores: z.record(z.string(), z.number()).optional(),
    best: z.string().optional(),
    costs: z.record(z.string(), z.number().nonnegative()).optional(),
  })
  .refine(({ scores, best }) => (scores === undefined) !== (best === undefined), { error: "needs either scores or best" });

export type LabelledLine = z.output<typeof line>;

/** One text with a grade for each member, in the members' order. */
export interface Labelled {
  readonly text: string;
  readonly scores: readonly number[];
  readonly costs: readonly number[] | undefined;
}

/** A file that can not be used. `message` names the line. */
export class TableError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "TableError";
  }
}

function parseLine(text: string, number: number): LabelledLine {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new TableError(`line ${number} is not JSON`);
  }
  const parsed = line.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new TableError(`line ${number}: ${[...(issue?.path ?? []), issue?.message].join(" ")}`);
}

/** The values of all members, in their order. */
function inOrder(values: Readonly<Record<string, number>>, members: readonly string[], where: string): readonly number[] {
  const foreign = Object.keys(values).find((name) => !members.includes(name));
  if (foreign !== undefined) throw new TableError(`${where} "${foreign}", which is no member; the members are ${members.join(", ")}`);
  return members.map((name) => {
    const value = values[name];
    if (value === undefined) throw new TableError(`${where} no value of the member "${name}"`);
    return value;
  });
}

function toLabelled({ text, scores, best, costs }: LabelledLine, members: readonly string[], number: number): Labelled {
  const graded = scores ?? Object.fromEntries(members.map((name) => [name, name === best ? 1 : 0]));
  if (best !== undefined && !members.includes(best)) {
    throw new TableError(`line ${number} names "${best}", which is no member; the members are ${members.join(", ")}`);
  }
  return {
    text,
    scores: inOrder(graded, members, `line ${number} has`),
    costs: costs && inOrder(costs, members, `line ${number} has in costs`),
  };
}

/** Reads a labelled file for these members. Throws a `TableError`: a file that was made for other members is none for these. */
export function readLabelled(text: string, members: readonly string[]): readonly Labelled[] {
  const items: Labelled[] = [];
  for (const [index, row] of text.split("\n").entries()) {
    if (row.trim() !== "") items.push(toLabelled(parseLine(row, index + 1), members, index + 1));
  }
  if (items.length === 0) throw new TableError("it has no lines");
  return items;
}

/** Labelled texts that stand in the config itself. */
export function checkLabelled(lines: readonly LabelledLine[], members: readonly string[]): readonly Labelled[] {
  return lines.map((one, index) => toLabelled(one, members, index + 1));
}

export const labelledLine = line;

/** What each member's answers cost on average; undefined unless every text tells it. */
export function meanCosts(items: readonly Labelled[]): readonly number[] | undefined {
  const [first] = items;
  if (!first?.costs || items.some(({ costs }) => costs === undefined)) return undefined;
  return first.costs.map((_, member) => items.reduce((sum, { costs }) => sum + (costs?.[member] ?? 0), 0) / items.length);
}
