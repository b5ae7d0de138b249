/** The tables of `docs/clients.md`, made of what the tests of this run have done. */
import { readFileSync, writeFileSync } from "node:fs";
import { expect } from "vitest";
import { kinds, wheres } from "./site.ts";

const path = new URL("../../docs/clients.md", import.meta.url);

/** What a row is about. */
export interface Row {
  /** Markdown. */
  readonly library: string;
  readonly version: string;
  readonly api: string;
}

const columns = [
  "plain",
  "stream",
  "tools",
  "tools, streamed",
  "structured output",
  "errors",
  "cut stream",
  "abort",
  "429",
  "give up",
] as const;

export type Column = (typeof columns)[number];

interface Cells {
  readonly row: Row;
  /** What was told of each column, once for each place. */
  readonly told: Map<Column, string[]>;
  readonly kinds: Set<string>;
}

export class Matrix {
  readonly #marks: readonly [begin: string, end: string];
  readonly #rows = new Map<string, Cells>();

  /** One table of the page, by its name there. */
  constructor(table: string) {
    this.#marks = [`<!-- ${table}: made by the tests -->\n\n`, `\n\n<!-- ${table}: end -->`];
  }

  #of(id: string, row: Row): Cells {
    const found = this.#rows.get(id) ?? { row, told: new Map<Column, string[]>(), kinds: new Set<string>() };
    this.#rows.set(id, found);
    return found;
  }

  /** Called at the end of a test of this column, once for each place. */
  done(id: string, row: Row, column: Column, what = "yes"): void {
    const { told } = this.#of(id, row);
    told.set(column, [...(told.get(column) ?? []), what]);
  }

  kind(id: string, row: Row, kind: string): void {
    this.#of(id, row).kinds.add(kind);
  }

  /** Empty where a place is missing, or two places differ. */
  #cell({ told }: Cells, column: Column): string {
    const [first = "", ...others] = told.get(column) ?? [];
    return others.length === wheres.length - 1 && others.every((other) => other === first) ? first : "";
  }

  #table(): string {
    const rows = [...this.#rows.values()].map((cells) => {
      const { library, version, api } = cells.row;
      return [library, version, api, ...columns.map((column) => this.#cell(cells, column)), `${cells.kinds.size} of ${kinds.length}`];
    });
    const lines = [["client", "version", "API", ...columns, "kinds"], ...rows];
    const widths = lines[0]!.map((_, column) => Math.max(...lines.map((line) => line[column]!.length)));
    const [head, ...body] = lines.map((line) => `| ${line.map((cell, column) => cell.padEnd(widths[column]!)).join(" | ")} |`);
    return [head, `| ${widths.map((width) => "-".repeat(width)).join(" | ")} |`, ...body].join("\n");
  }

  /** Compares the table with the page; with `UPDATE_DOCS` in the environment it is written there instead. */
  check(): void {
    const page = readFileSync(path, "utf8");
    const [begin, end] = this.#marks;
    const from = page.indexOf(begin) + begin.length;
    const to = page.indexOf(end);
    expect([page.includes(begin), to > from]).toEqual([true, true]);
    if (process.env["UPDATE_DOCS"]) writeFileSync(path, page.slice(0, from) + this.#table() + page.slice(to));
    else expect(page.slice(from, to)).toBe(this.#table());
  }
}
