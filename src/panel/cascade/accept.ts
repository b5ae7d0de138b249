import * as z from "zod";
import type { Call } from "../../model/call.ts";
import { textOf, type Completion } from "../../model/completion.ts";
import type { FinishEvent, ModelEvent } from "../../model/events.ts";
import type { ChatRequest } from "../../model/request.ts";
import { confidence, newPrefix, prefixConfidence, tokenLogprobs } from "./confidence.ts";
import type { Validator } from "../schema.ts";
import { emptiness } from "../usable.ts";

const logprob = z
  .number()
  .max(0)
  .optional()
  .describe("Natural logarithm; 0 is certainty. Without it the cascade names a file of thresholds.");

/** Gates that measure what the answer brings along, and ask nobody. A cascade adds those that ask. */
export const measuring = [
  z.strictObject({
    by: z.literal("prefixLogprob").describe("The mean log-probability of the first tokens; they are held, then the rest streams."),
    tokens: z.int().min(1).max(512).default(48).describe("How many tokens are held and measured."),
    min: logprob,
  }),
  z.strictObject({
    by: z.literal("logprob").describe("The log-probabilities of the whole answer."),
    measure: z.enum(["mean", "min", "p10"]).default("p10").describe("What is compared: p10 is the 10 % quantile."),
    min: logprob,
  }),
  z.strictObject({
    by: z.literal("quantile").describe("A quantile of the log-probabilities of the whole answer."),
    at: z.number().min(0).max(1).default(0.1).describe("Which: 0 is the least sure token, 0.5 the median."),
    min: logprob,
  }),
  z.strictObject({
    by: z.literal("agreement").describe("The share of a vote behind the answer."),
    min: z.number().min(0).max(1).optional(),
  }),
  z.strictObject({
    by: z.literal("schema").describe("The answer satisfies the request's response_format."),
  }),
] as const;

/** With its threshold, wherever that came from. */
type Settled<T> = T extends { readonly min?: number | undefined } ? Omit<T, "min"> & { readonly min: number } : T;

export type Measuring = Settled<z.output<(typeof measuring)[number]>>;
export type PrefixAccept = Extract<Measuring, { readonly by: "prefixLogprob" }>;

/** A gate that asks a model about a whole answer. */
export interface Asking {
  readonly by: "selfVerify" | "ask" | "judge";
  /** How many it asks, where every reply can be read. */
  readonly questions: number;
  /** Costs calls; throws only when the call was aborted. */
  verdict(judged: Judged, request: ChatRequest, call: Call): Promise<Verdict>;
}

/** When the answer of a cascade's step is good enough. */
export type Gate = Measuring | Asking;

/** What a gate found. `measured` is absent when it had nothing to measure; such an answer is not accepted. */
export interface Verdict {
  readonly accepted: boolean;
  readonly by: Gate["by"];
  readonly measured?: number;
  /** What the agreement may have come to, where votes were not waited for. */
  readonly atMost?: number;
  readonly threshold?: number;
  /** Why the answer is not what was asked for. */
  readonly reason?: string;
}

/** A whole answer to judge. */
export interface Judged {
  readonly completion: Completion;
  readonly finish: FinishEvent;
}

/** Whether a gate measures log-probabilities. */
export function needsLogprobs({ by }: { readonly by: Gate["by"] }): boolean {
  return by === "prefixLogprob" || by === "logprob" || by === "quantile";
}

/** A verdict by number: at least the threshold is enough, and nothing measured is not. */
export function measuredBy(by: Gate["by"], measured: number | undefined, threshold: number): Verdict {
  if (measured === undefined) return { accepted: false, by, threshold };
  return { accepted: measured >= threshold, by, measured, threshold };
}

/** What a gate measures of a whole answer's first choice; undefined when the answer does not tell it. */
function measure(gate: Exclude<Measuring, { readonly by: "schema" }>, { completion, finish }: Judged): number | undefined {
  if (gate.by === "agreement") return finish.agreement;
  const logprobs = tokenLogprobs(completion);
  if (gate.by === "prefixLogprob") return prefixConfidence(logprobs, gate.tokens);
  return confidence(logprobs, gate.by === "logprob" ? gate.measure : gate.at);
}

/** Judges a whole answer by its first choice. `validator` is the request's; without one no shape was asked for, and none can be missed. */
export function judge(gate: Measuring, judged: Judged, validator: Validator | undefined): Verdict {
  const { by } = gate;
  if (by !== "schema") {
    const { agreementAtMost: atMost } = judged.finish;
    const verdict = measuredBy(by, measure(gate, judged), gate.min);
    return by === "agreement" && atMost !== undefined ? { ...verdict, atMost } : verdict;
  }
  const { completion } = judged;
  const reason = emptiness(completion, "unusable") ?? validator?.(textOf(completion));
  return { accepted: reason === undefined, by, ...(reason === undefined ? {} : { reason }) };
}

/** A gate over the beginning of one stream. */
export interface PrefixGate {
  /** The stream may stop being held: the verdict is known. */
  read(event: ModelEvent): boolean;
  verdict(): Verdict;
  /** The answer came to its end while it was held, so all of it is there. */
  readonly finished: boolean;
}

/** Without a single log-probability the wait ends once the text is about as long as the tokens would be: four characters each. */
const CHARACTERS_PER_TOKEN = 4;

/** Holds a stream until its first tokens are measured. A short answer that is refused is held to its end, so that it is there as a last resort. */
export function newPrefixGate({ tokens, min }: PrefixAccept): PrefixGate {
  const prefix = newPrefix();
  const verdict = () => measuredBy("prefixLogprob", prefixConfidence(prefix.logprobs, tokens), min);
  return {
    read(event) {
      prefix.read(event);
      if (prefix.logprobs.length >= tokens) return true;
      if (prefix.ended) return verdict().accepted;
      return prefix.logprobs.length === 0 && prefix.characters >= tokens * CHARACTERS_PER_TOKEN;
    },
    verdict,
    get finished() {
      return prefix.finished;
    },
  };
}
