import { gradedRows, type GradedRow } from "../learn/scoreboard.ts";
import { needs } from "../learn/learn-error.ts";
import { labelledOf } from "../learn/labelled.ts";
import { toLines } from "../learn/json-lines.ts";
import { aloneOf, oracleOf, routedBy, type Routed } from "../learn/routed.ts";
import { areaUnder, routerTable, trainRouter } from "../learn/router-train.ts";
import type { Command, CommandSite } from "./command.ts";
import { embedTexts, type Embeddings } from "./learn-embed.ts";
import { gradedQuestions, leastOf, materialOptions, membersOf, namedMembers, neededText, numberOption } from "./learn-material.ts";
import { columns, deliver, dollars, percent, toJson } from "./learn-report.ts";

const { members: _, ...pairOptions } = materialOptions;

/** A rate below which the embeddings do not tell who wins. */
const CHANCE = 0.55;

function lineOf(name: string, { share, score, usd }: Routed): readonly string[] {
  return [name, percent(share), percent(score), dollars(usd)];
}

/** What the table is worth, on questions that it did not see. */
function reportOf(
  rows: readonly GradedRow[],
  rates: readonly number[],
  share: number,
  { vectors, calls, usd, coverage }: Embeddings,
): string {
  const came = rows.map(({ cells }) => (cells[1]?.score ?? 0) > (cells[0]?.score ?? 0));
  const at = routedBy(rows, rates, share);
  const some = `${dollars(usd)}, and ${percent(1 - coverage)} of the calls at an unknown price`;
  const known = coverage === 1 ? dollars(usd) : coverage === 0 ? "an unknown price" : some;
  return [
    `embedded ${vectors.length} texts in ${calls} ${calls === 1 ? "call" : "calls"} for ${known}\n`,
    `on ${rows.length} questions, each judged by a table that did not see it:\n`,
    columns([
      ["", "strong calls", "mean grade", "cost of an answer"],
      lineOf("weak alone", aloneOf(rows, 0)),
      lineOf(`share ${share}`, at),
      lineOf("strong alone", aloneOf(rows, 1)),
      lineOf("oracle", oracleOf(rows)),
    ]),
    `threshold ${at.threshold.toFixed(5)} sends that share; tells who wins in ${percent(areaUnder(rates, came))} of pairs (50 % is chance)\n`,
  ].join("");
}

function hasText({ question: { text } }: GradedRow): boolean {
  return text !== undefined && text.trim() !== "";
}

async function learnTable(site: CommandSite): Promise<number> {
  const share = numberOption(site, "share", [0, 1]) ?? 0.5;
  const embedder = neededText(site, "embedder");
  const names = [neededText(site, "weak"), neededText(site, "strong")] as const;
  const questions = gradedQuestions(site);
  const rows = gradedRows(questions, namedMembers(names, questions, site)).filter(hasText);
  needs(leastOf(site), rows.length, "questions were recorded with content and graded for both members");
  const texts = rows.map(({ question }) => question.text ?? "");
  const embeddings = await embedTexts(embedder, texts, site);
  const examples = rows.map(({ cells }, index) => ({
    vector: embeddings.vectors[index] ?? new Float32Array(),
    came: (cells[1]?.score ?? 0) > (cells[0]?.score ?? 0),
  }));
  const trained = trainRouter(examples);
  const table = routerTable(trained, { weak: names[0], strong: names[1], embedder: embeddings.embedder });
  deliver(site, toJson(table), reportOf(rows, table.winRates ?? [], share, embeddings));
  const area = areaUnder(
    trained.heldOut,
    examples.map(({ came }) => came),
  );
  if (area < CHANCE) site.io.err("warning: these embeddings hardly tell who wins; this table is no better than chance\n");
  return 0;
}

export const learnRouterTable: Command = {
  name: "learn router-table",
  summary: "A table for `route` by `learned`.",
  options: {
    ...pairOptions,
    weak: { type: "string" },
    strong: { type: "string" },
    embedder: { type: "string" },
    share: { type: "string" },
  },
  run: learnTable,
};

export const learnLabelled: Command = {
  name: "learn labelled",
  summary: "Labelled texts for `route` by `embedding`.",
  options: materialOptions,
  async run(site) {
    const questions = gradedQuestions(site);
    const members = membersOf(site, questions, true);
    const labelled = labelledOf(gradedRows(questions, members), members);
    needs(leastOf(site), labelled.length, "questions were recorded with content and graded for every member");
    deliver(site, toLines(labelled), `${labelled.length} texts with grades of ${members.map(({ name }) => name).join(", ")}\n`);
    return 0;
  },
};
