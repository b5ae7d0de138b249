import type * as z from "zod";
import type { Problem } from "./config-error.ts";
import { didYouMean } from "./nearest.ts";
import { problemAt, showPath, valueAt, type Origin, type Path } from "./origin.ts";
import { describe } from "./secrets.ts";

type RawIssue = z.core.$ZodRawIssue;
type Issue = z.core.$ZodIssue;

/** What else may be said about an unknown key. */
export interface KeyHints {
  /** Keys that are legal beside those of the schema. */
  readonly beside: readonly string[];
  /** Where a key of this name belongs, such as `server`; `below` is where it stands, from what is checked. */
  places(key: string, below: Path): readonly string[];
}

const nouns: Readonly<Record<string, string>> = {
  int: "a whole number",
  object: "a map",
  array: "a list",
  record: "a map",
  string: "text",
  boolean: "true or false",
  url: "an address such as https://host/v1",
};

function noun(type: string): string {
  return nouns[type] ?? (/^[aeiou]/.test(type) ? `an ${type}` : `a ${type}`);
}

function list(values: readonly unknown[]): string {
  return values.map(String).join(", ");
}

function bound(word: string, issue: RawIssue & { readonly code: "too_small" | "too_big" }): string {
  const limit = issue.code === "too_small" ? issue.minimum : issue.maximum;
  if (issue.origin === "string") return `${word} ${limit} characters`;
  return issue.origin === "array" || issue.origin === "set" || issue.origin === "map" ? `${word} ${limit} entries` : `${word} ${limit}`;
}

function smallest(issue: RawIssue & { readonly code: "too_small" }): string {
  if (issue.inclusive === false) return `a number above ${issue.minimum}`;
  return issue.origin === "string" && issue.minimum === 1 ? "text that is not empty" : bound("at least", issue);
}

function keysOf(schema: unknown): readonly string[] {
  const { shape } = (schema as { readonly def?: { readonly shape?: object } } | undefined)?.def ?? {};
  return shape === undefined ? [] : Object.keys(shape);
}

function unknownKey(key: string, siblings: readonly string[], places: readonly string[]): string {
  const guess = didYouMean(key, siblings);
  if (guess === "" && places.length > 0) return `unknown key "${key}"; it belongs in ${places.slice(0, 3).join(" or ")}`;
  return `unknown key "${key}"${guess || (siblings.length === 0 ? "" : `; expected one of ${list(siblings)}`)}`;
}

/** What zod would say, said for the operator: "expected ...", or a whole sentence. Schemas may say it better by an `error` of their own. */
export function errorMap(hints: KeyHints): z.core.$ZodErrorMap {
  return (issue) => {
    switch (issue.code) {
      case "invalid_type":
        return `expected ${noun(String(issue.expected))}`;
      case "invalid_value": {
        const guess = typeof issue.input === "string" ? didYouMean(issue.input, issue.values.map(String)) : "";
        return `expected ${issue.values.length === 1 ? "" : "one of "}${list(issue.values)}${guess}`;
      }
      case "unrecognized_keys": {
        const siblings = [...keysOf(issue.inst), ...((issue.path ?? []).length === 0 ? hints.beside : [])];
        return issue.keys.map((key) => unknownKey(key, siblings, hints.places(key, (issue.path ?? []) as Path))).join("\n");
      }
      case "too_small":
        return `expected ${smallest(issue)}`;
      case "too_big":
        return `expected ${issue.inclusive === false ? `a number below ${issue.maximum}` : bound("at most", issue)}`;
      case "not_multiple_of":
        return `expected a multiple of ${issue.divisor}`;
      case "invalid_format":
        return issue.format === "regex" ? `expected text like ${issue.pattern}` : `expected ${noun(issue.format)}`;
      default:
        return "";
    }
  };
}

/** Says of one branch of a union how far the value is from it: 0 near, 1 something is missing, 2 another type altogether. */
function distanceOf(issues: readonly Issue[], value: unknown): number {
  let far = 0;
  for (const issue of issues) {
    const here = issue.path.length === 0;
    if (issue.code === "invalid_union" && issue.errors.length > 0) {
      far = Math.max(far, Math.min(...issue.errors.map((branch) => distanceOf(branch, valueAt(value, issue.path as Path)))));
    } else if (here && (issue.code === "invalid_type" || issue.code === "invalid_value")) return 2;
    else if (!here && valueAt(value, issue.path as Path) === undefined) far = Math.max(far, 1);
  }
  return far;
}

interface Place {
  readonly origin: Origin;
  /** Path of `root` in the config. */
  readonly path: Path;
  /** The value that was checked. */
  readonly root: unknown;
}

function say(message: string, at: Path, place: Place): Problem {
  const full = [...place.path, ...at];
  if (!message.startsWith("expected")) return problemAt(place.origin, full, message);
  const found = describe(valueAt(place.root, at), full, place.origin.written(full));
  return problemAt(place.origin, full, `found ${found}, ${message}`);
}

function fromUnion(issue: Issue & { readonly code: "invalid_union" }, at: Path, place: Place): readonly Problem[] {
  const value = valueAt(place.root, at);
  if ("options" in issue && Array.isArray(issue.options)) {
    const options = issue.options.map(String);
    return [say(`expected one of ${list(options)}${typeof value === "string" ? didYouMean(value, options) : ""}`, at, place)];
  }
  // On a tie the later branch: unions are written from the plain to the particular.
  const branches = issue.errors.map((issues) => ({ issues, far: distanceOf(issues, value) })).reverse();
  const best = branches.sort((a, b) => a.far - b.far)[0];
  const isVague = best === undefined || best.far > 1 || (best.far === 1 && issue.message !== "");
  if (!isVague) return toProblems(best.issues, at, place);
  if (issue.message !== "") return [say(issue.message, at, place)];
  const phrases = issue.errors.flatMap((issues) => toProblems(issues, at, place)).map(({ message }) => message.replace(/^.*expected /, ""));
  return [say(`expected ${[...new Set(phrases)].join(" or ")}`, at, place)];
}

/** Problems with full paths, lines and what was found, from what a parse with `errorMap` said. */
export function toProblems(issues: readonly Issue[], base: Path, place: Place): readonly Problem[] {
  return issues.flatMap((issue): readonly Problem[] => {
    const at = [...base, ...(issue.path as Path)];
    if (issue.code === "invalid_union") return fromUnion(issue, at, place);
    if (issue.code === "unrecognized_keys") {
      const lines = issue.message.split("\n");
      return issue.keys.map((key, index) => {
        const line = place.origin.line([...place.path, ...at, key]);
        return {
          path: showPath([...place.path, ...at]),
          message: lines[index] ?? issue.message,
          ...(line === undefined ? {} : { line }),
        };
      });
    }
    if (issue.code === "invalid_key") {
      const message = issue.issues.map((inner) => inner.message).join(", ");
      return [problemAt(place.origin, [...place.path, ...at], `the name ${JSON.stringify(at.at(-1))} is not legal: ${message}`)];
    }
    return [say(issue.message, at, place)];
  });
}
