import type { FinishReason, TokenLogprob } from "../../model/events.ts";
import { textLength, textLogprobs } from "../../model/text-logprobs.ts";
import { finishReason, isDraft, saysFinished, type Draft } from "./message.ts";

/** A text completion ends in one of three ways: what a server says beyond them is an end by itself. */
function textEnd(said: unknown): FinishReason | null {
  if (!saysFinished(said)) return null;
  const reason = finishReason(said);
  return reason === "length" || reason === "content_filter" ? reason : "stop";
}

function isToken(value: unknown): value is TokenLogprob {
  return isDraft(value) && typeof value["token"] === "string" && typeof value["logprob"] === "number";
}

function topOf({ top_logprobs: top }: TokenLogprob): NonNullable<TokenLogprob["top_logprobs"]> {
  return Array.isArray(top) ? top.filter(isToken) : [];
}

/** The tokens of log-probabilities that are shaped as in a chat (llama.cpp); undefined for any others. */
function chatTokens(logprobs: unknown): readonly TokenLogprob[] | undefined {
  const content: unknown = isDraft(logprobs) ? logprobs["content"] : undefined;
  if (!Array.isArray(content)) return undefined;
  return content.filter(isToken).map((token) => ({ ...token, top_logprobs: topOf(token) }));
}

interface Place {
  /** In its list, for a choice that does not say its index. */
  readonly position: number;
  /** How long the choice's text is before this, in characters. */
  readonly from?: number;
}

/** What making a choice canonical found. */
interface Mended {
  /** It was not as the OpenAI API has it. */
  readonly odd: boolean;
  /** How much text its log-probabilities are about, in characters. */
  readonly length: number;
}

/** Makes a choice of a text completion canonical in place. */
export function mendChoice(choice: Draft, { position, from = 0 }: Place): Mended {
  const { index, text, logprobs, finish_reason: reason } = choice;
  const tokens = chatTokens(logprobs);
  const mended = {
    index: typeof index === "number" && Number.isInteger(index) && index >= 0 ? index : position,
    text: typeof text === "string" ? text : "",
    logprobs: tokens ? textLogprobs(tokens, from) : isDraft(logprobs) ? logprobs : null,
    finish_reason: textEnd(reason),
  };
  const odd = mended.index !== index || mended.text !== text || mended.logprobs !== logprobs || mended.finish_reason !== reason;
  Object.assign(choice, mended);
  return { odd, length: tokens ? textLength(tokens) : 0 };
}
