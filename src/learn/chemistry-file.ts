/** What `learn chemistry` writes, read again: the figures have to be ones that could have been counted. */
import * as z from "zod";

const share = z.number().min(0).max(1);
const name = z.string().min(1);
const usd = z.number().nonnegative().optional();

const schema = z.strictObject({
  version: z.literal(1),
  kind: z.literal("chemistry"),
  questions: z.int().min(1),
  size: z.int().min(2),
  members: z.array(z.strictObject({ name, accuracy: share, quality: z.number(), usd })).min(2),
  pairs: z.array(
    z.strictObject({
      members: z.tuple([name, name]),
      rescued: share,
      bothWrong: share,
      correlation: z.number().min(-1).max(1),
      chemistry: share,
    }),
  ),
  sets: z.array(z.strictObject({ members: z.array(name), coverage: share, vote: share, usd })).min(1),
});

type ChemistryFile = z.output<typeof schema>;

/** What is wrong with a file, in words that follow its name. */
export type ChemistryRead = { readonly ok: true; readonly file: ChemistryFile } | { readonly ok: false; readonly problem: string };

/** Sets and pairs of members that the file does not have, or of other sizes. */
function fault({ members, pairs, sets, size }: ChemistryFile): string | undefined {
  const known = new Set(members.map((member) => member.name));
  if (known.size < members.length) return "has a member twice";
  const stranger = [...pairs, ...sets].flatMap((group) => group.members).find((one) => !known.has(one));
  if (stranger !== undefined) return `speaks of "${stranger}", which is none of its members`;
  const repeated = [...pairs, ...sets].find((group) => new Set(group.members).size < group.members.length);
  if (repeated) return `has somebody twice in ${repeated.members.join(" + ")}`;
  const other = sets.find((set) => set.members.length !== size);
  return other && `has a set of ${other.members.length} members, where its size is ${size}`;
}

export function readChemistry(value: unknown): ChemistryRead {
  const parsed = schema.safeParse(value);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    return { ok: false, problem: `is no chemistry of version 1: ${[...(issue?.path ?? []), issue?.message].join(" ")}` };
  }
  const problem = fault(parsed.data);
  return problem === undefined ? { ok: true, file: parsed.data } : { ok: false, problem };
}
