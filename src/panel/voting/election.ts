import type { Completion } from "../../model/completion.ts";
import { extractAnswer, type AnswerRule } from "../answers/answers.ts";
import type { Weighed } from "../assemble.ts";
import { ballotOf, tallyOf, votesOf, type Ballot } from "./ballots.ts";
import { ownCompletion } from "../flush.ts";
import { mergeTexts } from "./json-fields.ts";
import { medoid } from "./medoid.ts";
import { nothingOut, type Outstanding } from "./outstanding.ts";
import type { Validator } from "../schema.ts";
import type { Tally } from "./tally.ts";

/** How the answers of a panel are settled. */
export interface ElectionRules {
  readonly rule: AnswerRule;
  readonly json: "whole" | "fields";
  readonly validator: Validator | undefined;
  /** The class of a key, where answers of different keys were found to be the same. */
  readonly classOf?: ((key: string) => string) | undefined;
  /** Votes that were not waited for. */
  readonly out?: Outstanding | undefined;
}

/** Who won, and by how much. */
export interface Outcome {
  readonly completion: Completion;
  /** Labels of the seats whose answer this is; none when it was merged from several. */
  readonly winner?: string;
  /** Share of the weight behind it; where votes were not waited for, what it is at least. */
  readonly agreement: number;
  /** What it may have come to; only where votes were not waited for. */
  readonly atMost?: number;
  /** Weight by answer as it was written, dissent included. */
  readonly votes: Readonly<Record<string, number>>;
  /** How many answers cast a vote. */
  readonly counted: number;
  readonly by: "votes" | "fields" | "medoid";
  /** One answer of each class with as many votes as the winner's, the winner's first. Only where there are several. */
  readonly tied?: readonly Weighed[];
}

/** No answer could be compared: the text most like the others, supported by itself alone. */
function byMedoid(candidates: readonly Weighed[]): Outcome | undefined {
  const winner = candidates[medoid(candidates.map(({ text }) => text))];
  if (winner === undefined) return undefined;
  const total = candidates.reduce((sum, { weight }) => sum + Math.abs(weight), 0);
  const agreement = total > 0 ? Math.abs(winner.weight) / total : 1 / candidates.length;
  return { completion: winner.completion, winner: winner.label, agreement, votes: {}, counted: 0, by: "medoid" };
}

/** The share, or where it may end. */
function agreementOf(tally: Tally, out: Outstanding): Pick<Outcome, "agreement" | "atMost"> {
  if (out.weight === 0) return { agreement: tally.share() };
  const { least, most } = tally.bounds(out);
  return { agreement: least, atMost: most };
}

function byVotes(ballots: readonly Ballot[], out: Outstanding): Outcome | undefined {
  const tally = tallyOf(ballots);
  const spokesman = (order: number) => ballots.find(({ candidate }) => candidate.seat === order)?.candidate;
  const [winner, ...equals] = tally
    .leaders()
    .map(({ order }) => spokesman(order))
    .filter((candidate) => candidate !== undefined);
  if (winner === undefined) return undefined;
  return {
    completion: winner.completion,
    winner: winner.label,
    ...agreementOf(tally, out),
    votes: votesOf(ballots, tally),
    counted: ballots.length,
    by: "votes",
    ...(equals.length > 0 ? { tied: [winner, ...equals] } : {}),
  };
}

/** The merged object; where somebody sent just that, it is that answer, untouched. */
function byFields(ballots: readonly Ballot[], validator: Validator | undefined): Outcome | undefined {
  const texts = ballots.map(({ candidate: { text, weight, seat } }) => ({ text, weight, order: seat }));
  const merged = mergeTexts(texts, validator);
  if (merged === undefined) return undefined;
  const key = extractAnswer(merged.text, { kind: "json" })?.key;
  const sender = ballots.find((ballot) => ballot.key === key)?.candidate;
  const votes = votesOf(ballots, tallyOf(ballots));
  const common = { agreement: merged.support, votes, counted: ballots.length, by: "fields" } as const;
  return sender
    ? { ...common, completion: sender.completion, winner: sender.label }
    : { ...common, completion: ownCompletion(merged.text) };
}

/** Settles the candidates, which stand in the order of their seats: by votes where at least one can be told, else by the medoid. */
export function elect(
  candidates: readonly Weighed[],
  { rule, json, validator, classOf, out = nothingOut }: ElectionRules,
): Outcome | undefined {
  const found = candidates.map((candidate) => ballotOf(candidate, rule)).filter((ballot) => ballot !== undefined);
  const ballots = classOf === undefined ? found : found.map((ballot) => ({ ...ballot, key: classOf(ballot.key) }));
  if (ballots.length === 0) return byMedoid(candidates);
  const fields = json === "fields" && rule.kind === "json" ? byFields(ballots, validator) : undefined;
  return fields ?? byVotes(ballots, out);
}
