import { enter } from "../../model/call.ts";
import { throwIfAborted, toGatewayError } from "../../model/errors.ts";
import type { Reranker } from "../../model/leaves.ts";
import { shownText } from "../candidates.ts";
import { lastUserText } from "../conversation.ts";
import type { Sitting, Reply } from "./judge.ts";
import type { Showable } from "../showing.ts";

/**
 * What a reward model or reranker makes of each candidate as an answer to the last user message, in their order: one call. Higher is better.
 * A failure, or a score that is no number, is a value; throws only when the call was aborted.
 */
export async function reward(
  scorer: Reranker,
  items: readonly Showable[],
  maxTokens: number,
  { request, call, signal = call.signal }: Sitting,
): Promise<Reply<readonly number[]>> {
  const documents = items.map(({ text }) => shownText(text, maxTokens));
  const scored = await scores(scorer, documents, { request, call, signal });
  throwIfAborted(call.signal);
  return scored;
}

async function scores(
  scorer: Reranker,
  documents: readonly string[],
  { request, call, signal = call.signal }: Sitting,
): Promise<Reply<readonly number[]>> {
  if (signal.aborted) return { ok: false, why: "deadline" };
  const inner = enter(call, { label: "reward", member: true, delivery: "unary", signal });
  try {
    const given = await scorer.rerank(lastUserText(request.body.messages), documents, inner);
    const whole = given.length === documents.length && given.every((score) => Number.isFinite(score));
    return whole ? { ok: true, value: given } : { ok: false, why: "no verdict" };
  } catch (thrown) {
    return { ok: false, why: signal.aborted ? "deadline" : toGatewayError(thrown, call.signal).code };
  }
}
