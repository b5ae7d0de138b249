/** How a vote settles what votes alone do not: answers that differ in wording, and ties. */
import * as z from "zod";
import type { Plan, Planned } from "../model/plan.ts";
import { planQuestions, toJudge, type Putting } from "../panel/judging/judge.ts";
import type { Role, Seating } from "../panel/seats.ts";
import { byEmbeddings, byYesNo, countPairs, type Compare } from "../panel/voting/semantic.ts";
import type { TieRule } from "../panel/voting/tie.ts";
import { node, OptionError, type BuildSite, type Node } from "./define.ts";
import * as shared from "./members.ts";

/** More answers than this are too many pairs for a judge. */
const JUDGED = 12;
/** The mean cosine from which two groups of answers are one. */
const THRESHOLD = 0.9;
/** What a judge reads of each answer. */
const CANDIDATE_TOKENS = 1_000;

export const settling = {
  embedder: node.optional().describe("For `answer: semantic`: a model that embeds. One call a request."),
  threshold: z
    .number()
    .min(0)
    .max(1)
    .optional()
    .describe(`For \`embedder\`: the cosine from which two answers are the same, ${THRESHOLD} unless said. It depends on the model.`),
  judge: shared.role
    .optional()
    .describe(
      "For `answer: semantic`: says of every two wordings whether they are the same. For `tie: judge`: picks one. Best one that is no member.",
    ),
  maxCandidateTokens: z
    .int()
    .min(16)
    .optional()
    .describe(`For \`judge\`: what it is shown of each answer at most, ${CANDIDATE_TOKENS} unless said; an estimate.`),
  tie: z
    .enum(["earliest", "medoid", "judge"])
    .default("earliest")
    .describe("Which of several leading answers wins: the earliest member's; the one most like all answers; the one that `judge` picks."),
};

const schema = z.strictObject(settling);

interface Options extends z.output<typeof schema> {
  readonly answer: string;
}

/** Options that do not go together. `seats` is how many answers there are. */
export function checkSettling(options: Options, seats: number): void {
  const { answer, embedder, judge, maxCandidateTokens, threshold, tie } = options;
  if (judge !== undefined && comparesByJudge(options)) checkPairs(seats);
  const semantic = answer === "semantic";
  if (semantic && embedder === undefined && judge === undefined)
    throw new OptionError("answer", "`semantic` needs an `embedder` or a `judge`");
  if (!semantic && embedder !== undefined) throw new OptionError("embedder", "goes with `answer: semantic`");
  if (threshold !== undefined && embedder === undefined) throw new OptionError("threshold", "goes with `embedder`");
  if (maxCandidateTokens !== undefined && judge === undefined) throw new OptionError("maxCandidateTokens", "goes with `judge`");
  if (tie === "judge" && judge === undefined) throw new OptionError("tie", "`judge` needs a `judge`");
  if (judge === undefined || tie === "judge") return;
  if (!semantic) throw new OptionError("judge", "goes with `answer: semantic` or `tie: judge`");
  if (embedder !== undefined) throw new OptionError("judge", "stands beside `embedder`; meanings are compared by one or the other");
}

/** A judge has as many pairs as the square of the answers. */
function checkPairs(seats: number): void {
  if (seats <= JUDGED) return;
  const what = `${seats} answers are ${countPairs(seats)} pairs; a judge compares those of ${JUDGED} at most, an \`embedder\` of any`;
  throw new OptionError("judge", what);
}

/** Beside an embedder the judge is there for ties alone. */
function comparesByJudge({ answer, embedder }: Options): boolean {
  return answer === "semantic" && embedder === undefined;
}

export interface Settling {
  /** For `answer: semantic`. */
  readonly compare: Compare | undefined;
  readonly tie: TieRule;
}

export function buildSettling(options: Options, seating: Seating, site: BuildSite): Settling {
  const { answer, embedder, judge: given, maxCandidateTokens: maxTokens = CANDIDATE_TOKENS, threshold = THRESHOLD, tie } = options;
  const putting = (name: string): Putting => ({ prompt: shared.promptOf(site, name, ["candidates"], ["nonce", "form"]), maxTokens });
  const judge: Role | undefined = given === undefined ? undefined : shared.buildRole(given, "judge", site);
  const compare = (): Compare | undefined => {
    if (judge !== undefined && comparesByJudge(options)) return byYesNo(judge, putting("vote-same"));
    return answer === "semantic" && embedder !== undefined ? byEmbeddings(site.embedder(embedder, "embedder"), threshold) : undefined;
  };
  const tieRule = (): TieRule => {
    if (tie !== "judge" || judge === undefined || given === undefined) return { by: tie === "medoid" ? tie : "earliest" };
    return { by: tie, jury: [toJudge(judge, shared.nodeOf(given), seating)], putting: putting("rank") };
  };
  return { compare: compare(), tie: tieRule() };
}

/** What is asked once the answers are there, at worst; nothing at best, when all say the same. */
export function planSettling(
  options: Options,
  seats: number,
  child: (node: Node) => Planned,
): Pick<Plan, "depth" | "edges"> & { readonly calls: number } {
  const { embedder: embedding, judge: given, tie } = options;
  const judge = given === undefined ? undefined : child(shared.nodeOf(given));
  const embedder = embedding === undefined ? undefined : child(embedding);
  const steps = [
    ...(embedder ? [embedder.plan] : []),
    ...(judge && comparesByJudge(options) ? [planQuestions(judge, countPairs(seats))] : []),
    ...(judge && tie === "judge" ? [planQuestions(judge)] : []),
  ];
  return {
    calls: steps.reduce((sum, { calls }) => sum + calls[1], 0),
    depth: steps.reduce((sum, { depth }) => sum + depth, 0),
    edges: [...(embedder ? [{ role: "embedder", child: embedder }] : []), ...(judge ? [{ role: "judge", child: judge }] : [])],
  };
}
