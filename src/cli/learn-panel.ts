import { chemistry } from "../learn/chemistry.ts";
import { gradedRows, rowsOf } from "../learn/scoreboard.ts";
import { voteWeights } from "../learn/vote-weights.ts";
import type { Command } from "./command.ts";
import { gradedQuestions, leastOf, materialOptions, membersOf, numberOption } from "./learn-material.ts";
import { columns, deliver, dollars, percent, toJson } from "./learn-report.ts";

export const learnVoteWeights: Command = {
  name: "learn vote-weights",
  summary: "Weights for `vote` and `consensus`.",
  options: { ...materialOptions, classes: { type: "string" } },
  async run(site) {
    const questions = gradedQuestions(site);
    const isGraded = questions.some(({ answers }) => answers.some(({ score }) => score !== undefined));
    const members = membersOf(site, questions, isGraded);
    const classes = numberOption(site, "classes", [2, Infinity]);
    const table = voteWeights(rowsOf(questions, members), members, { classes, least: leastOf(site) });
    const rows = Object.entries(table.members).map(([name, { weight, right, total }]) => [name, `${right} of ${total}`, weight.toFixed(4)]);
    const head = isGraded ? "right" : "agrees with the others";
    deliver(site, toJson(table), `${columns([["member", head, "weight"], ...rows])}possible answers: ${table.classes}\n`);
    if (!isGraded) site.io.err("warning: nothing is graded; these weights tell who agrees with the others, not who is right\n");
    return 0;
  },
};

/** Sets that are shown; the file has all. */
const SHOWN = 10;

export const learnChemistry: Command = {
  name: "learn chemistry",
  summary: "Which members belong together.",
  options: { ...materialOptions, size: { type: "string" } },
  async run(site) {
    const questions = gradedQuestions(site);
    const members = membersOf(site, questions, true);
    const size = numberOption(site, "size", [2, members.length]) ?? Math.min(3, members.length);
    const found = chemistry(gradedRows(questions, members), members, { size, least: leastOf(site) });
    const report = [
      `${found.questions} questions, graded for every member\n\n`,
      columns([
        ["member", "right", "mean grade", "cost"],
        ...found.members.map(({ name, accuracy, quality, usd }) => [name, percent(accuracy), percent(quality), dollars(usd)]),
      ]),
      "\n",
      columns([
        ["pair", "one is right", "both wrong", "error correlation", "chemistry"],
        ...found.pairs.map(({ members: [a, b], rescued, bothWrong, correlation, chemistry: bond }) => {
          return [`${a} + ${b}`, percent(rescued), percent(bothWrong), correlation.toFixed(2), bond.toFixed(2)];
        }),
      ]),
      "\n",
      columns([
        [`sets of ${size}`, "a vote is right", "any is right", "cost"],
        ...found.sets
          .slice(0, SHOWN)
          .map(({ members: set, vote, coverage, usd }) => [set.join(" + "), percent(vote), percent(coverage), dollars(usd)]),
      ]),
    ].join("");
    deliver(site, toJson(found), report);
    return 0;
  },
};
