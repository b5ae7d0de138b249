import { readFileSync } from "node:fs";
import { findConfig, loadConfig } from "../config/load.ts";
import type { Config } from "../config/config.ts";
import { nearest } from "../config/nearest.ts";
import { openGrader, type Grader } from "../learn/grades.ts";
import { LEAST, LearnError } from "../learn/learn-error.ts";
import { questionsOf, type History, type Question } from "../learn/questions.ts";
import { upstreamsOf, type Member } from "../learn/scoreboard.ts";
import { parseHistory } from "../model/history.ts";
import type { AnswerKind } from "../panel/answers/answers.ts";
import { filesOf } from "../providers/replay-tape.ts";
import type { CommandSite } from "./command.ts";
import { UsageError } from "./usage-error.ts";

/** Options of every job that learns from history. */
export const materialOptions = {
  from: { type: "string", multiple: true },
  out: { type: "string" },
  grades: { type: "string" },
  truth: { type: "string" },
  answer: { type: "string" },
  members: { type: "string" },
  least: { type: "string" },
  config: { type: "string", short: "c" },
} as const;

/** The text of an option; undefined when it was not given. */
export function textOption({ flags }: CommandSite, name: string): string | undefined {
  const value = flags?.[name];
  return typeof value === "string" ? value : undefined;
}

export function neededText(site: CommandSite, name: string): string {
  const value = textOption(site, name);
  if (value !== undefined && value !== "") return value;
  throw new UsageError(`learn: \`--${name}\` is needed`);
}

/** A number within bounds; undefined when it was not given. */
export function numberOption(site: CommandSite, name: string, [low, high]: readonly [number, number]): number | undefined {
  const text = textOption(site, name);
  if (text === undefined) return undefined;
  const value = text.trim() === "" ? Number.NaN : Number(text);
  if (value >= low && value <= high) return value;
  throw new UsageError(`learn: \`--${name} ${text}\` is no number from ${low} ${high === Infinity ? "up" : `to ${high}`}`);
}

export function leastOf(site: CommandSite): number {
  return numberOption(site, "least", [1, Infinity]) ?? LEAST;
}

/** A file that the operator named. */
export function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (thrown) {
    throw new LearnError(`can not read ${path} (${(thrown as NodeJS.ErrnoException).code ?? "unknown"})`);
  }
}

export function fromOf({ flags }: CommandSite): readonly string[] {
  const from = flags?.["from"];
  if (!Array.isArray(from)) throw new UsageError("learn: `--from` is needed: the file to learn from");
  return from.map(String);
}

function historyOf(site: CommandSite): History {
  const parts = fromOf(site).flatMap((path) => {
    const files = filesOf(path);
    if (files.length === 0) throw new LearnError(`there is no history ${path}`);
    return files.map((file) => {
      try {
        return parseHistory(readText(file));
      } catch (thrown) {
        throw thrown instanceof LearnError ? thrown : new LearnError(`${file}: ${(thrown as Error).message}`);
      }
    });
  });
  const skipped = parts.reduce((sum, part) => sum + part.skipped, 0);
  if (skipped > 0) site.io.err(`warning: ${skipped} lines are no records, and were skipped\n`);
  return { legs: parts.flatMap(({ legs }) => legs), requests: parts.flatMap(({ requests }) => requests) };
}

const kinds: readonly AnswerKind[] = ["auto", "exact", "choice", "number", "json"];

function graderOf(site: CommandSite): Grader {
  const answer = textOption(site, "answer");
  const kind = kinds.find((one) => one === (answer ?? "auto"));
  if (kind === undefined) throw new UsageError(`learn: \`--answer ${answer}\` is none of ${kinds.join(", ")}`);
  const file = (name: string): readonly [string, string] | undefined => {
    const path = textOption(site, name);
    return path === undefined ? undefined : [readText(path), path];
  };
  return openGrader({ grades: file("grades"), truth: file("truth"), kind });
}

/** What a job learns from. */
export interface Material {
  readonly history: History;
  readonly grader: Grader;
}

export function materialOf(site: CommandSite): Material {
  return { history: historyOf(site), grader: graderOf(site) };
}

/** The questions of a history; warns of grades that belong to none. */
export function gradedQuestions(site: CommandSite): readonly Question[] {
  const { history, grader } = materialOf(site);
  const questions = questionsOf(history, grader);
  warnOfUnused(site, grader);
  return questions;
}

export function warnOfUnused({ io }: CommandSite, grader: Grader): void {
  if (grader.unused() > 0) io.err(`warning: ${grader.unused()} lines of grades or truth belong to no answer of this history\n`);
}

/** The config, where there is one. */
export function configOf({ env, config }: CommandSite): Config | undefined {
  const path = findConfig(env, config);
  return path === undefined ? undefined : loadConfig({ path, env });
}

/** The upstream behind a name: aliases are followed, anything else stays as it is. */
export function upstreamOf(name: string, config: Config | undefined): string {
  const models: Readonly<Record<string, unknown>> = config?.models ?? {};
  const seen = new Set<string>();
  let at = name;
  while (Object.hasOwn(models, at) && !seen.has(at)) {
    seen.add(at);
    const node = models[at];
    if (typeof node !== "string") throw new LearnError(`${name} is a strategy of the config, and an upstream model is needed`);
    at = node;
  }
  return at;
}

/** Members by the names that the config gives them. */
export function namedMembers(names: readonly string[], questions: readonly Question[], site: CommandSite): readonly Member[] {
  const known = new Set(questions.flatMap(({ answers }) => answers.map(({ upstream }) => upstream)));
  const config = names.every((name) => known.has(name)) ? undefined : configOf(site);
  const twice = names.find((name, index) => names.indexOf(name) < index);
  if (twice !== undefined) throw new UsageError(`learn: "${twice}" is named twice`);
  return names.map((name) => {
    const upstream = upstreamOf(name, config);
    if (known.has(upstream)) return { name, upstream };
    const [guess] = nearest(upstream, known);
    const there = guess === undefined ? `there are ${[...known].join(", ")}` : `did you mean "${guess}"?`;
    throw new LearnError(`this history has no answers of ${upstream}; ${there}`);
  });
}

/** `--members`, else every upstream that was graded, or at all. */
export function membersOf(site: CommandSite, questions: readonly Question[], graded: boolean): readonly Member[] {
  const given = textOption(site, "members");
  if (given === undefined) return upstreamsOf(questions, graded);
  const names = given.split(",").map((name) => name.trim());
  return namedMembers(
    names.filter((name) => name !== ""),
    questions,
    site,
  );
}
