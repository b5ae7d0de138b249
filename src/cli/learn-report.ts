import { existsSync, writeFileSync } from "node:fs";
import { LearnError } from "../learn/learn-error.ts";
import type { CommandSite } from "./command.ts";
import { textOption } from "./learn-material.ts";

export function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}

export function dollars(usd: number | undefined): string {
  return usd === undefined ? "unknown" : `$${usd.toPrecision(3)}`;
}

/** Columns, the first to the left and numbers to the right. */
export function columns(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const line = (row: readonly string[]) =>
    row.map((cell, column) => (column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0))).join("  ");
  return rows.map((row) => `${line(row).trimEnd()}\n`).join("");
}

export function writeTo(path: string, text: string, { anew = true }: { readonly anew?: boolean } = {}): void {
  if (!anew && existsSync(path)) throw new LearnError(`${path} is there already, and may be a recording: name another file`);
  try {
    writeFileSync(path, text);
  } catch (thrown) {
    throw new LearnError(`can not write ${path} (${(thrown as NodeJS.ErrnoException).code ?? "unknown"})`);
  }
}

/** The file goes to `--out` and the report to the screen; without `--out` the file goes to standard output and the report beside it. */
export function deliver(site: CommandSite, text: string, report: string): void {
  const out = textOption(site, "out");
  if (out === undefined) {
    site.io.out(text);
    site.io.err(report);
  } else {
    writeTo(out, text);
    site.io.out(`${report}wrote ${out}\n`);
  }
}

export function toJson(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}
