import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { run } from "../../src/cli/run.ts";

/** A folder of a test's own. */
export interface Folder {
  path(name: string): string;
  write(name: string, text: string): string;
  read(name: string): string;
  json(name: string): unknown;
}

export function newFolder(): Folder {
  const folder = mkdtempSync(join(tmpdir(), "chorale-learn-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const path = (name: string) => join(folder, name);
  return {
    path,
    write(name, text) {
      writeFileSync(path(name), text);
      return path(name);
    },
    read: (name) => readFileSync(path(name), "utf8"),
    json: (name) => JSON.parse(readFileSync(path(name), "utf8")) as unknown,
  };
}

export interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** Runs the command line in this process. */
export async function chorale(...argv: readonly string[]): Promise<Ran> {
  const [out, err]: [string[], string[]] = [[], []];
  const code = await run(
    argv,
    {},
    {
      out: (text) => void out.push(text),
      err: (text) => void err.push(text),
      serve: () => Promise.resolve(7),
      probe: () => Promise.resolve(undefined),
    },
  );
  return { code, out: out.join(""), err: err.join("") };
}
