/** Shares of the options of a question: read from an answer, summed over communities, drawn from. */
import type { Completion } from "../../model/completion.ts";
import type { TokenLogprob } from "../../model/events.ts";
import { extractAnswer } from "../answers/answers.ts";
import { toOptions } from "../answers/options.ts";
import { withoutThoughts } from "../answers/plain.ts";
import { labelAt } from "../candidates.ts";
import { saidBy } from "../usable.ts";

/** An option of a question. */
export interface PollOption {
  /** A, B, C ... or as the question numbers them. */
  readonly label: string;
  /** As it stands in the question or the config. */
  readonly written: string;
  /** With its label in front. */
  readonly shown: string;
}

/** Shares by label; they add up to 1. */
export type Distribution = Readonly<Record<string, number>>;

/** Gives every option a label: its own where all have different ones, else A, B, C. */
export function toPollOptions(written: readonly string[]): readonly PollOption[] {
  const own = toOptions(written).map(({ label }) => label);
  const labelled = own.every((label) => label !== undefined) && new Set(own).size === own.length;
  return written.map((text, index) => {
    const label = (labelled ? own[index] : undefined) ?? labelAt(index);
    return { label, written: text, shown: labelled ? text : `${label}) ${text}` };
  });
}

/** Makes shares of what is not negative; undefined where there is nothing to share out. */
export function normalised(options: readonly PollOption[], amounts: Readonly<Record<string, number>>): Distribution | undefined {
  const total = options.reduce((sum, { label }) => sum + (amounts[label] ?? 0), 0);
  if (!(total > 0)) return undefined;
  return Object.fromEntries(options.map(({ label }) => [label, (amounts[label] ?? 0) / total]));
}

export function uniform(options: readonly PollOption[]): Distribution {
  return Object.fromEntries(options.map(({ label }) => [label, 1 / options.length]));
}

/** A token but for space and marks round it: "(B", " B" and "B)" are B, and "(" is nothing. */
function plain(token: string): string {
  return token.replaceAll(/[\s()[\]{}.:,*_`"'▁Ġ]/g, "");
}

/** The label that a token is. A small letter is part of a word. */
function labelOf(token: string, options: readonly PollOption[]): string | undefined {
  const found = plain(token);
  return options.find(({ label }) => label === found)?.label;
}

/** The first token of an answer that says something, after its thoughts. */
function firstWord({ choices: [choice] }: Completion): TokenLogprob | undefined {
  const tokens = choice?.logprobs?.content ?? [];
  const whole = tokens.map(({ token }) => token).join("");
  let left = whole.lastIndexOf(withoutThoughts(whole));
  return tokens.find(({ token }) => {
    left -= token.length;
    return left < 0 && plain(token) !== "";
  });
}

/**
 * The shares of the labels at the first word of the answer: exp(log p) over the tokens told for its place, summed by label, made to add up to 1.
 * Undefined where no log-probabilities came, or that word is not the label that the answer chooses: the A of "A matter of taste" is no label.
 */
export function fromLogprobs(completion: Completion, options: readonly PollOption[]): Distribution | undefined {
  const place = firstWord(completion);
  const label = place && labelOf(place.token, options);
  if (place === undefined || label === undefined || !fromChoice(saidBy(completion), options)?.[label]) return undefined;
  const told = place.top_logprobs ?? [];
  const tokens = told.some(({ token }) => token === place.token) ? told : [...told, place];
  const amounts: Record<string, number> = {};
  for (const { token, logprob } of tokens) {
    const one = labelOf(token, options);
    if (one !== undefined && typeof logprob === "number" && logprob <= 0) amounts[one] = (amounts[one] ?? 0) + Math.exp(logprob);
  }
  return normalised(options, amounts);
}

/** All for the option that a text chooses; undefined where it chooses none, or several. */
export function fromChoice(text: string, options: readonly PollOption[]): Distribution | undefined {
  const chosen = extractAnswer(text, { kind: "choice", options: options.map(({ shown }) => shown) })?.key;
  const option = options.find(({ label }) => chosen === `c:${label}`);
  return option && normalised(options, { [option.label]: 1 });
}

/** The mean of distributions under weights: sum of w_i p_i over the sum of w_i. */
export function mean(
  options: readonly PollOption[],
  parts: readonly { readonly shares: Distribution; readonly weight: number }[],
): Distribution | undefined {
  const amounts: Record<string, number> = {};
  for (const { shares, weight } of parts) {
    for (const { label } of options) amounts[label] = (amounts[label] ?? 0) + weight * (shares[label] ?? 0);
  }
  return normalised(options, amounts);
}

/** The option with the largest share; equals go to the earlier one. */
export function modeOf(options: readonly PollOption[], shares: Distribution): PollOption | undefined {
  let best: PollOption | undefined;
  for (const option of options) if (best === undefined || (shares[option.label] ?? 0) > (shares[best.label] ?? 0) + 1e-12) best = option;
  return best;
}

/** The option at a draw from [0, 1). */
export function drawn(options: readonly PollOption[], shares: Distribution, draw: number): PollOption | undefined {
  let sum = 0;
  for (const option of options) {
    sum += shares[option.label] ?? 0;
    if (draw < sum) return option;
  }
  // Sums of floats may end below 1.
  return options.findLast(({ label }) => (shares[label] ?? 0) > 0);
}

/** Without the noise of floating-point sums, for the record. */
export function rounded(shares: Distribution): Distribution {
  return Object.fromEntries(Object.entries(shares).map(([label, share]) => [label, Math.round(share * 1e6) / 1e6]));
}
