import type { TokenLogprob } from "../model/events.ts";
import type { Message } from "../model/request.ts";
import { uniform } from "./demo-random.ts";

/** Up to six letters or three digits with the space before them, or one sign; four characters in the mean. */
const token = /\s*(?:\p{L}{1,6}|\p{N}{1,3}|[^\s\p{L}\p{N}])|\s+/gu;

/** Cuts a text into its tokens; joined they are the text. */
export function tokensOf(text: string): readonly string[] {
  return text.match(token) ?? [];
}

/** The tokens of a prompt: those of its texts, and four a message for what stands round them. */
export function countPrompt(messages: readonly Message[]): number {
  return messages.reduce((sum, message) => sum + 4 + tokensOf(textOfContent(message.content)).length, 0);
}

/** The text of a message's content, whether it is a string or parts; images and audio have none. */
export function textOfContent(content: unknown): string {
  if (typeof content === "string") return content;
  if (!Array.isArray(content)) return "";
  return content.flatMap(textOfPart).join("\n");
}

function textOfPart(part: unknown): readonly string[] {
  const text: unknown = typeof part === "object" && part !== null && "text" in part ? part.text : undefined;
  return typeof text === "string" ? [text] : [];
}

const others = [
  " the",
  " a",
  " not",
  " is",
  ".",
  ",",
  " and",
  " one",
  " 1",
  " 2",
  " 3",
  " 7",
  " it",
  " of",
  " to",
  " no",
  " so",
  " I",
  " an",
  " as",
  " at",
];

const rounded = (logprob: number) => Math.round(logprob * 1e6) / 1e6;

const entry = (token: string, logprob: number) => ({ token, logprob: rounded(logprob), bytes: [...Buffer.from(token)] });

export interface Spoken {
  readonly token: string;
  /** Mean negative log-probability of the tokens of its text. */
  readonly doubt: number;
  /** How many alternatives to list, itself included. */
  readonly top: number;
  /** Names the chance that decides how this token strays from the mean. */
  readonly place: string;
}

/** A token's log-probability, with alternatives that are each less likely and with it sum to less than 1. */
export function logprobOf({ token, doubt, top, place }: Spoken): TokenLogprob {
  const chosen = entry(token, -doubt * (0.4 + 1.2 * uniform("logprob", place)) - 1e-4);
  const share = Math.min(Math.exp(chosen.logprob), 1 - Math.exp(chosen.logprob));
  const rest = others.filter((other) => other !== token).slice(0, Math.max(top - 1, 0));
  const alternatives = rest.map((other, i) => entry(other, Math.log(share) - (i + 1) * Math.LN2));
  return { ...chosen, top_logprobs: [chosen, ...alternatives].slice(0, top) };
}
