import type { Choice, Completion } from "../../model/completion.ts";
import { batch, Flag, type BatchEvent, type ModelEvent, type TokenLogprob } from "../../model/events.ts";
import { scanJsonObject } from "../../model/json-scan.ts";
import { latin1Json } from "../../model/latin1.ts";

/** How the log-probabilities of an answer's tokens become one number; all are at most 0, and 0 is certainty. A number is a quantile, 0 to 1. */
export type Measure = "mean" | "min" | "p10" | number;

/** Servers write what they can not tell in several ways: only numbers count. */
function numbers(tokens: readonly TokenLogprob[]): readonly number[] {
  return tokens.map(({ logprob }) => logprob).filter((logprob) => typeof logprob === "number" && !Number.isNaN(logprob));
}

/** The log-probabilities of the first choice's tokens; empty when it came without them. */
export function tokenLogprobs(completion: Completion): readonly number[] {
  return numbers(completion.choices[0]?.logprobs?.content ?? []);
}

/** The quantile by linear interpolation between the two nearest ranks, as numpy's default. */
function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (sorted.length - 1) * share;
  const low = sorted[Math.floor(at)] ?? 0;
  const high = sorted[Math.ceil(at)] ?? 0;
  return low === high ? low : low + (high - low) * (at - Math.floor(at));
}

/** Measures token log-probabilities; undefined when there are none, because nothing was said of them. */
export function confidence(logprobs: readonly number[], measure: Measure): number | undefined {
  if (logprobs.length === 0) return undefined;
  if (measure === "p10") return quantile(logprobs, 0.1);
  if (typeof measure === "number") return quantile(logprobs, measure);
  if (measure === "min") return logprobs.reduce((least, logprob) => Math.min(least, logprob), 0);
  return logprobs.reduce((sum, logprob) => sum + logprob, 0) / logprobs.length;
}

/** The mean log-probability of an answer's first tokens: (1/m) * sum of log p(t) over t = 1..m, m the smaller of `tokens` and its length. */
export function prefixConfidence(logprobs: readonly number[], tokens: number): number | undefined {
  return confidence(logprobs.slice(0, tokens), "mean");
}

/** What a prefix gate has read of a stream. */
export interface Prefix {
  read(event: ModelEvent): void;
  /** Of the first choice. */
  readonly logprobs: readonly number[];
  /** Of the first choice's text. */
  readonly characters: number;
  /** The first choice has ended. */
  readonly ended: boolean;
  /** The whole answer has been read. */
  readonly finished: boolean;
}

/** Reads log-probabilities as they come. Of several choices only the first is looked at. */
export function newPrefix(): Prefix {
  const prefix = { read, logprobs: [] as number[], characters: 0, ended: false, finished: false };
  function read(event: ModelEvent): void {
    if (event.type === "finish") {
      prefix.finished = true;
      if (event.completion) prefix.logprobs.push(...tokenLogprobs(event.completion));
    } else if (event.type === "batch") {
      for (const delta of event.deltas) {
        if (delta.choice !== 0) continue;
        if (delta.type === "logprobs") prefix.logprobs.push(...numbers(delta.content));
        else if (delta.type === "text") prefix.characters += delta.text.length;
        else if (delta.type === "end") prefix.ended = true;
      }
    }
  }
  return prefix;
}

function withoutChoiceLogprobs(choice: Choice): Choice {
  return { ...choice, logprobs: null };
}

/** The answer without log-probabilities. Its own bytes have them, so they are left behind; fields are named, because they may be getters. */
export function withoutLogprobs({ id, model, created, choices, usage, extra }: Completion): Completion {
  return {
    ...(id === undefined ? {} : { id }),
    ...(model === undefined ? {} : { model }),
    ...(created === undefined ? {} : { created }),
    choices: choices.map(withoutChoiceLogprobs),
    ...(usage ? { usage } : {}),
    ...(extra ? { extra } : {}),
  };
}

/** The same events without log-probabilities. Everything beside `choices` stays as it was to the byte. */
function bytesWithoutLogprobs(bytes: string): string {
  return bytes.replaceAll(/^data: (\{.*\})$/gm, (frame, json: string) => {
    const span = scanJsonObject(json).spans.get("choices");
    if (!span) return frame;
    const choices = JSON.parse(Buffer.from(json.slice(span[1], span[2]), "latin1").toString("utf8")) as readonly object[];
    const bare = choices.map((choice) => ("logprobs" in choice ? { ...choice, logprobs: null } : choice));
    return `data: ${json.slice(0, span[1])}${latin1Json(bare)}${json.slice(span[2])}`;
  });
}

function batchWithoutLogprobs({ bytes, deltas, flags }: BatchEvent): BatchEvent | undefined {
  const left = deltas.filter((delta) => delta.type !== "logprobs");
  if (left.length === 0) return undefined;
  if (bytes === undefined) return batch(left);
  return { type: "batch", bytes: bytesWithoutLogprobs(bytes), flags: flags & ~Flag.logprobs, deltas: left };
}

/** A stream without the log-probabilities that only the gateway asked for. */
export async function* hideLogprobs(events: AsyncIterable<ModelEvent>): AsyncGenerator<ModelEvent> {
  for await (const event of events) {
    if (event.type === "batch" && (event.flags & Flag.logprobs) !== 0) {
      const bare = batchWithoutLogprobs(event);
      if (bare) yield bare;
    } else if (event.type === "finish" && event.completion) yield { ...event, completion: withoutLogprobs(event.completion) };
    else yield event;
  }
}
