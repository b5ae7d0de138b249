// Goals and gates, and the table that says whether they are met.

/** One measurement of both systems, taken one right after the other. */
export interface Pair {
  floor: number;
  gateway: number;
}

export type RowName = "plain" | "big" | "paced" | "burst" | "fan" | "vote" | "p50" | "p99" | "memory" | "start";

interface Row {
  title: string;
  unit: "us" | "MB" | "ms";
  /** Judged by gateway / floor, or by gateway - floor. */
  by: "ratio" | "difference";
  goal?: number;
  gate?: number;
}

const rows: Record<RowName, Row> = {
  plain: {
    title: "plain request and answer, 600 B: CPU",
    unit: "us",
    by: "ratio",
    goal: 1.4,
    gate: 1.8,
  },
  big: {
    title: "request (20 messages) and answer, 16 KB: CPU",
    unit: "us",
    by: "ratio",
    goal: 1.6,
    gate: 2.1,
  },
  paced: {
    title: "streamed chunk, 64 streams, one each 5 ms: CPU",
    unit: "us",
    by: "ratio",
    goal: 1,
    gate: 1.25,
  },
  burst: { title: "streamed chunk, 64 streams, flat out: CPU", unit: "us", by: "ratio" },
  fan: {
    title: "fan-out of three (`n: 3`), waiting for all: CPU",
    unit: "us",
    by: "ratio",
    goal: 1.2,
    gate: 1.5,
  },
  vote: { title: "a vote of three (`exact`), beside the same fan-out: CPU", unit: "us", by: "ratio" },
  p50: { title: "added latency at 1,000 requests/s, median", unit: "us", by: "ratio", goal: 1.3 },
  p99: { title: "added latency at 1,000 requests/s, p99", unit: "us", by: "ratio", goal: 2 },
  memory: { title: "idle memory (PSS)", unit: "MB", by: "difference", goal: 25, gate: 50 },
  start: { title: "start to first answer", unit: "ms", by: "difference", goal: 250, gate: 400 },
};

export const rowNames = Object.keys(rows) as RowName[];

/** What was measured and what went wrong, row by row. */
export interface Results {
  pairs: Map<RowName, Pair[]>;
  /** By row and system: the first failure; a row with one has not been measured. */
  faults: Map<RowName, string>;
}

export function median(values: number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}

function judge(row: Row, value: number): string {
  if (row.gate !== undefined && value > row.gate) return "**over the gate**";
  if (row.goal === undefined) return "reported";
  if (value <= row.goal) return "goal met";
  return row.gate === undefined ? "over the goal" : "within the gate";
}

function figure(value: number, unit: string): string {
  return `${value < 10 ? value.toFixed(1) : Math.round(value).toLocaleString("en")} ${unit}`;
}

/** A limit or a judged value as the reader compares it: `1.4x` or `+25 MB`. */
function verdictFigure(row: Row, value: number | undefined, digits: number): string {
  if (value === undefined) return "";
  if (row.by === "ratio") return `${value.toFixed(digits)}x`;
  const whole = Math.round(value);
  return `${whole < 0 ? "-" : "+"}${Math.abs(whole)} ${row.unit}`;
}

function compare(row: Row, pairs: Pair[]): number[] {
  if (row.by === "difference") return pairs.map((pair) => pair.gateway - pair.floor);
  return pairs.map((pair) => pair.gateway / pair.floor);
}

function limit(row: Row, value: number | undefined): string {
  return verdictFigure(row, value, value !== undefined && Math.round(value * 10) === value * 10 ? 1 : 2);
}

function line(row: Row, pairs: Pair[], fault: string | undefined): string {
  const limits = `${limit(row, row.goal)} | ${limit(row, row.gate) || "reported"}`;
  if (fault !== undefined) return `| ${row.title} | | | | ${limits} | **failed** |`;
  const values = compare(row, pairs);
  const spread = `${verdictFigure(row, Math.min(...values), 2)} to ${verdictFigure(row, Math.max(...values), 2)}`;
  const cells = [
    row.title,
    figure(median(pairs.map((pair) => pair.floor)), row.unit),
    figure(median(pairs.map((pair) => pair.gateway)), row.unit),
    `**${verdictFigure(row, median(values), 2)}** (${spread})`,
    limits,
    judge(row, median(values)),
  ];
  return `| ${cells.join(" | ")} |`;
}

/** The results as a Markdown table, in the order of the rows above. */
export function table(results: Results): string {
  const lines = [
    "| | floor | gateway | median of the ratios (min to max) | goal | gate | |",
    "| --- | ---: | ---: | ---: | ---: | ---: | --- |",
  ];
  for (const [name, row] of Object.entries(rows) as [RowName, Row][]) {
    const pairs = results.pairs.get(name) ?? [];
    const fault = results.faults.get(name);
    if (pairs.length > 0 || fault !== undefined) lines.push(line(row, pairs, fault));
  }
  return lines.join("\n");
}

/** Titles of the rows whose gate is exceeded. */
export function exceeded(results: Results): string[] {
  return [...results.pairs].flatMap(([name, pairs]) => {
    const row = rows[name];
    const over = pairs.length > 0 && row.gate !== undefined && median(compare(row, pairs)) > row.gate;
    return over ? [row.title] : [];
  });
}
