/** `chorale check --table`: whether learned files are what they say that they are. Whom they were made for is checked where a config names them. */
import { readFileSync } from "node:fs";
import * as z from "zod";
import { readChemistry } from "../learn/chemistry-file.ts";
import { readThresholds } from "../panel/cascade/thresholds.ts";
import { labelledLine, readLabelled, TableError } from "../panel/route/labelled.ts";
import { readRouterTable } from "../panel/route/table.ts";
import { readWeights } from "../panel/voting/weights.ts";
import type { Io } from "./command.ts";

/** What a file holds, or what is wrong with it, in words that follow its name. */
type Read = { readonly ok: true; readonly holds: string } | { readonly ok: false; readonly problem: string };

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}

/** Runs a reader that throws what is wrong. */
function tried(read: () => string): Read {
  try {
    return { ok: true, holds: read() };
  } catch (thrown) {
    if (thrown instanceof TableError) return { ok: false, problem: thrown.message };
    throw thrown;
  }
}

function readVoteWeights(bytes: Buffer): Read {
  const read = readWeights(bytes, []);
  return read.ok ? { ok: true, holds: `vote weights of ${count(read.weights.size, "member")}` } : { ok: false, problem: read.fault };
}

function readCascade(bytes: Buffer): Read {
  const read = readThresholds(bytes);
  if (!read.ok) return read;
  const { for: steps, thresholds } = read.table;
  return { ok: true, holds: `thresholds of ${count(thresholds.length, "gate")} for ${steps.join(", ")}` };
}

function readRouter(bytes: Buffer): Read {
  return tried(() => {
    const { weak, strong, embedder } = readRouterTable(bytes.toString("utf8"));
    return `a router table for ${weak.name} (weak) and ${strong.name} (strong), on ${embedder.dimensions} numbers of ${embedder.model}`;
  });
}

function readChemistryFile(bytes: Buffer): Read {
  const read = readChemistry(JSON.parse(bytes.toString("utf8")));
  if (!read.ok) return read;
  const { members, questions, sets } = read.file;
  const of = `${count(members.length, "member")} on ${count(questions, "question")}`;
  return { ok: true, holds: `chemistry of ${of}, ${count(sets.length, "set")}` };
}

/** Lines of texts name no members of their own: they have to be the same in all. */
function readTexts(bytes: Buffer): Read {
  const text = bytes.toString("utf8");
  const named = text.split("\n").flatMap((line) => {
    const { scores = {}, best } = labelledLine.safeParse(toJson(line)).data ?? {};
    return best === undefined ? Object.keys(scores) : [best];
  });
  const members = [...new Set(named)];
  return tried(() => `${count(readLabelled(text, members).length, "labelled text")} for ${members.join(", ")}`);
}

const readers: Readonly<Record<string, (bytes: Buffer) => Read>> = {
  "vote-weights": readVoteWeights,
  "cascade-thresholds": readCascade,
  "chorale/router-table": readRouter,
  chemistry: readChemistryFile,
};

const told = z.looseObject({ kind: z.string().optional(), format: z.string().optional() });

function toJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function readTable(bytes: Buffer): Read {
  const text = bytes.toString("utf8");
  const whole = told.safeParse(toJson(text));
  const name = whole.data?.format ?? whole.data?.kind;
  const reader = name === undefined || !Object.hasOwn(readers, name) ? undefined : readers[name];
  if (reader) return reader(bytes);
  // A line of labelled texts says what it is by its text.
  const [first = ""] = text.trimStart().split("\n", 1);
  const line = toJson(first);
  if (typeof line === "object" && line !== null && "text" in line) return readTexts(bytes);
  if (!whole.success) return { ok: false, problem: "it is neither a JSON object nor lines of labelled texts" };
  const what = name === undefined ? "says neither `kind` nor `format`" : `is of an unknown kind, "${name}"`;
  return { ok: false, problem: `it ${what}; there are ${Object.keys(readers).join(", ")}, and lines of labelled texts` };
}

function readFile(path: string): Read {
  let bytes: Buffer;
  try {
    bytes = readFileSync(path);
  } catch (thrown) {
    return { ok: false, problem: `can not be read (${(thrown as NodeJS.ErrnoException).code ?? "unknown"})` };
  }
  return readTable(bytes);
}

/** Tells of each file what it holds; whether all are in order. */
export function checkTables(paths: readonly string[], io: Pick<Io, "out" | "err">): boolean {
  const read = paths.map((path) => ({ path, table: readFile(path) }));
  for (const { path, table } of read) {
    if (table.ok) io.out(`${path}: ${table.holds}\n`);
    else io.err(`${path}: ${table.problem}\n`);
  }
  return read.every(({ table }) => table.ok);
}
