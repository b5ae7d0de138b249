import type * as z from "zod";
import type { Problem } from "./config-error.ts";
import { errorMap, toProblems } from "./explain.ts";
import { valueAt, type Origin, type Path } from "./origin.ts";
import { placesIn, placesOf } from "./places.ts";

export type Checked<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly problems: readonly Problem[] };

export interface CheckSite {
  readonly origin: Origin;
  /** Path of the value in the config. */
  readonly path: Path;
  /** Keys that are legal beside those of the schema, because somebody else reads them. */
  readonly beside?: readonly string[];
  /** What the value is to the operator, such as `this node`: a misplaced key is looked for in it first. */
  readonly owner?: string;
}

/** A number or a truth value in the text of an environment variable; undefined when the text is neither. */
function converted(text: string, expected: string): number | boolean | undefined {
  if (expected === "boolean") return text === "true" ? true : text === "false" ? false : undefined;
  if (expected !== "number" && expected !== "int") return undefined;
  return text.trim() !== "" && Number.isFinite(Number(text)) ? Number(text) : undefined;
}

function replaced(root: unknown, path: Path, value: unknown): unknown {
  const [step, ...rest] = path;
  if (step === undefined) return value;
  const inner = replaced(valueAt(root, [step]), rest, value);
  if (Array.isArray(root)) return root.with(Number(step), inner);
  return { ...(root as object), [step]: inner };
}

/** Text out of the environment becomes the number or truth value that the schema wants in its place. */
function withConversions(value: unknown, issues: readonly z.core.$ZodIssue[], { origin, path }: CheckSite): unknown {
  let changed = value;
  for (const issue of issues) {
    if (issue.code !== "invalid_type") continue;
    const at = issue.path as Path;
    const text = valueAt(value, at);
    if (typeof text !== "string" || origin.written([...path, ...at]) === undefined) continue;
    const meant = converted(text, issue.expected);
    if (meant !== undefined) changed = replaced(changed, at, meant);
  }
  return changed;
}

/** Checks a part of the config against a schema and says what is wrong in words for the operator. */
export function check<T>(schema: z.ZodType<T>, value: unknown, site: CheckSite): Checked<T> {
  const error = errorMap({
    beside: site.beside ?? [],
    places: (key, here) =>
      (site.owner === undefined ? undefined : placesIn(schema, site.owner, { key, here })) ?? placesOf(key, [...site.path, ...here]),
  });
  const first = schema.safeParse(value, { error });
  if (first.success) return { ok: true, value: first.data };
  const changed = withConversions(value, first.error.issues, site);
  const second = changed === value ? first : schema.safeParse(changed, { error });
  if (second.success) return { ok: true, value: second.data };
  return {
    ok: false,
    problems: toProblems(second.error.issues, [], {
      origin: site.origin,
      path: site.path,
      root: value,
    }),
  };
}
