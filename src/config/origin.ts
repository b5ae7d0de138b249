import type { Problem } from "./config-error.ts";

/** Steps from the root of the config to a value. */
export type Path = readonly (string | number)[];

/** Where a config came from: for messages, for files named in it, and for values out of the environment. */
export interface Origin {
  /** As it was given; absent for a config that was not read from a file. */
  readonly file?: string;
  /** Paths in the config are relative to this. */
  readonly folder: string;
  /** Line of the value at `path`, or of the nearest one around it. */
  line(path: Path): number | undefined;
  /** A value's text before interpolation, such as `${PORT}`, when it had any. */
  written(path: Path): string | undefined;
}

/** The origin of a config that a program made. */
export const noOrigin: Origin = { folder: ".", line: () => undefined, written: () => undefined };

/** A path as people write it: `models.exam.members[1]`, with quotes where a name holds a dot. */
export function showPath(path: Path): string {
  let text = "";
  for (const step of path) {
    if (typeof step === "number") text += `[${step}]`;
    else if (/^[\w-]+$/.test(step)) text += text === "" ? step : `.${step}`;
    else text += `[${JSON.stringify(step)}]`;
  }
  return text;
}

/** The steps of a place below a node as strategies write it, such as `members[0].model`. */
export function readPath(text: string): Path {
  return [...text.matchAll(/\[(\d+)\]|[^.[\]]+/g)].map((match) => (match[1] === undefined ? match[0] : Number(match[1])));
}

/** A problem at a path of `origin`. */
export function problemAt(origin: Origin, path: Path, message: string): Problem {
  const line = origin.line(path);
  return { path: showPath(path), message, ...(line === undefined ? {} : { line }) };
}

/** The value at `path`; undefined where there is none. */
export function valueAt(root: unknown, path: Path): unknown {
  let value = root;
  for (const step of path) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, step)) return undefined;
    value = (value as Record<string | number, unknown>)[step];
  }
  return value;
}
