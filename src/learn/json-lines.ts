import type * as z from "zod";
import { LearnError } from "./learn-error.ts";

/** Reads a file of JSON lines. A line that is none fails with its number: a file made by hand is mended, not skipped. */
export function readLines<T>(text: string, schema: z.ZodType<T>, file: string): readonly T[] {
  return text.split("\n").flatMap((line, index) => {
    if (line.trim() === "") return [];
    const where = `${file}, line ${index + 1}`;
    let value: unknown;
    try {
      value = JSON.parse(line);
    } catch {
      throw new LearnError(`${where}: not JSON`);
    }
    const read = schema.safeParse(value);
    if (read.success) return [read.data];
    const [issue] = read.error.issues;
    throw new LearnError(`${where}: ${[issue?.path.join("."), issue?.message].filter(Boolean).join(": ")}`);
  });
}

export function toLines(values: readonly unknown[]): string {
  return values.map((value) => `${JSON.stringify(value)}\n`).join("");
}
