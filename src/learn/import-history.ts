import { HISTORY_VERSION, legKey, type LegRecord } from "../model/history.ts";
import type { GradeLine } from "./grades.ts";
import type { Item, ItemAnswer } from "./import-items.ts";

/** A history as `record` with content writes it, and the grades of its answers. */
export interface Imported {
  readonly legs: readonly LegRecord[];
  readonly grades: readonly GradeLine[];
}

/** Letters of one token, roughly; nobody counted them. */
const LETTERS = 4;

function usageOf({ response, usage }: ItemAnswer, prompt: string): Pick<LegRecord, "usage" | "estimated"> {
  if (usage) return { usage: { promptTokens: usage.promptTokens, completionTokens: usage.completionTokens } };
  const tokens = (text: string) => Math.ceil(text.length / LETTERS);
  return { usage: { promptTokens: tokens(prompt), completionTokens: tokens(response) }, estimated: true };
}

/** Tokens are not known, only how likely each was. */
function logprobsOf({ logprobs = [] }: ItemAnswer) {
  return { content: logprobs.map((logprob) => ({ token: "", logprob, top_logprobs: [] })), refusal: null };
}

interface Place {
  readonly requestId: string;
  readonly provider: string;
  readonly order: number;
  readonly withLogprobs: boolean;
}

function legOf(answer: ItemAnswer, prompt: string, { requestId, provider, order, withLogprobs }: Place): LegRecord {
  const { model, response, usd, ms = 0 } = answer;
  const asked = { model, messages: [{ role: "user", content: prompt }], ...(withLogprobs ? { logprobs: true } : {}) };
  return {
    v: HISTORY_VERSION,
    type: "leg",
    requestId,
    at: 0,
    upstream: `${provider}/${model}`,
    key: legKey(asked),
    path: [model],
    label: model,
    order,
    delivery: "unary",
    status: "ok",
    ...usageOf(answer, prompt),
    ...(usd === undefined ? {} : { usd }),
    startMs: 0,
    ms,
    seq: { start: order * 2 + 1, end: order * 2 + 2 },
    finishReason: "stop",
    capabilities: answer.logprobs ? { logprobs: true } : {},
    asked,
    answer: {
      model,
      choices: [
        {
          index: 0,
          message: { role: "assistant", content: response },
          finishReason: "stop",
          ...(withLogprobs ? { logprobs: logprobsOf(answer) } : {}),
        },
      ],
    },
  };
}

/**
 * Items as legs of requests that were never made, one request an item. An answer with log-probabilities stands there twice: as it is, and as a cascade
 * asks for it, which is another question to a recording.
 */
export function importItems(items: readonly Item[], provider: string): Imported {
  const legs: LegRecord[] = [];
  const grades: GradeLine[] = [];
  for (const [index, { prompt, answers }] of items.entries()) {
    const requestId = `import-${index + 1}`;
    let order = 0;
    for (const answer of answers) {
      for (const withLogprobs of answer.logprobs ? [false, true] : [false]) {
        legs.push(legOf(answer, prompt, { requestId, provider, order, withLogprobs }));
        order += 1;
      }
      if (answer.score !== undefined) grades.push({ requestId, upstream: `${provider}/${answer.model}`, score: answer.score });
    }
  }
  return { legs, grades };
}
